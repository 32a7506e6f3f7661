"""Building the parts of a run and seeing it through: the only place that knows all of them."""

import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from qwencode import __version__, practice
from qwencode.errors import BudgetSpent, Interrupted, ModelUnavailable, QwencodeError, UsageError
from qwencode.events import Event, Notice, RunFinished, RunStarted
from qwencode.jobs.fix import Fix, FixTask, Outcome, Parts
from qwencode.jobs.line_part import LABEL
from qwencode.jobs.warm import warm
from qwencode.machine.outlook import advice
from qwencode.messages import Usage
from qwencode.model.choose import (
    BUILTIN,
    BUILTIN_FILE,
    check_model,
    find_default,
    is_server,
    mends_lines,
    open_file,
    open_model,
    seconds_to_read,
    wishes,
)
from qwencode.model.protocol import Model, Options
from qwencode.repair.proposals import Proposals, builtin_proposals
from qwencode.sandbox.ladder import open_sandbox
from qwencode.session import Session, new_id
from qwencode.settings import Places, Settings, load
from qwencode.snapshots import recover, undo
from qwencode.ui.reader import Reader, open_reader
from qwencode.workspace import Workspace

DEMO = "stencil"
LINE_DEMO = "boxwork"
"""What the built-in model is shown on: a repair that is no single step of the search."""
_LINE_DEMO_MINUTES = 2.0


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The model of a run, '' for none. `lines` and `asked_for` are those of `qwencode.jobs.fix.Parts`."""

    name: str = ""
    lines: bool = False
    asked_for: bool = True


@dataclass(frozen=True, slots=True)
class FixRequest:
    """What the command line asked for. `flags` are those that override settings; None was not given."""

    paths: tuple[str, ...]
    flags: Mapping[str, Any]
    goal: str = ""
    use_model: bool = True
    use_search: bool = True
    dry_run: bool = False
    keep: bool = False
    commit: bool = False
    allow_test_changes: bool = False
    yes: bool = False
    json: bool = False


def run_fix(request: FixRequest) -> int:
    """Run `fix` to its end and return the exit code. Raises QwencodeError for what makes a start impossible.

    Where it ends without a repair and there was no larger model to work on it, one is offered.
    """
    places = Places.of_user()
    workspace, wanted = _open(request.paths)
    settings = load(places, workspace.root, request.flags)
    try:
        code = _fix(request, places, workspace, wanted, settings)
    except (ModelUnavailable, BudgetSpent):
        _offer(request, places, settings)
        raise
    if code:
        _offer(request, places, settings)
    return code


def _offer(request: FixRequest, places: Places, settings: Settings) -> None:
    if request.use_model and not request.json and not find_default(settings, places):
        from qwencode.cli.first_run import offer_model

        offer_model(settings, places, f"qwencode fix {' '.join(map(shlex.quote, request.paths))}")


def _fix(request: FixRequest, places: Places, workspace: Workspace, wanted: tuple[str, ...], settings: Settings) -> int:
    chosen = _chosen(settings, places) if request.use_model else _Chosen()
    name = chosen.name if chosen.asked_for else ""
    to_do = "" if name or not request.use_model else advice(places, wishes(settings))
    task = FixTask(
        goal=request.goal,
        wanted=wanted,
        test=settings.test,
        use_search=request.use_search,
        max_steps=settings.max_steps,
        max_minutes=settings.max_minutes,
        think=settings.think,
        attempts=settings.attempts,
        dry_run=request.dry_run,
        keep=request.keep,
        commit=request.commit,
        allow_test_changes=request.allow_test_changes,
    )
    if not name and not request.use_search:
        raise ModelUnavailable(f"--no-search needs a model. {to_do}")
    recovered = recover(workspace)
    with Session(places.sessions, new_id()) as session:
        reader = open_reader(request.json)
        try:
            started = RunStarted("fix", str(workspace.root), session.id, __version__, request.goal, name)
            opening: list[Event] = [started, *([Notice(recovered, "warning")] if recovered else [])]
            sandbox = open_sandbox(workspace.root, allow_none=settings.no_sandbox)
            try:
                parts = Parts(
                    workspace,
                    sandbox,
                    session.id,
                    places.maps,
                    _opener(chosen.name, settings, places),
                    lambda: request.yes or reader.ask("Keep this change?") is not False,
                    to_do,
                    Options(thinking_budget=settings.think_budget),
                    chosen.lines,
                    asked_for=chosen.asked_for,
                    open_proposer=_open_proposer if request.use_model else None,
                    seconds_to_read=_reading(chosen.name, settings, places),
                    coverage=places.reviews,
                )
                kept = "what was changed is kept" if task.keep else "your files are as before"
                fix = Fix(task, parts)
                return see_through(
                    fix.work(), opening, teller(reader, session), lambda: fix.usage, kept, lambda: fix.aside
                )
            finally:
                sandbox.close()
        finally:
            reader.close()


def run_demo(name: str, into: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Copy a practice repository and run `fix` on it.

    Where nothing was chosen, the built-in model is shown on another one after that. It is small and may fail; the exit
    code is that of the first run.
    """
    out = sys.stderr if json else sys.stdout
    code = _demonstrate(practice.task(name or DEMO), into, flags, out, json=json)
    if name or into or flags.get("model"):
        return code
    out.write(f"\nAnd now a bug that search cannot mend, for the {LABEL}.\n")
    task, own = practice.task(LINE_DEMO), {"model": BUILTIN, "max_minutes": _LINE_DEMO_MINUTES}
    try:
        mended = _demonstrate(task, None, {**flags, **own}, out, json=json, use_search=False) == 0
    except Interrupted:
        raise
    except QwencodeError as error:
        out.write(f"{error}\n")
        mended = False
    if not mended:
        out.write("The built-in model did not mend this one. It is small; a larger one is asked for with --model.\n")
    return code


