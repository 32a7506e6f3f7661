"""`qwencode sessions`: what was said before, on this machine."""

import sys
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=False, rich_markup_mode=None, help="List, show and remove sessions.")
Name = Annotated[str, typer.Argument(metavar="ID", help="A session, or the beginning of its id.")]
Everywhere = Annotated[bool, typer.Option("--all", help="Those of all repositories.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


@app.callback(invoke_without_command=True)
def _default(  # pyright: ignore[reportUnusedFunction]
    context: typer.Context, everywhere: Everywhere = False, json: Json = False
) -> None:
    if context.invoked_subcommand is None:
        show_list(everywhere, json)


@app.command(name="list")
def show_list(everywhere: Everywhere = False, json: Json = False) -> None:
    """List the sessions of this repository, the newest first."""
    from qwencode.cli.chat import list_sessions
    from qwencode.ui.plain import Plain

    out = Plain(sys.stdout)
    for line in list_sessions(everywhere, json):
        out.show_text(line)


@app.command()
def show(name: Name) -> None:
    """Print a session as Markdown."""
    from qwencode.cli.chat import show_session
    from qwencode.ui.plain import Plain

    Plain(sys.stdout).show_text(show_session(name))


@app.command()
def rm(name: Name) -> None:
    """Remove a session. What it changed in files stays."""
    from qwencode.cli.chat import remove_session

    typer.echo(remove_session(name))
