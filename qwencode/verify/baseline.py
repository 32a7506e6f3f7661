"""The state of the tests before any change."""

import re
from collections.abc import Generator, Sequence
from dataclasses import replace

from qwencode.errors import UsageError
from qwencode.events import BaselineTaken, Event, Notice, PhaseStarted, Progress, TestCommandChosen
from qwencode.sandbox.protocol import Sandbox
from qwencode.verify.protected import awareness, fingerprints, volatile
from qwencode.verify.results import Baseline, TestCommand, TestResult, TestRun
from qwencode.verify.runners import PROCESS_ENDED, STILL_RUNNING, run
from qwencode.verify.verdict import mended
from qwencode.workspace import Workspace

REPEATS = 2
_RESUMED = 3
_NO_NETWORK = re.compile(
    r"Temporary failure in name resolution|Name or service not known|Network is unreachable|getaddrinfo (?:ENOTFOUND|"
    r"EAI_AGAIN)|nodename nor servname|socket[^\n]*\n(?:.*\n){0,3}.*\[Errno 1\] Operation not permitted"
)


def take(
    workspace: Workspace, sandbox: Sandbox, command: TestCommand, *, seconds: float, coverage: bool
) -> Generator[Event, None, Baseline]:
    """Run all tests, repeat the failing ones, and note what must not change.

    `seconds` limits each run. A run that a test brought down or held up is resumed with the tests that it did not
    reach. A failing test that passes when repeated is flaky; one that asks for a network is blocked: neither is a goal.
    Raises UsageError when there are no tests or they cannot be run at all.
    """
    yield TestCommandChosen(str(command), command.runner, command.why)
    yield PhaseStarted("baseline", f"Running the tests: {command}")
    before = fingerprints(workspace, command, ())
    first = run(command, sandbox, seconds=seconds, coverage=coverage)
    _usable(first, command)
    whole = yield from _complete(first, command, sandbox, seconds, coverage)
    known = fingerprints(workspace, command, whole.results.values())
    protected = volatile(before, {name: value for name, value in known.items() if name in before})
    protected |= {name: value for name, value in known.items() if name.endswith("::tests in it")}
    protected |= dict.fromkeys(known.keys() - protected.keys(), "*")
    blocked = tuple(test for test in whole.failing if wants_network(whole.results[test]))
    failing = [result for result in whole.results.values() if result.bad and result.id not in blocked]
    suspects = [result.id for result in failing if not result.message.startswith(STILL_RUNNING)]
    flaky = yield from _flaky(suspects, whole, command, sandbox, seconds)
    if blocked:
        yield Notice(f"{_count(blocked)} no network in the sandbox and cannot be a goal: {_names(blocked)}.", "warning")
    yield BaselineTaken(whole.failing, len(whole.passing), flaky, whole.seconds)
    return Baseline(command, whole, flaky, protected, blocked, awareness(workspace, protected))


def wants_network(result: TestResult) -> bool:
    """Say whether a test fails because the sandbox gives it no network."""
    return _NO_NETWORK.search(result.message) is not None


def _count(tests: Sequence[str]) -> str:
    return "1 test finds" if len(tests) == 1 else f"{len(tests)} tests find"


def _names(tests: Sequence[str]) -> str:
    return ", ".join(tests[:3]) + (f" and {len(tests) - 3} more" if len(tests) > 3 else "")


def _usable(first: TestRun, command: TestCommand) -> None:
    tail = "\n".join(first.output.strip().splitlines()[-15:])
    if first.status == "not_found":
        raise UsageError(f"The test command `{command}` could not be started: {tail or 'not found'}")
    if first.status == "no_tests":
        raise UsageError(f"`{command}` found no tests in {command.cwd}. Name another command with --test.")
    if not first.results and first.status == "timed_out":
        raise UsageError(f"`{command}` ran for {first.seconds:.0f} s without finishing or starting a test.\n{tail}")
    if not first.results:
        raise UsageError(f"`{command}` failed before any test ran:\n{tail}")


def _complete(
    first: TestRun, command: TestCommand, sandbox: Sandbox, seconds: float, coverage: bool
) -> Generator[Event, None, TestRun]:
    """Go on after a crash or a hang: the tests not reached, then each one that was cut off, alone."""
    whole = first
    for _ in range(_RESUMED):
        if not whole.unfinished:
            break
        done, total = len(whole.results), len(whole.results) + len(whole.unfinished)
        yield Progress("baseline", done, total, "tests", note="going on after a test that ended the run")
        rest = run(command, sandbox, tests=whole.unfinished, seconds=seconds, coverage=coverage)
        whole = _merged(whole, rest, tuple(test for test in whole.unfinished if test not in rest.results))
        if not rest.results:
            break
    cut = [test for test, result in whole.results.items() if result.message.startswith(STILL_RUNNING)]
    for test in cut if command.runner in ("pytest", "unittest") else ():
        alone = run(command, sandbox, tests=[test], seconds=min(seconds, 60.0), coverage=coverage)
        whole = _merged(whole, alone, whole.unfinished)
    return whole


def _merged(whole: TestRun, more: TestRun, unfinished: tuple[str, ...]) -> TestRun:
    results: dict[str, TestResult] = {**whole.results, **more.results}
    coverage = {**whole.coverage, **more.coverage}
    seconds = whole.seconds + more.seconds
    return replace(whole, results=results, coverage=coverage, seconds=seconds, unfinished=unfinished)


def _flaky(
    tests: Sequence[str], whole: TestRun, command: TestCommand, sandbox: Sandbox, seconds: float
) -> Generator[Event, None, tuple[str, ...]]:
    flaky: set[str] = set()
    limit = min(seconds, max(10.0, 3 * whole.seconds))
    deadly = [test for test in tests if whole.results[test].message.startswith(PROCESS_ENDED)]
    groups = [[test for test in tests if test not in deadly], *([test] for test in deadly)]
    for number in range(REPEATS if tests else 0):
        yield Progress("baseline", number, REPEATS, "repeats", note=f"repeating {len(tests)} failing tests")
        for group in filter(None, groups):
            again = run(command, sandbox, tests=group, seconds=limit)
            flaky |= {test for test in group if mended(whole.results[test], again)}
    return tuple(sorted(flaky))
