"""The tests that a change touches, run on a copy of exactly the state that it leads to, inside of the sandbox.

What fails is run again, then on a copy of the state before. Only what passed there, or was not there, and fails twice
here, is this change's doing.
"""

import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from qwencode.errors import SandboxUnavailable, UsageError
from qwencode.events import CheckFinished, Event, FindingReported, PhaseStarted
from qwencode.excerpt import plain
from qwencode.findings import Severity
from qwencode.review.change import ON_DISK, Change, FileChange, texts
from qwencode.review.chosen import inherited_path, python_paths, test_files, touches_code
from qwencode.review.copies import copy_of
from qwencode.review.coverage_map import CoverageMap
from qwencode.sandbox.ladder import open_sandbox
from qwencode.sandbox.protocol import Sandbox
from qwencode.verify.baseline import wants_network
from qwencode.verify.commands import discover, is_python_test
from qwencode.verify.results import TestCommand, TestResult, TestRun
from qwencode.verify.runners import STILL_RUNNING, run
from qwencode.workspace import Workspace, git

NAME = "tests"
_RESERVE = 1.5  # seconds of the clock that are left for judging what failed
_LEAST = 1.0  # that a run is worth
_PYTHON = ("pytest", "unittest")
_SUGGESTION = "Mend the code, or the test if it is the test that is wrong: `qwencode fix`."


@dataclass(frozen=True, slots=True)
class TestsPart:
    """Runs the tests of a change. `left`: seconds on the clock, infinite where there is none."""

    __test__ = False

    change: Change
    test: str
    """The setting: the command that runs the tests, '' to find it."""
    no_sandbox: bool
    coverage: Path
    """The folder of the maps."""
    left: Callable[[], float]

    def work(self, folder: Path) -> Generator[Event, None, bool]:
        """Yield findings and how the check ended; return whether it was complete, so that it may be kept."""
        began = time.monotonic()
        found: list[FindingReported] = []
        skipped = ""
        try:
            skipped = yield from self._run(folder, found)
        except SandboxUnavailable as error:
            skipped = str(error)
        except UsageError as error:
            skipped = "" if str(error).startswith("No tests were found") else str(error)
        yield from found
        seconds = time.monotonic() - began
        yield CheckFinished(NAME, "skipped" if skipped else "done", len(found), seconds, skipped)
        return not skipped

    def _run(self, folder: Path, found: list[FindingReported]) -> Generator[Event, None, str]:
        """Add to the findings; return what was not done and why, '' for nothing."""
        change = self.change
        changed = [name for entry in change.entries for name in {entry.before_path, entry.path}]
        if not touches_code(changed):
            return ""
        yield PhaseStarted(NAME, f"Running the tests that {change.what} touches")
        ground = _Ground.of(change, change.state, folder / "after", self.test)
        known = CoverageMap.load(self.coverage, change.repository.common)
        before = ground.oids | {entry.before_path: entry.before for entry in change.entries}
        chosen = _choose(ground, changed, known, known.sound_files(before))
        if chosen is None:
            return ""
        with _Confined(ground, change.repository.root, self.no_sandbox) as sandbox:
            first = self._first(ground, sandbox, chosen, known)
            said = _trouble(first)
            failing = [test for test in first.failing if _counts(first.results[test])]
            if not failing:
                return said
            again = self._again(ground, sandbox, failing)
        failing = [test for test in failing if again is None or test not in again.results or again.results[test].bad]
        before = self._before(folder, [first.results[test] for test in failing])
        found += _findings(change, ground.root, first, failing, before, known)
        return said

    def _first(self, ground: "_Ground", sandbox: Sandbox, chosen: Sequence[str], known: CoverageMap) -> TestRun:
        """Run the chosen tests; where a name is not known to the runner any more, their files."""
        reserve = min(_RESERVE, self.left() / 4)
        fresh = not chosen or any("::" not in test or test.partition("::")[0] not in known.files() for test in chosen)
        done = ground.run(sandbox, chosen, self.left() - reserve, coverage=fresh)
        if done.status == "broken" and not done.results and any("::" in test for test in chosen):
            files = tuple(dict.fromkeys(test.partition("::")[0] for test in chosen))
            done = ground.run(sandbox, files, self.left() - reserve, coverage=fresh)
        if done.coverage:
            known.learn(done, ground.oids)
            known.forget([file for file in known.files() if file not in ground.oids])
            known.save()
        return done

    def _again(self, ground: "_Ground", sandbox: Sandbox, failing: Sequence[str]) -> TestRun | None:
        """Run what failed a second time: what passes then is flaky, and no finding."""
        return ground.run(sandbox, failing, self.left(), coverage=False) if self.left() > _LEAST else None

    def _before(self, folder: Path, failed: Sequence[TestResult]) -> TestRun | None:
        """Run the tests that failed in the state before the change; None where there is no time for it."""
        if not failed or self.left() <= _LEAST:
            return None
        nothing = TestRun("no_tests", {}, "", 0.0)
        try:
            ground = _Ground.of(self.change, self.change.base, folder / "before", self.test)
        except UsageError:  # there were no tests yet
            return nothing
        files = [file for file in dict.fromkeys(result.file for result in failed) if file in ground.oids]
        if not files and ground.command.runner == "pytest":
            return nothing
        tests = files if ground.command.runner == "pytest" else [result.id for result in failed]
        with _Confined(ground, self.change.repository.root, self.no_sandbox) as sandbox:
            return ground.run(sandbox, tests, self.left(), coverage=False)


