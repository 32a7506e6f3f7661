"""The command line: what can be said, and how a run ends. Heavy imports wait until a command runs."""

import os
import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Annotated, cast

import typer

from qwencode import __version__
from qwencode.cli import config, hook, models, sessions
from qwencode.cli.doctor import doctor
from qwencode.cli.options import Json, Model, NoSandbox, Test, not_both
from qwencode.cli.review import review
from qwencode.errors import Interrupted, QwencodeError, UsageError
from qwencode.ui.text import safe

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Mend a repository's failing tests on your own machine, and prove it. Nothing leaves the machine.",
    epilog="Exit codes: 0 done, 1 not fixed or only in part, 2 usage, 3 needs consent, 4 a (larger) model is "
    "needed, 5 budget spent, 6 no sandbox, 130 interrupted.",
)

app.command()(review)
app.add_typer(hook.app, name="hook")
app.add_typer(config.app, name="config")
app.add_typer(models.app, name="models")
app.add_typer(sessions.app, name="sessions")
app.command()(doctor)

Steps = Annotated[
    int | None,
    typer.Option("--max-steps", metavar="N", min=1, help="Turns of the model at most. [40 a cause; builtin: no limit]"),
]
Think = Annotated[
    str | None,
    typer.Option("--think", metavar="WHEN", help="auto (on hard steps), always or never. [auto]"),
]
ThinkBudget = Annotated[
    int | None,
    typer.Option("--think-budget", metavar="N", min=0, help="Tokens of thinking in one turn at most. [by the step]"),
]
Mode = Annotated[
    str | None, typer.Option("--mode", metavar="MODE", help="What needs consent: plan (only read), ask, auto. [ask]")
]
Trust = Annotated[bool, typer.Option("--trust", help="Use AGENTS.md, commands and settings of this folder.")]
Minutes = Annotated[float | None, typer.Option("--max-minutes", metavar="N", min=0.0, help="Minutes at most. [30]")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"qwencode {__version__}")
        raise typer.Exit


