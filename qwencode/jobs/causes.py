"""One cause after the other: what was mended for one stays while the next is worked on."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from qwencode.events import Event, Notice, PhaseStarted, SuspectsRanked, VerdictReached
from qwencode.excerpt import listed
from qwencode.jobs.ground import TEST_SECONDS, Ground
from qwencode.repair.cluster import Cause, causes, evidence
from qwencode.repair.localise import Ranking, rank
from qwencode.verify.results import Baseline
from qwencode.verify.runners import run

Mend = Callable[[Baseline, Ranking, float], Generator[Event, None, VerdictReached | None]]
"""Works on a baseline whose goal are the tests of one cause, with a share (0 to 1) of the budget that is left.

Returns a verdict of what it left in the tree, fixed or partly; None: the tree is as it was.
"""
_NAMED = 3


class Causes:
    """What still fails, by cause.

    `now` is the state of the tests with what was mended so far; `kept` are the verdicts on that, each on the baseline
    of its cause alone. Causes are told apart anew after each change, so a test that was mended with others is not
    worked on again.
    """

    def __init__(self, ground: Ground, baseline: Baseline, ranking: Ranking):
        self.now = baseline
        self.kept: list[tuple[Baseline, VerdictReached]] = []
        self._ground, self._first = ground, ranking

    def found(self, but: frozenset[str] = frozenset()) -> tuple[Cause, ...]:
        """Return the causes of what still fails, the easiest first, without some of the tests."""
        left = replace(self.now, only=frozenset(self.now.goal) - but)
        return causes(evidence(left, self._ground.workspace))

    def each(self, mend: Mend) -> Generator[Event, None, None]:
        """Have every cause worked on once, each with an equal share of what is left when its turn comes."""
        passed_over: frozenset[str] = frozenset()
        while left := self.found(passed_over):
            cause = left[0]
            baseline = replace(self.now, only=frozenset(cause.tests))
            ranking = yield from self._ranking(cause)
            verdict = yield from mend(baseline, ranking, 1 / len(left))
            if verdict:
                self.kept.append((baseline, verdict))
                yield from self._look_again(verdict)
            passed_over |= frozenset(cause.tests)

    def _ranking(self, cause: Cause) -> Generator[Event, None, Ranking]:
        if not self.kept and cause.tests == self.now.goal:
            return self._first
        yield Notice(f"One cause by itself: {described([cause])}.")
        ranking = rank(self.now.run, cause.tests, self._ground.workspace, self.now.protected)
        yield SuspectsRanked(tuple(ranking.suspects[:20]), 0.0)
        return ranking

    def _look_again(self, verdict: VerdictReached) -> Generator[Event, None, None]:
        """Take the state of the tests anew: lines have moved, and what passes now must not break any more."""
        passing = {row.test for row in verdict.proof if row.after in ("passed", "its tests pass")}
        still = frozenset(self.now.goal) - passing
        self.now = replace(self.now, only=still)
        if not still:
            return
        yield PhaseStarted("baseline", f"Running the tests again, with what was mended: {self.now.command}")
        again = run(self.now.command, self._ground.sandbox, seconds=TEST_SECONDS, coverage=True)
        if again.status == "ran":
            self.now = replace(self.now, run=again)


def described(found: Sequence[Cause]) -> str:
    """Return causes in words: the tests of each, and where they fail."""
    texts = [listed(cause.tests, _NAMED) + (f" ({cause.where})" if cause.where else "") for cause in found[:_NAMED]]
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(texts) + more
