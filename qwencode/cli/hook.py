"""`qwencode hook`: the review that a commit waits for, and putting it into a repository."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qwencode.cli.options import Json, Model, NoSandbox, Test, not_both
from qwencode.cli.review import Form, NoModel, Only, Strict, form_of

if TYPE_CHECKING:
    from qwencode.review.change import Change
    from qwencode.review.repository import Repository

app = typer.Typer(
    rich_markup_mode=None,
    help="Look at what is staged before it is committed, in bounded time. Without a command: do so now.",
)
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", metavar="N", min=1.0, help="Seconds at most; what is not done by then is skipped. [20]"),
]
Fix = Annotated[bool, typer.Option("--fix", help="Mend failing tests, and exit with 1 where files were changed.")]


@app.callback(invoke_without_command=True)
def hook(
    context: typer.Context,
    only: Only = None,
    seconds: Seconds = None,
    strict: Strict = False,
    fix: Fix = False,
    no_model: NoModel = False,
    model: Model = None,
    test: Test = None,
    no_sandbox: NoSandbox = False,
    form: Form = "text",
    json: Json = False,
) -> None:
    """Look at what is staged. Quiet when nothing is found; a finding holds a commit up only with --strict."""
    if context.invoked_subcommand is not None:
        return
    from qwencode.cli.looking import Request, checks_named, see_through
    from qwencode.review.repository import Repository

    not_both("--model", "--no-model", bool(model) and no_model)
    chosen = form_of(form, json)
    repository = Repository.find(Path.cwd())
    flags = {"model": model, "test": test, "no_sandbox": no_sandbox or None, "hook_seconds": seconds}
    request = Request(
        lambda: _change(repository),
        repository.root,
        flags,
        checks_named(only or [], not no_model),
        hook=True,
        form=chosen,
        strict=strict,
        fix=fix,
        use_model=not no_model,
    )
    raise typer.Exit(see_through(request))


@app.command()
def install(
    seconds: Seconds = None,
    strict: Strict = False,
    fix: Fix = False,
    no_model: NoModel = False,
    only: Only = None,
) -> None:
    """Put the hook into this repository, with these options; a hook that is there already runs first."""
    from qwencode.cli.looking import checks_named
    from qwencode.review import installed
    from qwencode.review.repository import Repository

    checks_named(only or [], not no_model)
    options = [word for name in only or [] for word in ("--only", name)]
    options += ["--seconds", f"{seconds:g}"] if seconds is not None else []
    flags = {"--strict": strict, "--fix": fix, "--no-model": no_model}
    options += [name for name, given in flags.items() if given]
    typer.echo(installed.install(Repository.find(Path.cwd()), _program(), options))


@app.command()
def uninstall() -> None:
    """Take the hook out again; what was there before is as it was."""
    from qwencode.review import installed
    from qwencode.review.repository import Repository

    typer.echo(installed.uninstall(Repository.find(Path.cwd())))


@app.command()
def status() -> None:
    """Say whether commits in this repository run the hook. Exit code 1: they do not."""
    from qwencode.review import installed
    from qwencode.review.repository import Repository

    found = installed.status(Repository.find(Path.cwd()))
    typer.echo(found.text)
    raise typer.Exit(0 if found.state != "absent" else 1)


def _program() -> list[str]:
    """Return how this very program is started, whatever PATH a hook will have."""
    beside = Path(sys.executable).with_name("qwencode")
    found = str(beside) if beside.is_file() else shutil.which("qwencode")
    return [found] if found else [sys.executable, "-c", "from qwencode.cli import main; main()"]


def _change(repository: "Repository") -> "Change":
    """Return what is staged, or the commits that the pre-commit framework names, as it does before a push."""
    from qwencode.review.change import between, staged

    first, last = os.environ.get("PRE_COMMIT_FROM_REF"), os.environ.get("PRE_COMMIT_TO_REF")
    if not first or not last:
        return staged(repository)
    mark = "..." if _both(repository, first, last) else ".."
    return between(repository, f"{first}{mark}{last}")


def _both(repository: "Repository", first: str, last: str) -> bool:
    """Say whether two commits are there and have a common ancestor, since which the change is meant."""
    from qwencode.workspace import GitError

    try:
        return bool(repository.commit(first) and repository.commit(last) and repository.git("merge-base", first, last))
    except GitError:
        return False