@app.callback()
def _options(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def fix(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="The repository [.], or tests in it that are to be mended."),
    ] = None,
    message: Annotated[str, typer.Option("-m", "--message", metavar="TEXT", help="What to do, in words.")] = "",
    issue: Annotated[str, typer.Option("--issue", metavar="FILE", help="A file with what to do; - reads stdin.")] = "",
    test: Test = None,
    model: Model = None,
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Search only; load no model, not even the built-in one.")
    ] = False,
    no_search: Annotated[bool, typer.Option("--no-search", help="Go to the model at once.")] = False,
    think: Think = None,
    think_budget: ThinkBudget = None,
    max_steps: Steps = None,
    max_minutes: Minutes = None,
    attempts: Annotated[
        int | None,
        typer.Option("--attempts", metavar="N", min=1, help="Attempts of the model at each cause at most. [2]"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the change and the proof, then put it back.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the changes even when they mend nothing.")] = False,
    commit: Annotated[bool, typer.Option("--commit", help="Commit what was changed, when it is proven.")] = False,
    allow_test_changes: Annotated[
        bool, typer.Option("--allow-test-changes", help="Tests and their settings may be changed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before keeping the change.")] = False,
    no_sandbox: NoSandbox = False,
    json: Json = False,
) -> None:
    """Mend the failing tests of a repository: search first, then the model; keep only what is proven."""
    from qwencode.cli.build import FixRequest, run_fix

    if message and issue:
        raise UsageError("Give the goal with -m or with --issue, not with both.")
    if message and not message.strip():
        raise UsageError("The goal given with -m is blank. Say what is to be done, or leave it out to mend what fails.")
    if no_model and no_search:
        raise UsageError("--no-model and --no-search together leave nothing that could mend anything.")
    not_both("--model", "--no-model", bool(model) and no_model)
    not_both("--keep", "--dry-run", keep and dry_run)
    flags = {"test": test, "model": model, "max_steps": max_steps, "max_minutes": max_minutes, "attempts": attempts}
    flags |= {"think": think, "think_budget": think_budget}
    request = FixRequest(
        paths=tuple(paths or ["."]),
        goal=_goal(issue) if issue else message,
        flags={**flags, "no_sandbox": no_sandbox or None},
        use_model=not no_model,
        use_search=not no_search,
        dry_run=dry_run,
        keep=keep,
        commit=commit,
        allow_test_changes=allow_test_changes,
        yes=yes,
        json=json,
    )
    raise typer.Exit(run_fix(request))


@app.command()
def chat(
    path: Annotated[str, typer.Argument(metavar="PATH", help="The repository.")] = ".",
    last: Annotated[bool, typer.Option("--continue", "-c", help="Go on with the last conversation here.")] = False,
    resume: Annotated[str, typer.Option("--resume", metavar="ID", help="Go on with this conversation.")] = "",
    model: Model = None,
    mode: Mode = None,
    think: Think = None,
    trust: Trust = False,
    no_sandbox: NoSandbox = False,
    json: Json = False,
) -> None:
    """Work on a repository in conversation: ask, change, run, go back. Without a terminal it reads lines."""
    from qwencode.cli.chat import ChatRequest, run_chat

    if last and resume:
        raise UsageError("Give --continue or --resume, not both.")
    flags = {"model": model, "mode": mode, "think": think, "no_sandbox": no_sandbox or None}
    raise typer.Exit(run_chat(ChatRequest(path, flags, json, trust, resume, last)))


@app.command()
def ask(
    text: Annotated[str, typer.Argument(metavar="TEXT|-", help="The question; - reads it from stdin.")],
    path: Annotated[str, typer.Option("--in", metavar="PATH", help="The repository.")] = ".",
    model: Model = None,
    mode: Annotated[
        str, typer.Option("--mode", metavar="MODE", help="plan (only read), or auto (change and run).")
    ] = "plan",
    think: Think = None,
    trust: Trust = False,
    no_sandbox: NoSandbox = False,
    json: Json = False,
) -> None:
    """Have one question about a repository answered. What is piped in goes with it."""
    from qwencode.cli.chat import ChatRequest, run_ask

    flags = {"model": model, "mode": mode, "think": think, "no_sandbox": no_sandbox or None}
    raise typer.Exit(run_ask(ChatRequest(path, flags, json, trust), text))


@app.command()
def demo(
    name: Annotated[str, typer.Argument(help="Which practice repository; see --list.")] = "",
    model: Model = None,
    into: Annotated[str, typer.Option("--into", metavar="DIR", help="Copy it there instead of a new directory.")] = "",
    show_list: Annotated[bool, typer.Option("--list", help="List the practice repositories.")] = False,
    no_sandbox: NoSandbox = False,
    json: Json = False,
) -> None:
    """Copy a practice repository out of the package and run `fix` on it."""
    from qwencode.cli.build import list_practice, run_demo

    if show_list:
        for line in list_practice():
            typer.echo(line)
        return
    flags = {"model": model, "no_sandbox": no_sandbox or None}
    raise typer.Exit(run_demo(name, Path(into) if into else None, flags, json))


@app.command()
def warm(
    model: Model = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="N", min=0.0, help="How long to measure the machine for, once. [20]")
    ] = 20.0,
    json: Json = False,
) -> None:
    """Measure this machine, and read what every run begins with, once, so that runs start at once."""
    from qwencode.cli.build import run_warm

    raise typer.Exit(run_warm({"model": model}, seconds, json))


@app.command()
def undo(
    path: Annotated[str, typer.Argument(help="The repository.")] = ".",
) -> None:
    """Take back the last run, or clear up after one that was killed."""
    from qwencode.cli.build import run_undo

    typer.echo(run_undo(Path(path)))


def _goal(issue: str) -> str:
    try:
        text = sys.stdin.read() if issue == "-" else Path(issue).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"The issue {issue} is not UTF-8 text.") from error
    except OSError as error:
        raise UsageError(f"The issue {issue} cannot be read: {error.strerror}.") from error
    if not text.strip():
        raise UsageError(f"The issue {issue} is empty.")
    return text


def _stop(number: int, frame: FrameType | None) -> None:
    raise Interrupted(f"Stopped by {signal.Signals(number).name}.")


def main() -> None:
    """Run the command line. What a user can cause ends in one sentence on stderr and the exit code of its kind."""
    if getattr(sys.stdout, "errors", "") == "strict":  # what a terminal has no character for is shown as `?`
        cast("TextIOWrapper", sys.stdout).reconfigure(errors="replace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        app(prog_name="qwencode")
    except QwencodeError as error:
        sys.stderr.write(f"qwencode: {safe(str(error))}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
