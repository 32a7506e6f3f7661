"""Building a review and seeing it through, for `review` and `hook`. Kept light: a commit waits for it."""

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from qwencode import __version__
from qwencode.errors import Interrupted, ModelUnavailable, QwencodeError, UsageError
from qwencode.events import CheckFinished, Event, FindingReported, Notice, RunFinished, RunStarted
from qwencode.jobs.review import CHECKS, Review, ReviewTask, Tools
from qwencode.messages import Usage
from qwencode.review.cache import Cache
from qwencode.review.change import Change
from qwencode.settings import Places, Settings, load
from qwencode.ui.reader import Reader, open_reader

if TYPE_CHECKING:
    from qwencode.jobs.fix import Parts
    from qwencode.sandbox.protocol import Sandbox
    from qwencode.workspace import Workspace

FORMATS = ("text", "json", "sarif", "github")
_AFTER = 0.5  # seconds beyond the limit at which whatever still goes on is broken off
_READ_SPEED = 40.0
"""Tokens of a prompt a second, where `qwencode warm` has not measured it: what two cores do with a 35B-A3B."""
_QUIET = (FindingReported, CheckFinished, Notice)


class TimeUp(QwencodeError):
    """The clock of a hook ran out in a place that has no limit of its own."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for. `seconds` 0: no limit. `quiet`: only what was found, and what was skipped."""

    change: Callable[[], Change]
    root: Path
    flags: Mapping[str, Any]
    checks: tuple[str, ...] = CHECKS
    seconds: float = 0.0
    hook: bool = False
    form: str = "text"
    strict: bool = False
    use_model: bool = True
    fix: bool = False


def checks_named(only: Sequence[str], use_model: bool) -> tuple[str, ...]:
    """Return the checks to do. Raises UsageError for a name that is none."""
    if unknown := [name for name in only if name not in CHECKS]:
        raise UsageError(f"There is no check {unknown[0]!r}. There are: {', '.join(CHECKS)}.")
    return tuple(name for name in CHECKS if (not only or name in only) and (use_model or name != "model"))


def see_through(request: Request) -> int:
    """Do the review and return the exit code. Raises QwencodeError for what makes it impossible.

    Wrong settings hold up no commit that findings would not: they are told of, and nothing is looked at.
    """
    began = time.monotonic()
    places = Places.of_user()
    reader = _reader(request.form)
    try:
        settings = load(places, request.root, request.flags)
    except UsageError as error:
        if not request.hook or request.strict:
            raise
        reader.show(Notice(f"{error} Nothing was looked at.", "warning"))
        reader.close()
        return 0
    seconds = request.seconds or (settings.hook_seconds if request.hook else 0.0)
    quiet = request.hook and request.form == "text" and not sys.stdout.isatty()

    def tell(event: Event) -> None:
        if not quiet or (isinstance(event, _QUIET) and not (isinstance(event, Notice) and event.level == "info")):
            reader.show(event)

    code, reason, review = 1, "", None
    try:
        with _clock(seconds):
            if not request.hook:
                tell(RunStarted("review", str(request.root), "", __version__))
            review = _review(request, settings, places, began + seconds if seconds else math.inf)
            for event in review.work():
                tell(event)
    except TimeUp:
        tell(CheckFinished("the rest", "skipped", 0, time.monotonic() - began, "the time was up"))
    except KeyboardInterrupt:
        code, reason = Interrupted.exit_code, "Interrupted; nothing was changed."
        raise Interrupted(reason) from None
    except QwencodeError as error:
        code, reason = error.exit_code, str(error)
        raise
    finally:
        if not reason:
            code, reason = _ending(request, review, tell)
        tell(RunFinished(code, reason, time.monotonic() - began, Usage()))
        reader.close()
    return code


def _ending(request: Request, review: Review | None, tell: Callable[[Event], None]) -> tuple[int, str]:
    """Return the exit code and how it went, in a sentence, which is told."""
    found, errors = (review.findings, review.errors) if review else (0, 0)
    files = len(review.task.change.entries) if review else 0
    where = f"{files} changed {'file' if files == 1 else 'files'}"
    said = f"{found} {'finding' if found == 1 else 'findings'} in {where}" if found else f"Nothing was found in {where}"
    if found:
        said += f", {errors} of them {'an error' if errors == 1 else 'errors'}" if errors else ", none an error"
    mended = review is not None and review.mended
    code = 1 if mended or (request.strict and errors) else 0
    if found and request.hook and not code:
        said += "; the commit is not held up by it"
    if found or not request.hook:
        tell(Notice(f"{said}.", "warning" if found else "info"))
    return code, f"{said}."


