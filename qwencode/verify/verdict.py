"""The verdict: what a clean re-run of all tests proves about a change.

*Fixed* means that every goal test passes, that no test which passed before fails, is skipped or is gone, and that no
test, no test setting and nothing of the test runner was changed. *Partly* means the same but for some goal tests that
still fail; one that is skipped or gone instead makes it nothing. What it does not see of these is whether one fails
earlier or worse than before: it never passed, so nothing that worked is lost, and its outcome is in the proof.

Covered by adversarial tests: a changed, added or removed test file, `conftest.py` or setting (also one that git is told
to ignore), a source that ends the process, prints or writes results, replaces parts of pytest, or begins to look at who
runs it. Not covered: code written to find the probe's key in the memory of its own process, and an edit that satisfies
the tests without being right.
"""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from qwencode.events import Event, PhaseStarted, Progress, TestChange, VerdictReached
from qwencode.sandbox.protocol import Sandbox
from qwencode.verify.protected import awareness, differences, fingerprints, path_of
from qwencode.verify.results import COLLECTION, Baseline, TestResult, TestRun, tests_of
from qwencode.verify.runners import run
from qwencode.workspace import Workspace

_NAMED = 3
_LEAST_SECONDS = 60.0


def prove(
    workspace: Workspace,
    sandbox: Sandbox,
    baseline: Baseline,
    *,
    goal_text: bool,
    by: str,
    allow_test_changes: bool,
    seconds: float,
) -> Generator[Event, None, tuple[VerdictReached, TestRun]]:
    """Run all tests again and compare them with the baseline.

    `goal_text` says that the user gave a goal in words; where no failing test was the goal, the best verdict is
    `unbroken`. `by` names who made the change. The run may take `seconds`, and at most ten times what the baseline
    took. `touched_tests` of the verdict names what was changed among the protected, also when that is allowed. The
    verdict is returned, not yielded: the caller adds what else it knows. With it comes the run that it speaks
    of.
    """
    started = time.monotonic()
    yield PhaseStarted("verdict", f"Clean re-run: {baseline.command}")
    touched = _touched(workspace, baseline)
    aware = awareness(workspace, baseline.protected)
    limit = min(seconds, max(_LEAST_SECONDS, 10 * baseline.run.seconds))
    after = run(baseline.command, sandbox, seconds=limit)
    suspects = [test for test in _newly_bad(baseline, after) if test in after.results]
    again: TestRun | None = None
    if suspects and after.status == "ran":
        yield Progress("verdict", 1, 2, "runs", note=f"repeating {len(suspects)} newly failing tests")
        again = run(baseline.command, sandbox, tests=suspects, seconds=limit)
    touched = tuple(sorted({*touched, *_touched(workspace, baseline)}))  # also what the tests' own run changed
    comparison = _compare(baseline, after, again, touched if allow_test_changes else ())
    reason = _tampering(baseline, after, () if allow_test_changes else touched, {} if allow_test_changes else aware)
    reason = reason or _run_problem(after, limit) or comparison.problem()
    verdict = VerdictReached(
        status="not_fixed" if reason else "partly" if comparison.still else "fixed" if baseline.goal else "unbroken",
        reason=reason or _praise(baseline, after, comparison.still, touched, goal_text),
        by=by,
        proof=_proof(baseline, after, again),
        passing_before=len(baseline.run.passing),
        passing_after=len(after.passing),
        touched_tests=touched,
        seconds=time.monotonic() - started,
    )
    return verdict, after


def _touched(workspace: Workspace, baseline: Baseline) -> tuple[str, ...]:
    now = fingerprints(workspace, baseline.command, baseline.run.results.values())
    return differences(baseline.protected, now)


def _tampering(baseline: Baseline, after: TestRun, touched: Sequence[str], aware: dict[str, int]) -> str:
    if touched:
        return f"Tests or their settings were changed, which proves nothing: {_list(touched)}."
    curious = sorted(name for name, count in aware.items() if count > baseline.aware.get(name, 0))
    if curious:
        return f"The change makes {_list(curious)} look at who runs it, so passing tests would prove nothing."
    replaced = sorted(set(after.replaced) - set(baseline.run.replaced))
    if replaced:
        return f"The tested code replaced parts of the test runner ({_list(replaced)}), so its results prove nothing."
    return ""


