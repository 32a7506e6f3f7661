"""Candidates tried the plain way: written to disk, tests run in a process of their own, file put back.

The way that works for every runner, and the yardstick for the fork server: it must find the same winner.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from qwencode.errors import ToolError
from qwencode.repair.mutate.candidates import Candidate
from qwencode.repair.trial import Examined, Outcome
from qwencode.sandbox.protocol import Sandbox
from qwencode.verify.results import Baseline, TestRun
from qwencode.verify.runners import run
from qwencode.verify.verdict import mended
from qwencode.workspace import Workspace

T = TypeVar("T")


class PlainTrial:
    """One candidate at a time. The file on disk differs from the user's only while `poll` runs."""

    name = "plain"

    def __init__(self, workspace: Workspace, sandbox: Sandbox, baseline: Baseline, texts: Mapping[str, str]):
        self._workspace, self._sandbox, self._baseline, self._texts = workspace, sandbox, baseline, texts
        self._waiting: list[Candidate] = []

    @property
    def room(self) -> int:
        return 1 - len(self._waiting)

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def submit(self, candidate: Candidate) -> None:
        self._waiting.append(candidate)

    def poll(self, seconds: float) -> list[tuple[Candidate, Outcome]]:
        """Try what was submitted first; takes as long as the tests take, whatever `seconds` says."""
        waiting, self._waiting = self._waiting[:1], self._waiting[1:]
        return [(candidate, self._try(candidate)) for candidate in waiting]

    def examine(self, candidate: Candidate, seconds: float) -> Examined | None:
        """Takes as long as the tests take, `seconds` at most."""
        found = self._with(candidate, lambda: run(self._baseline.command, self._sandbox, seconds=seconds))
        if not found or found.status != "ran":
            return None
        left_out = {*self._baseline.flaky, *self._baseline.goal}
        broken = [test for test in self._baseline.run.passing if test not in left_out and not self._met([test], found)]
        return Examined(tuple(test for test in self._baseline.goal if self._met([test], found)), tuple(broken))

    def _try(self, candidate: Candidate) -> Outcome:
        return self._with(candidate, self._outcome) or "invalid"

    def _with(self, candidate: Candidate, work: Callable[[], T]) -> T | None:
        """Return what comes of `work` while the candidate is on disk.

        None when the file cannot hold it, or is no longer what it was made for. Whatever somebody else saves meanwhile
        stays.
        """
        before = self._texts[candidate.file]
        try:
            file = self._workspace.read(candidate.file)
            status = file.path.stat()
            after = replace(file, text=candidate.applied(before))
            self._workspace.replace(candidate.file, replace(file, text=before), after.text)
        except (ToolError, OSError):
            return None
        try:
            return work()
        finally:
            with suppress(ToolError, OSError):
                self._workspace.replace(candidate.file, after, before)
                os.utime(file.path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _outcome(self) -> Outcome:
        baseline = self._baseline
        limit = 5.0 + 3 * baseline.run.seconds
        found = run(baseline.command, self._sandbox, tests=baseline.goal, seconds=limit)
        if found.status == "timed_out":
            return "timeout"
        if not self._met(baseline.goal, found):
            return "some" if any(self._met([test], found) for test in baseline.goal) else "goal_failed"
        found = run(baseline.command, self._sandbox, seconds=limit + 2 * baseline.run.seconds)
        passing = [test for test in baseline.run.passing if test not in baseline.flaky]
        return "plausible" if self._met([*baseline.goal, *passing], found) else "broke"

    def close(self) -> None:
        self._waiting.clear()

    def _met(self, wanted: Sequence[str], found: TestRun) -> bool:
        """Say whether every wanted test passed, or what stands in its place now."""
        return all(mended(self._baseline.run.results[test], found) for test in wanted)