def _reader(form: str) -> Reader:
    if form == "sarif":
        from qwencode.ui.sarif import Sarif

        return Sarif(sys.stdout)
    if form == "github":
        from qwencode.ui.annotations import Annotations

        return Annotations(sys.stdout)
    return open_reader(form == "json")


@contextmanager
def _clock(seconds: float) -> Generator[None]:
    """Raise TimeUp a moment after the limit: whatever goes on here is no part that watches the clock by itself."""
    if not seconds:
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeUp("The time was up.")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds + _AFTER)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _review(request: Request, settings: Settings, places: Places, end: float) -> Review:
    checks = (*request.checks, "fix") if request.fix else request.checks
    wanted = request.use_model and ("model" in checks or request.fix)
    model = _model(settings, places) if wanted else ""
    task = ReviewTask(request.change(), checks, end, settings.test, settings.no_sandbox, model)

    def slow(name: str, task: ReviewTask, folder: Path) -> Generator[Event, None, bool]:
        if name == "fix":
            return _fixed(task, folder, settings, places, request.use_model)
        return _SLOW[name](task, folder, settings, places)

    return Review(task, Tools(Cache(places.reviews), slow))


def _model(settings: Settings, places: Places) -> str:
    """Return the model that the user has chosen or that is there, '' for none; the built-in one does not review."""
    from qwencode.model.choose import find_default, is_server, mends_lines

    name = settings.model or find_default(settings, places)
    try:
        return "" if not name or (not is_server(name) and mends_lines(name, places)) else name
    except ModelUnavailable:
        return name  # whoever opens it says why that cannot be


def _tests(task: ReviewTask, folder: Path, settings: Settings, places: Places) -> Generator[Event, None, bool]:
    from qwencode.jobs.tests_part import TestsPart

    return TestsPart(task.change, task.test, task.no_sandbox, places.reviews, task.left).work(folder)


def _read_by_model(task: ReviewTask, folder: Path, settings: Settings, places: Places) -> Generator[Event, None, bool]:
    from qwencode.jobs.model_part import ModelPart
    from qwencode.model.choose import check_model, find_file, is_server, open_model, seconds_to_load, seconds_to_read
    from qwencode.review.change import texts

    def reading(tokens: int) -> float:
        check_model(task.model, places)
        known = seconds_to_read(task.model, settings, places, tokens)
        if math.isfinite(known) or is_server(task.model):
            return known
        return seconds_to_load(find_file(task.model, places)) + tokens / _READ_SPEED  # never measured here

    files, _ = texts(task.change)
    return ModelPart(files, lambda: open_model(task.model, settings, places), reading, task.left).work()


def _fixed(
    task: ReviewTask, folder: Path, settings: Settings, places: Places, use_model: bool
) -> Generator[Event, None, bool]:
    from qwencode.jobs.fix import FixTask, Parts
    from qwencode.jobs.mend_part import mend
    from qwencode.model.choose import BUILTIN, BUILTIN_FILE, open_model, seconds_to_read
    from qwencode.model.protocol import Options
    from qwencode.repair.proposals import builtin_proposals

    name = task.model or BUILTIN

    def parts(workspace: "Workspace", sandbox: "Sandbox") -> "Parts":
        return Parts(
            workspace,
            sandbox,
            f"hook-{os.getpid()}",
            places.maps,
            (lambda: open_model(name, settings, places)) if use_model else None,
            lambda: True,
            options=Options(thinking_budget=settings.think_budget),
            lines=not task.model,
            asked_for=bool(task.model),
            open_proposer=(lambda: builtin_proposals(BUILTIN_FILE)) if use_model else None,
            seconds_to_read=lambda tokens: seconds_to_read(name, settings, places, tokens),
        )

    minutes = min(settings.max_minutes, max(0.0, task.left() - 2) / 60)
    wanted = FixTask(test=task.test, max_steps=settings.max_steps, max_minutes=minutes, think=settings.think)
    return mend(task.change, wanted, parts, folder, task.left, task.no_sandbox)


_SLOW = {"tests": _tests, "model": _read_by_model}