def _demonstrate(
    task: practice.Task,
    into: Path | None,
    flags: Mapping[str, Any],
    out: TextIO,
    *,
    json: bool,
    use_search: bool = True,
) -> int:
    copy = practice.copy(task.name, into or Path(tempfile.mkdtemp(prefix="qwencode-demo-")))
    out.write(f"A practice repository, with a bug in it: {copy}\n{task.title}\n\n")
    out.flush()
    code = run_fix(FixRequest((str(copy),), flags, use_search=use_search, yes=True, json=json))
    program = "qwencode" if shutil.which("qwencode") else sys.argv[0]
    if code == 0:
        out.write(f"\nLook at it: git -C {copy} diff\nTake it back: {program} undo {copy}\n")
    return code


def run_warm(flags: Mapping[str, Any], seconds: float, json: bool) -> int:
    """Fill the prefix store for a model and return the exit code."""
    places = Places.of_user()
    settings = load(places, None, flags)
    if is_server(settings.model):
        raise UsageError(f"{settings.model} is a server, which keeps its own memory: there is nothing to warm here.")
    if not settings.prefix_store_mb:
        raise UsageError("Nothing can be kept: the setting `prefix_store_mb` is 0.")
    name = _model_name(settings, places)
    if name and mends_lines(name, places):
        raise UsageError(f"{name} begins with nothing that could be kept: there is nothing to warm here.")
    if not name:
        raise ModelUnavailable(f"There is no model to warm. {advice(places, wishes(settings))}")
    reader = open_reader(json)
    try:
        work = warm(lambda measuring: open_file(name, settings, places, measuring), places.cache, seconds)
        opening: list[Event] = [RunStarted("warm", "", "", __version__, model=name)]
        return see_through(work, opening, teller(reader), Usage, "nothing was kept")
    finally:
        reader.close()


def list_practice() -> list[str]:
    """Return one line for every practice repository."""
    tasks = [practice.task(name) for name in practice.names()]
    width = max(len(task.name) for task in tasks)
    return [f"{task.name:<{width}}  {task.language:<10}  {task.title}" for task in tasks]


def run_undo(path: Path) -> str:
    """Take back the last run and return what was done, in a sentence."""
    return undo(Workspace.find(path))


def _open(paths: tuple[str, ...]) -> tuple[Workspace, tuple[str, ...]]:
    """Open the repository that the paths lie in; what lies below its root narrows the goal."""
    files = [Path(path.split("::", 1)[0]).absolute() for path in paths]
    workspace = Workspace.find(files[0])
    wanted: list[str] = []
    for given, file in zip(paths, files, strict=True):
        if not file.exists():
            raise UsageError(f"{given} does not exist.")
        if not file.resolve().is_relative_to(workspace.root):
            raise UsageError(f"{given} is outside the repository {workspace.root}.")
        relative = workspace.relative(file)
        if relative != "." and not (given == "." and len(paths) == 1):
            _, mark, test = given.partition("::")
            wanted.append(relative + mark + test)
    return workspace, tuple(wanted)


def _model_name(settings: Settings, places: Places) -> str:
    """Return the model to use, '' for none. A model that was asked for must be there before the work starts."""
    if settings.model:
        check_model(settings.model, places)
        return settings.model
    return find_default(settings, places)


def _chosen(settings: Settings, places: Places) -> _Chosen:
    """Return the model to use; where there is none, the built-in one, to fill in."""
    if name := _model_name(settings, places):
        return _Chosen(name, mends_lines(name, places))
    return _Chosen(BUILTIN, lines=True, asked_for=False)


def _open_proposer() -> Proposals:
    return builtin_proposals(BUILTIN_FILE)


def _opener(name: str, settings: Settings, places: Places) -> Callable[[], Model] | None:
    return (lambda: open_model(name, settings, places)) if name else None


def _reading(name: str, settings: Settings, places: Places) -> Callable[[int], float] | None:
    return (lambda tokens: seconds_to_read(name, settings, places, tokens)) if name else None


def teller(reader: Reader, session: Session | None = None) -> Callable[[Event], None]:
    """Return what takes every event to the trace, if there is one, and to the reader."""

    def tell(event: Event) -> None:
        if session:
            session.record(event)
        reader.show(event)

    return tell


def see_through(
    work: Generator[Event, None, Outcome],
    opening: list[Event],
    tell: Callable[[Event], None],
    usage: Callable[[], Usage],
    kept: str,
    aside: Callable[[], str] = str,
) -> int:
    """Drive a job. However it ends, that is an event too.

    `kept`: how things are when it is interrupted; `aside`: what it could not tell any more when it was closed.
    """
    start = time.monotonic()

    def finish(code: int, reason: str, spent: Usage) -> int:
        if untold := aside():
            tell(Notice(untold, "warning"))
        tell(RunFinished(code, reason, time.monotonic() - start, spent))
        return code

    try:
        for event in opening:
            tell(event)
        outcome = _drain(work, tell)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cut the clearing up short
        work.close()
        error = Interrupted(f"Interrupted; {kept}.")
        finish(error.exit_code, str(error), usage())
        raise error from None
    except QwencodeError as error:
        work.close()
        finish(error.exit_code, str(error), usage())
        raise
    return finish(outcome.exit_code, outcome.reason, outcome.usage)


def _drain(work: Generator[Event, None, Outcome], tell: Callable[[Event], None]) -> Outcome:
    try:
        while True:
            tell(next(work))
    except StopIteration as stop:
        return stop.value
    finally:
        work.close()