@dataclass(frozen=True, slots=True)
class _Ground:
    """A copy of a state, how its tests are run, and its files with their object ids."""

    root: Path
    original: Path
    command: TestCommand
    oids: dict[str, str]

    @classmethod
    def of(cls, change: Change, state: str, folder: Path, test: str) -> "_Ground":
        root = copy_of(change, state, folder)
        oids = _oids(root)
        for entry in change.entries if state == ON_DISK else ():
            oids.pop(entry.before_path, None)
            oids |= {entry.path: entry.after} if entry.after else {}
        return cls(root, change.repository.root, discover(Workspace(root), test), oids)

    def run(self, sandbox: Sandbox, tests: Sequence[str], seconds: float, *, coverage: bool) -> TestRun:
        env: dict[str, str] = {}
        if self.command.runner in _PYTHON:
            paths = python_paths(self.root, self.original, self.command.python)
            env = {"PYTHONPATH": path} if (path := inherited_path(paths, os.environ)) else {}
        return run(
            self.command, sandbox, tests=tests, seconds=max(_LEAST, min(seconds, 3600.0)), coverage=coverage, env=env
        )


def _oids(root: Path) -> dict[str, str]:
    """Return the object ids of the files of a copy, as they are in its index."""
    rows = git(root, "ls-files", "--stage", "-z").split(b"\0")
    return {os.fsdecode(row.partition(b"\t")[2]): row.split()[1].decode() for row in rows if row}


def _choose(ground: _Ground, changed: Sequence[str], known: CoverageMap, sound: Set[str]) -> tuple[str, ...] | None:
    """Return the tests to run, () for all, None for none. Runners that are not Python's run everything.

    `sound`: the test files of which the map says rightly what they run. The others are chosen by their imports.
    """
    runner = ground.command.runner
    if runner not in _PYTHON:
        return ()
    touched = known.touching(changed)
    same = {test for test in touched if ground.oids.get(known.tests[test].file) == known.tests[test].oid}
    files = test_files(ground.root, list(ground.oids), changed)
    new = [file for file in files if file in changed or file not in sound]
    if runner == "unittest":
        everything = new or len(same) < len(touched)
        return () if everything else tuple(touched) or None
    chosen: dict[str, None] = dict.fromkeys(file for file in new if file in changed)
    for test in touched:
        file = known.tests[test].file
        if file not in chosen and file in ground.oids:
            chosen[test if test in same else file] = None
    chosen |= dict.fromkeys(new)
    return (
        tuple(test for test in chosen if test.partition("::")[0] == test or test.partition("::")[0] not in chosen)
        or None
    )


