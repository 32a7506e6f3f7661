"""What tests said: the values that baseline, localisation, tools and verdict share."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Runner = Literal["pytest", "unittest", "node", "npm", "go", "cargo", "make", "custom"]
Outcome = Literal["passed", "failed", "error", "skipped"]
Status = Literal["ran", "no_tests", "not_found", "broken", "timed_out"]
COLLECTION = "(collection)"
"""The id of what keeps Python's runners from finding any test."""
Coverage = Mapping[str, Mapping[str, frozenset[int]]]
_FIXTURE = re.compile(r"^(?:setUp|tearDown)(?:Class|Module) \((.+)\)$")


def tests_of(name: str) -> str:
    """Return the class or module for whose tests an id of unittest stands, as that of a fixture does; else the id."""
    return _FIXTURE.sub(r"\1", name)


@dataclass(frozen=True, slots=True)
class TestCommand:
    """How the tests are run. `why` is shown to the user; `python` is the target's interpreter where there is one."""

    __test__ = False

    argv: tuple[str, ...]
    runner: Runner
    why: str
    cwd: Path
    python: str = ""
    root: Path = Path()
    """The repository, which ids and coverage are relative to; the empty path stands for `cwd`."""
    prefix: tuple[str, ...] = ()
    """What starts the Python of the tests: the interpreter, or `uv run python` where the user's command says so."""
    arguments: tuple[str, ...] = ()
    """The arguments of the runner itself."""
    as_module: bool = False
    """Whether it is started as `python -m`, which puts the current directory on the import path."""

    def __str__(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test. `message` is its failure as the runner tells it (traceback, assertion), empty when it passed."""

    __test__ = False

    id: str
    outcome: Outcome
    seconds: float = 0.0
    message: str = ""
    file: str = ""
    """The file that the test is in, relative to the repository; empty where the runner does not tell."""
    crash: str = ""
    """Where it failed, `file:line` relative to the repository; empty where that is unknown."""

    @property
    def bad(self) -> bool:
        return self.outcome in ("failed", "error")


@dataclass(frozen=True, slots=True)
class TestRun:
    """One run of the tests.

    `status` is `ran` when tests were executed and the session ended by itself, whatever came out; `broken` when the
    runner failed or the process died (what it was running is then an `error`). A syntax error at collection is a test
    result with outcome `error`, not `broken`. `coverage` maps test id to file (relative, forward slashes) to executed
    lines; empty unless it was asked for and the runner can.
    """

    __test__ = False

    status: Status
    results: Mapping[str, TestResult]
    output: str
    seconds: float
    coverage: Coverage = field(default_factory=dict[str, Mapping[str, frozenset[int]]])
    unfinished: tuple[str, ...] = ()
    """Tests that were found but never started, because the process ended before."""
    replaced: tuple[str, ...] = ()
    """Parts of the test runner that were not what they had been, when the session ended."""
    whole: str = ""
    """The id of the result that the command as a whole has where its exit status says more than its tests."""

    @property
    def failing(self) -> tuple[str, ...]:
        return tuple(sorted(test for test, result in self.results.items() if result.bad))

    @property
    def passing(self) -> tuple[str, ...]:
        return tuple(sorted(test for test, result in self.results.items() if result.outcome == "passed"))


@dataclass(frozen=True, slots=True)
class Baseline:
    """The state before any change: a run, which of its failures are no goal, and what must not change."""

    command: TestCommand
    run: TestRun
    flaky: tuple[str, ...]
    """Tests that failed once and passed when they were repeated."""
    protected: Mapping[str, str]
    """What must not change, by name, to its SHA-256: test files and dedicated settings by their path relative to the
    repository; parts of other files as `path::part`. '*' stands for what the tests themselves write."""
    blocked: tuple[str, ...] = ()
    """Tests that fail because the sandbox gives them no network."""
    aware: Mapping[str, int] = field(default_factory=dict[str, int])
    """Source files that speak of the test runner, and how often."""
    wanted: tuple[str, ...] = ()
    """Paths or test ids, relative to the repository, that narrow the goal; empty for all."""
    only: frozenset[str] | None = None
    """The tests that alone are the goal now, of those that are one; None for all."""

    @property
    def goal(self) -> tuple[str, ...]:
        """The failing tests that are to be mended: all that were wanted but the flaky and the blocked ones."""
        left_out = {*self.flaky, *self.blocked}
        failing = (test for test in self.run.failing if self.only is None or test in self.only)
        return tuple(test for test in failing if test not in left_out and self._is_wanted(test))

    def _is_wanted(self, test: str) -> bool:
        file = self.run.results[test].file
        for name in self.wanted:
            path = name.removesuffix("/")
            if path in (test, file, "."):
                return True
            if test.startswith((f"{path}::", f"{path}[", f"{path}/", f"{path} > ", f"{path}.")):
                return True
            if file.startswith(f"{path}/"):
                return True
        return not self.wanted
