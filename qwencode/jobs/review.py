"""`review` and `hook`: the order of work. What is known, quick checks, the tests that the change touches, the model.

The quick checks are done here and take moments. The rest is done in a process that can be killed when there is a clock.
"""

import math
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qwencode.errors import Interrupted, QwencodeError
from qwencode.events import CheckFinished, Event, FindingReported, Notice, PhaseStarted
from qwencode.excerpt import listed
from qwencode.review.cache import Cache
from qwencode.review.change import Change, FileChange, texts
from qwencode.review.copies import listing_of

QUICK = ("conflicts", "syntax", "leftovers", "secrets", "weakened")
SLOW = ("tests", "fix", "model")
CHECKS = (*QUICK, "tests", "model")
"""What can be asked for by name; `fix` is no check, but done among them."""
_QUICK_NAME = "quick"
_EARLY = 0.3  # seconds before the end of the clock at which the parts of the work stop by themselves
_REMOVED = 20_000  # files of the copies that are removed in a second when all is over: two copies, on two cores
_LEAST = 1.0  # seconds without which it is not worth to begin a slow check


@dataclass(frozen=True, slots=True)
class ReviewTask:
    """What is to be looked at, and for how long: `end` on the monotonic clock, infinite without a limit.

    `model`: what the user calls the model that reads the change, '' for none.
    """

    change: Change
    checks: tuple[str, ...]
    end: float
    test: str = ""
    no_sandbox: bool = False
    model: str = ""

    def left(self) -> float:
        """Return the seconds on the clock."""
        return self.end - time.monotonic() - _EARLY


@dataclass(frozen=True, slots=True)
class Tools:
    """What the work is done with. `slow` runs a slow check by its name in a folder for its temporary files."""

    cache: Cache
    slow: Callable[[str, ReviewTask, Path], Generator[Event, None, bool]]


@dataclass(slots=True)
class Review:
    """One review. After `work` the fields say what came of it."""

    task: ReviewTask
    tools: Tools
    findings: int = 0
    errors: int = 0
    mended: bool = False
    """Whether files of the work tree were changed."""

    def work(self) -> Iterator[Event]:
        """Look at the change and yield what is found. Raises UsageError for a repository that git cannot read."""
        for event in self._events():
            if isinstance(event, FindingReported):
                self.findings += 1
                self.errors += event.severity == "error"
            if isinstance(event, CheckFinished) and event.check == "fix":
                self.mended = event.findings > 0
            yield event

    def _events(self) -> Iterator[Event]:
        if not self.task.change.entries:
            return
        yield from self._quick([name for name in QUICK if name in self.task.checks])
        waiting: list[tuple[str, str]] = []
        passing = False
        for name in (name for name in SLOW if name in self.task.checks and self._can(name)):
            key = self._key(name)
            if name == "fix" and passing:
                continue  # the tests are known to pass
            known = self.tools.cache.load(key) if name != "fix" else None
            if known is None:
                waiting.append((name, key))
                continue
            yield from known
            yield CheckFinished(name, "cached", len(known), 0.0)
            passing = passing or name == "tests"
        if waiting:
            yield from self._slow(waiting)

    def _can(self, name: str) -> bool:
        return name != "model" or bool(self.task.model)

    def _key(self, name: str) -> str:
        """Return the name of a result: all that it depends on, so far as git knows it."""
        change, task = self.task.change, self.task
        if name == "tests":
            return self.tools.cache.key(name, change.id, listing_of(change), change.base, task.test)
        return self.tools.cache.key(name, change.id, task.model)

    def _quick(self, names: Sequence[str]) -> Iterator[Event]:
        if not names:
            return
        began = time.monotonic()
        key = self.tools.cache.key(_QUICK_NAME, self.task.change.id, *names)
        known = self.tools.cache.load(key)
        if known is not None:
            yield from known
            yield CheckFinished(_QUICK_NAME, "cached", len(known), 0.0)
            return
        yield PhaseStarted(_QUICK_NAME, f"Looking at {self.task.change.what}")
        files, large = texts(self.task.change)
        found: list[FindingReported] = []
        for each in _looked_at(files, names):
            found.append(each)
            yield each  # at once: what comes after it may take longer than there is time
        if large:
            yield Notice(f"Not looked at, as larger than 2 MB: {listed(large, 3)}.")
        self.tools.cache.save(key, found)
        yield CheckFinished(_QUICK_NAME, "done", len(found), time.monotonic() - began)

    def _slow(self, waiting: Sequence[tuple[str, str]]) -> Iterator[Event]:
        """Do the slow checks, and say of those that did not come to an end that they were skipped."""
        left = self.task.end - self._to_clear() - time.monotonic()
        if left < _LEAST + _EARLY:
            for name, _ in waiting:
                yield CheckFinished(name, "skipped", 0, 0.0, "no time was left")
            return
        open_checks = [name for name, _ in waiting]
        reason = "the time was up"
        try:
            for event in self._in_time(waiting, left):
                if isinstance(event, CheckFinished):
                    open_checks.remove(event.check)
                yield event
        except Interrupted:
            raise
        except QwencodeError as error:  # what one check cannot do must not hold up a commit
            reason = str(error)
        for name in open_checks:
            yield CheckFinished(name, "skipped", 0, 0.0, reason)

    def _in_time(self, waiting: Sequence[tuple[str, str]], left: float) -> Iterator[Event]:
        if math.isinf(left):
            with tempfile.TemporaryDirectory(prefix="qwencode-review-") as folder:
                yield from self._checks(waiting, Path(folder).resolve(), self.task)
            return
        from qwencode.jobs.bounded import bounded

        task = replace(self.task, end=time.monotonic() + left)
        yield from bounded(lambda folder: self._checks(waiting, folder, task), left)

    def _to_clear(self) -> float:
        """Return the seconds that it takes at the end to remove copies of the repository."""
        if math.isinf(self.task.end):
            return 0.0
        files = self.task.change.repository.git("ls-files", "-z").count(b"\0")
        return min(files / _REMOVED, (self.task.end - time.monotonic()) / 4)

    def _checks(self, waiting: Sequence[tuple[str, str]], folder: Path, task: ReviewTask) -> Iterator[Event]:
        clean = False
        for name, key in waiting:
            if name == "fix" and clean:
                yield CheckFinished(name, "done", 0, 0.0)
                continue
            found: list[FindingReported] = []
            work = self.tools.slow(name, task, folder)
            complete = False
            try:
                while True:
                    event = next(work)
                    if isinstance(event, FindingReported):
                        found.append(event)
                    yield event
            except StopIteration as stop:
                complete = stop.value
            finally:
                work.close()
            clean = complete and not found
            if complete and _worth(name, found):
                self.tools.cache.save(key, found)


def _worth(name: str, found: Sequence[FindingReported]) -> bool:
    """Say whether a result is kept. Failing tests are run again: what they lacked may be there by then."""
    return name != "fix" and (name != "tests" or not found)


def _looked_at(files: Sequence[FileChange], names: Sequence[str]) -> Iterator[FindingReported]:
    from qwencode.review.quick import CHECKS as BY_FILE
    from qwencode.review.quick import guarded, quick
    from qwencode.review.weakened import weakened

    yield from quick(files, [name for name in names if name in BY_FILE])
    if "weakened" in names and files:
        yield from guarded("weakened", files[0], iter(weakened(files)))
