"""`run_tests`: the repository's tests, as a structured result against the state before any change."""

import re
from collections.abc import Callable
from typing import Annotated

from qwencode.errors import ToolError
from qwencode.excerpt import listed, plain, trimmed
from qwencode.tools.files import similar
from qwencode.tools.protocol import Tool, ToolResult
from qwencode.tools.schema import tool
from qwencode.verify.results import TestRun

CHARS = 6_000
MESSAGE_CHARS = 1_800
_NAMED = 8
_TEST_ID = re.compile(r"(?:\[[^\]\n]*\]|[^\s\[])+")  # a parametrised id may hold blanks, inside its brackets


def run_tests_tool(run: Callable[[tuple[str, ...]], TestRun], before: TestRun | None = None) -> Tool:
    """Make the tool. `run` takes test ids (empty: all); `before` is the run to compare with."""

    def run_tests(
        selection: Annotated[str, "test ids or files, separated by blanks; default: all"] = "",
    ) -> ToolResult:
        """Run the tests and say what passes, fails and changed."""
        done = run(tuple(_TEST_ID.findall(selection)))
        if not done.results:
            raise ToolError(f"{_state(done)} {_advice(done, selection, before)}".strip() + _printed(done))
        counts = f"{len(done.failing)} failed, {len(done.passing)} passed"
        parts = [f"{counts} in {done.seconds:.1f} s.", *_changes(done, before), *_failures(done)]
        if done.status != "ran":
            parts.insert(0, f"{_state(done)} {len(done.unfinished)} tests were not started.")
        ok = done.status == "ran" and not done.failing
        return ToolResult("\n".join(parts), f"tests: {counts}", ok)

    return tool(run_tests)


def _state(done: TestRun) -> str:
    match done.status:
        case "timed_out":
            return f"The tests did not end within {done.seconds:.0f} s and were killed; look for an endless loop."
        case "no_tests":
            return "No test was found."
        case "not_found":
            return "The test command does not exist here."
        case "broken":
            return "The test runner broke off."
        case "ran":
            return "The tests ran, but the runner does not say which."


def _advice(done: TestRun, selection: str, before: TestRun | None) -> str:
    """Name what was asked for and is not known. A runner breaks off at an unknown id, or finds nothing."""
    known = list(before.results) if before else []
    if done.status == "no_tests" and selection:
        return f"The selection was {selection!r}. {similar(selection, known)}"
    asked = _TEST_ID.findall(selection) if done.status == "broken" and known else []
    strange = next((name for name in asked if not any(name in test for test in known)), "")
    return f"Before your changes there was no test {strange!r}. {similar(strange, known)}" if strange else ""


def _printed(done: TestRun) -> str:
    output = trimmed(plain(done.output).strip("\n"), MESSAGE_CHARS)
    return f"\nThe runner printed:\n{output}" if output else ""


def _changes(done: TestRun, before: TestRun | None) -> list[str]:
    """Compare with the run before any change; tests that did not run now are not spoken of."""
    if before is None:
        return []
    failed, passed = set(before.failing), set(before.passing)
    groups = {
        "Now passing": [test for test in done.passing if test in failed],
        "Still failing": [test for test in done.failing if test in failed],
        "BROKEN by your changes (passed before)": [test for test in done.failing if test in passed],
        "Failing and new": [test for test in done.failing if test not in failed | passed],
    }
    return [f"{name} ({len(tests)}): {listed(tests, _NAMED)}" for name, tests in groups.items() if tests]


def _failures(done: TestRun) -> list[str]:
    """Return the messages of failing tests, as many as fit."""
    parts: list[str] = []
    used = 0
    for number, test in enumerate(done.failing):
        message = trimmed(plain(done.results[test].message).strip("\n"), MESSAGE_CHARS)
        used += len(message)
        if number and used > CHARS:
            parts.append(f"[{len(done.failing) - number} more; see one by its id as selection]")
            break
        parts.append(f"--- {test}\n{message}")
    return parts
