"""`qwencode doctor`: what is here, what that means for the work, and what to do next."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from qwencode.errors import Interrupted

if TYPE_CHECKING:
    from qwencode.machine.doctor import Finding
    from qwencode.machine.server_check import Check

_MARKS = {"ok": "ok", "note": "--", "warning": "!!", "problem": "XX"}


def doctor(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|FILE|URL",
            help="Look at it as if it were the default; a server is put to the test.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at this machine, and say what fits, how fast it would be, and what to run next. Nothing is loaded.

    A server that --model names gets six small requests: can it do what an agent needs?
    """
    from qwencode.cli.config import project_root
    from qwencode.machine.doctor import examine, with_checks
    from qwencode.machine.server_check import check_server
    from qwencode.model.choose import is_server
    from qwencode.settings import Places

    places = Places.of_user()
    report = examine(places, project_root(), model)
    if not json:
        _show(report.findings)
    if model and is_server(model):
        report = with_checks(report, model, _tried(check_server(model, places), json))
    if json:
        import json as writer
        from dataclasses import asdict

        typer.echo(writer.dumps(asdict(report)))
    else:
        from qwencode.ui.text import safe

        typer.echo(safe(f"\nNext: {report.command}\n      ({report.why})"))
    raise typer.Exit(report.exit_code)


def _tried(checks: "Iterable[Check]", json: bool) -> "list[Check]":
    """Return the checks, each shown as soon as it is done: some take a minute."""
    from qwencode.machine.doctor import of_check

    done: list[Check] = []
    try:
        for check in checks:
            if not json:
                _show([of_check(check)], "server" if done else "")
            done.append(check)
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; the server was told to stop.") from None
    return done


def _show(findings: "Iterable[Finding]", area: str = "") -> None:
    """Print findings below the names of their areas; that of `area` stands there already."""
    from qwencode.ui.text import safe

    for each in findings:
        if each.area != area:
            typer.echo(f"\n{each.area}" if area or each.area == "server" else each.area)
        area = each.area
        typer.echo(safe(f"  {_MARKS[each.level]}  {each.name}: {each.text}"))