def _trouble(done: TestRun) -> str:
    """Say what kept a run from its end, '' for nothing."""
    cut = [test for test, result in done.results.items() if result.message.startswith(STILL_RUNNING)]
    if done.status == "timed_out":
        ended = len(done.results) - len(cut)
        return f"the time was up after {ended} of {ended + len(cut) + len(done.unfinished)} tests"
    if (done.status in ("broken", "not_found") or "INTERNALERROR" in done.output) and not done.results:
        lines = plain(done.output).strip().splitlines()
        return f"the test runner broke off: {lines[-1][:200] if lines else 'it printed nothing'}"
    return ""


def _findings(
    change: Change, root: Path, first: TestRun, failing: Sequence[str], before: TestRun | None, known: CoverageMap
) -> list[FindingReported]:
    files, _ = texts(change)
    changed = {file.path: file for file in files if file.after is not None}
    found: list[FindingReported] = []
    for test in failing:
        result = first.results[test]
        severity, how = _compared(result, before)
        if not how:
            continue  # as before
        place, line = _place(result, changed, known)
        reason = _reason(result, root)
        what = f"{test} {how}{f' ({reason})' if reason else ''}."
        found.append(FindingReported(place, line, severity, "tests/broken", what, _SUGGESTION))
    return found


def _counts(result: TestResult) -> bool:
    """Say whether a failure may be the change's: not one of the clock, nor of the sandbox that gives no network."""
    return not result.message.startswith(STILL_RUNNING) and not wants_network(result)


def _compared(result: TestResult, before: TestRun | None) -> tuple[Severity, str]:
    """Say how a failing test stands against the state before the change, '' when it failed there, too."""
    if before is None:
        return "warning", "fails; whether it did before was not looked at"
    if result.id in before.results:
        return "error", "" if before.results[result.id].bad else "fails with this change; before, it did not"
    if before.status not in ("ran", "no_tests"):
        return "warning", "fails; the tests could not be run in the state before"
    if result.id == result.file and any(each.file == result.file for each in before.results.values()):
        return "error", "cannot be loaded with this change; before, it could"
    if before.results and not before.passing:
        return "error", ""  # nothing can run here, so that a new test fails says nothing of it
    return "error", "is new and fails"


def _reason(result: TestResult, root: Path) -> str:
    """Return the line of a failure that says most: pytest marks it with `E`, elsewhere it is the last one.

    Files are named as they are in the repository: its copy at `root` is gone when this is read.
    """
    text = plain(result.message).replace(f"{root}/", "")
    rows = [row.strip() for row in text.strip().splitlines() if row.strip()]
    marked = next((row.removeprefix("E ").strip() for row in rows if row.startswith("E  ")), "")
    return (marked or (rows[-1] if rows else ""))[:160].rstrip(".")


def _place(result: TestResult, changed: Mapping[str, FileChange], known: CoverageMap) -> tuple[str, int]:
    """Return the changed line to blame: where it failed, else the first in a file that the test runs, else any."""
    file, _, line = result.crash.rpartition(":")
    if file in changed and line.isdigit() and int(line) in changed[file].added:
        return file, int(line)
    ran = known.tests[result.id].ran if result.id in known.tests else frozenset[str]()
    sources = [name for name in changed if not is_python_test(name) and changed[name].hunks]
    order = [*(name for name in sources if name in ran), result.file, *sources]
    for name in order:
        if name in changed and changed[name].hunks:
            return name, changed[name].nearest(1) if not changed[name].added else min(changed[name].added)
    return result.file or next(iter(changed), ""), 1


class _Confined:
    """A sandbox around a copy, in which the original may be read: what is linked into the copy lies there."""

    def __init__(self, ground: _Ground, original: Path, allow_none: bool):
        self._sandbox = open_sandbox(ground.root, readable=[original], allow_none=allow_none)

    def __enter__(self) -> Sandbox:
        return self._sandbox

    def __exit__(self, *error: object) -> None:
        self._sandbox.close()
