"""`qwencode doctor`: what is here, what that means for the work, and what to do next."""

from typing import Annotated

import typer

_MARKS = {"ok": "ok", "note": "--", "warning": "!!", "problem": "XX"}


def doctor(
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME|FILE|URL", help="Look at it as if it were the default.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at this machine, and say what fits, how fast it would be, and what to run next. Nothing is loaded."""
    from qwencode.cli.config import project_root
    from qwencode.machine.doctor import examine
    from qwencode.settings import Places
    from qwencode.ui.text import safe

    report = examine(Places.of_user(), project_root(), model)
    if json:
        import json as writer
        from dataclasses import asdict

        typer.echo(writer.dumps(asdict(report)))
        raise typer.Exit(report.exit_code)
    area = ""
    for each in report.findings:
        if each.area != area:
            area = each.area
            typer.echo(f"{chr(10) if each is not report.findings[0] else ''}{area}")
        typer.echo(safe(f"  {_MARKS[each.level]}  {each.name}: {each.text}"))
    typer.echo(f"\nNext: {report.command}\n      ({safe(report.why)})")
    raise typer.Exit(report.exit_code)