def _run_problem(after: TestRun, limit: float) -> str:
    running = [result.id for result in after.results.values() if result.outcome == "error" and not result.crash]
    match after.status:
        case "timed_out":
            where = f"; {_list(running[-1:])} was running" if running else ""
            return f"The tests did not end within {limit:.0f} s{where}."
        case "broken":
            where = f" while {_list(running[-1:])} ran" if running else ""
            return f"The test run did not come to its end{where}, so it proves nothing: {_last_line(after.output)}"
        case "no_tests" | "not_found":
            return f"No test ran any more: {_last_line(after.output)}"
        case _:
            return ""


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1][:200] if lines else "it printed nothing."


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Test ids by what is wrong with them, each empty in a good run.

    `some`: a part of the goal passes, and the rest fails.
    """

    some: bool
    still: tuple[str, ...]
    failing: tuple[str, ...]
    skipped: tuple[str, ...]
    gone: tuple[str, ...]

    def problem(self) -> str:
        """Return what keeps this from being a success, '' for nothing; a part of the goal is one if nothing broke."""
        if self.some and not (self.failing or self.skipped or self.gone):
            return ""
        parts = [
            f"{_list(self.still)} still {_verb(self.still, 'does', 'do')} not pass" if self.still else "",
            f"{_list(self.failing)} {_verb(self.failing, 'fails', 'fail')} now" if self.failing else "",
            f"{_list(self.skipped)} passed before and {_verb(self.skipped, 'is', 'are')} skipped now"
            if self.skipped
            else "",
            f"{_list(self.gone)} passed before and {_verb(self.gone, 'is', 'are')} gone now" if self.gone else "",
        ]
        text = "; ".join(filter(None, parts))
        return text and f"{text}."


def _compare(baseline: Baseline, after: TestRun, again: TestRun | None, allowed: Sequence[str]) -> _Comparison:
    """`allowed` are changed tests that the user lets pass: tests that were in these files may be gone."""
    free = {path_of(name) for name in allowed}
    lost = [test for test in baseline.run.passing if test not in baseline.flaky]
    known = baseline.run.results
    lost = [test for test in lost if not mended(known[test], after) and _outcome(again, test) != "passed"]
    new = [test for test in after.failing if test not in known and _outcome(again, test) != "passed"]
    bad = {test for test in lost if test in after.results and after.results[test].bad}
    still = tuple(test for test in baseline.goal if not mended(baseline.run.results[test], after))
    return _Comparison(
        some=len(still) < len(baseline.goal) and all(test in after.failing for test in still),
        still=still,
        failing=tuple(sorted({*bad, *new})),
        skipped=tuple(test for test in lost if test in after.results and test not in bad),
        gone=tuple(test for test in lost if test not in after.results and known[test].file not in free),
    )


def _newly_bad(baseline: Baseline, after: TestRun) -> list[str]:
    left_out = {*baseline.run.failing, *baseline.flaky}
    return [test for test in after.failing if test not in left_out]


def mended(before: TestResult, after: TestRun) -> bool:
    """Say whether a failing test passes now.

    What stood for other tests is gone when those can run, and mended when they pass: an error at collection, a fixture
    of a class or a module, a build that failed, a command that failed as a whole.
    """
    now = after.results.get(before.id)
    if now is not None:
        return now.outcome == "passed"
    results = after.results.values()
    instead = list(results) if before.id in (after.whole, COLLECTION, "cargo build") else []
    if not instead and before.outcome != "error" and before.id != before.file:
        return False  # a test, which stands for itself alone
    name = tests_of(before.id)
    instead = instead or [result for result in results if result.id.startswith((f"{name}::", f"{name} > ", f"{name}."))]
    instead = instead or [result for result in results if result.id.startswith(f"{name}/")]
    good = [result for result in instead if result.outcome == "passed"]
    return bool(good) and not any(result.bad for result in instead)


def _outcome(found: TestRun | None, test: str) -> str:
    result = found.results.get(test) if found is not None else None
    return result.outcome if result is not None else "gone"


def _proof(baseline: Baseline, after: TestRun, again: TestRun | None) -> tuple[TestChange, ...]:
    """Return the goal tests first, then every other test whose outcome changed."""
    before = baseline.run.results
    names = dict.fromkeys(baseline.goal)
    for test in sorted(before.keys() | after.results.keys()):
        if (before[test].outcome if test in before else "new") != _outcome(after, test):
            names.setdefault(test)
    rows: list[TestChange] = []
    for test in names:
        was, now = before[test].outcome if test in before else "new", _outcome(after, test)
        if test in before and now == "gone" and mended(before[test], after):
            now = "its tests pass"
        if test not in baseline.goal and now in ("failed", "error") and _outcome(again, test) == "passed":
            now = "flaky"
        if (was, now) != ("new", "passed"):
            rows.append(TestChange(test, was, now))
    return tuple(rows)


def _praise(baseline: Baseline, after: TestRun, still: Sequence[str], touched: Sequence[str], goal_text: bool) -> str:
    goal, kept = len(baseline.goal), len(baseline.run.passing)
    unchanged = f"changed with your leave: {_list(touched)}" if touched else "no test or test setting was changed"
    others = f"none of the {kept} that passed broke" if kept else "no other test had passed before"
    if still:
        done = goal - len(still)
        mended = f"{done} of {goal} failing tests {'passes' if done == 1 else 'pass'} now"
        return f"{mended}, {others}, {unchanged}; still failing: {_list(still)}."
    if goal:
        mended = "1 failing test passes now" if goal == 1 else f"{goal} failing tests pass now"
        return f"{mended}, {others}, {unchanged}."
    told = " whether the goal was reached is for you to judge" if goal_text else " no failing test was to be mended"
    return f"Nothing broke: {len(after.passing)} tests pass, {unchanged}. Only that was proven;{told}."


def _verb(tests: Sequence[str], one: str, many: str) -> str:
    return one if len(tests) == 1 else many


def _list(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
