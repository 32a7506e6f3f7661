"""`qwencode config`: what is set, where that was decided, and how to change it."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from qwencode.errors import UsageError

if TYPE_CHECKING:
    from qwencode.settings import Places, Set

app = typer.Typer(no_args_is_help=False, rich_markup_mode=None, help="Show and change settings.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A setting; `qwencode config` lists them.")]
_EDITORS = ("nano", "vi")


@app.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:  # pyright: ignore[reportUnusedFunction]
    if context.invoked_subcommand is None:
        show(json=False)


@app.command()
def show(json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show every setting with its value and where that was decided."""
    found = _explained()
    if json:
        import json as writer

        typer.echo(writer.dumps({each.name: {"value": each.value, "origin": each.origin} for each in found}))
        return
    wide = max(len(each.name) for each in found), max(len(written(each.value)) for each in found)
    for each in found:
        typer.echo(f"{each.name:<{wide[0]}}  {written(each.value):<{wide[1]}}  {each.origin}")


@app.command()
def get(name: Name) -> None:
    """Print the value that a setting has here."""
    from qwencode.settings import describe

    describe(name)
    value = next(each.value for each in _explained() if each.name == name)
    if isinstance(value, tuple):
        value = ", ".join(cast("tuple[str, ...]", value))
    typer.echo(str(value).lower() if isinstance(value, bool) else value)


@app.command(name="set", context_settings={"ignore_unknown_options": True})  # a value may be -1
def put(name: Name, value: Annotated[str, typer.Argument(metavar="VALUE", help="What it is to be.")]) -> None:
    """Set a setting in your settings file; comments and all other lines stay."""
    from qwencode.settings import user_file
    from qwencode.settings_file import put as write

    path = user_file(_places())
    said = f"{path}: {name} = {written(write(path, name, value))}"
    typer.echo(said + overruled(name, path))


@app.command()
def unset(name: Name) -> None:
    """Remove a setting from your settings file, so that the default holds again."""
    from qwencode.settings import user_file
    from qwencode.settings_file import drop

    path = user_file(_places())
    there = drop(path, name)
    typer.echo((f"{path}: {name} removed" if there else f"{path} does not set {name!r}") + overruled(name, path))


@app.command()
def path() -> None:
    """Print the path of your settings file."""
    from qwencode.settings import user_file

    typer.echo(user_file(_places()))


@app.command()
def edit() -> None:
    """Open your settings file in $VISUAL or $EDITOR, and check it afterwards."""
    from qwencode.settings import load, user_file
    from qwencode.settings_file import begin

    command = _editor()
    place = user_file(_places())
    begin(place)
    try:
        code = subprocess.run([*command, str(place)], check=False).returncode
    except OSError as error:
        raise UsageError(f"The editor {command[0]!r} cannot be started: {error.strerror}. Set $EDITOR.") from error
    if code:
        raise UsageError(f"The editor {command[0]!r} ended with exit code {code}.")
    load(_places(), None, {}, {})
    typer.echo(f"{place} is well formed.")


def written(value: object) -> str:
    """Return a value as TOML writes it."""
    import json as writer

    return writer.dumps(value, ensure_ascii=False)


def overruled(name: str, path: Path) -> str:
    """Return what to add when another source has the last word."""
    try:
        origin = next(each.origin for each in _explained() if each.name == name)
    except UsageError as error:  # something else is wrong, here or in the repository's file
        return f". But nothing can be run yet: {error}"
    return "" if origin in ("default", str(path)) else f"; but {origin} sets it, too, and has the last word"


def _explained() -> "list[Set]":
    from qwencode.settings import explain

    return explain(_places(), project_root())


def project_root() -> Path | None:
    """Return the root of the repository around the working directory; None outside of one."""
    from qwencode.workspace import Workspace

    try:
        return Workspace.find(Path()).root
    except UsageError:
        return None


def _places() -> "Places":
    from qwencode.settings import Places

    return Places.of_user()


def _editor() -> list[str]:
    given = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    try:
        command = shlex.split(given)
    except ValueError as error:
        raise UsageError(f"$EDITOR is {given!r}, which is no command: {error}.") from error
    command = command or [name for name in _EDITORS if shutil.which(name)][:1]
    if not command:
        raise UsageError("There is no editor to open: set $EDITOR, or use `qwencode config set NAME VALUE`.")
    return command
