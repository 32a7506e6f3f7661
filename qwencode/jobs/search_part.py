"""The search's part of a job: look for an edit, write it, and prove it."""

import time
from collections.abc import Callable, Generator, Sequence

from qwencode.errors import ModelUnavailable, ToolError
from qwencode.events import Event, Notice, VerdictReached
from qwencode.excerpt import clip, listed
from qwencode.jobs.ground import Ground
from qwencode.jobs.line_part import LABEL
from qwencode.repair.localise import Ranking
from qwencode.repair.proposals import Proposals, differing
from qwencode.repair.search import Budget, NearMiss, Patch, apply, search
from qwencode.verify.results import Baseline

CANDIDATES = 20_000
NEAR = 2
"""Near misses that the model is told of."""
_LEAST_SECONDS = 10.0  # that a search is given, also when others have used up what it may take

Order = Callable[[Baseline, Ranking, Sequence[Patch]], Generator[Event, None, Sequence[Patch]]]
"""Orders plausible edits, the best first."""


class SearchPart:
    """Searches for the tests of a baseline, as often as it is asked, but never twice in the same state of the tree.

    `seconds`: what all searches together may take; `left` says what the job has left. `close` ends what proposes edits.
    """

    def __init__(
        self,
        ground: Ground,
        seconds: float,
        left: Callable[[], float],
        order: Order,
        open_proposer: Callable[[], Proposals] | None,
    ):
        self._ground, self._left, self._order, self._open = ground, left, order, open_proposer
        self._until_now, self._seconds = 0.0, seconds
        self._propose: Proposals | None = None
        self._looked_at: set[tuple[tuple[str, ...], str]] = set()
        self._near: list[NearMiss] = []

    def mend(self, baseline: Baseline, ranking: Ranking, share: float) -> Generator[Event, None, VerdictReached | None]:
        """Try search repair: a `qwencode.jobs.causes.Mend`."""
        mark = self._ground.run.mark()
        if (state := (baseline.goal, mark.id)) in self._looked_at:
            return None
        self._looked_at.add(state)
        yield from self._open_proposer()
        mine = max(_LEAST_SECONDS, (self._seconds - self._until_now) * share)
        budget, began = Budget(min(mine, self._left()), CANDIDATES), time.monotonic()
        ground = self._ground
        result = yield from search(ground.workspace, ground.sandbox, baseline, ranking, budget, propose=self._propose)
        self._until_now += time.monotonic() - began
        self._near += result.near
        if stale := [file for file in sorted(ranking.lines) if not self._holds(file, ranking.texts[file])]:
            text = f"Changed while it was searched, so no edit of it is made: {listed(stale, 3)}."
            yield Notice(text, "warning")
        patches = [patch for patch in result.patches if patch.file not in stale]
        for patch in (yield from self._order(baseline, ranking, patches)):
            try:
                apply(ground.workspace, patch)
            except ToolError as error:
                yield Notice(str(error), "warning")
                continue
            others = f" ({patch.what}; {result.plausible - 1} other edits also pass)" if result.plausible > 1 else ""
            verdict, _ = yield from ground.proven(baseline, f"search{others}")
            if verdict.status == "fixed":
                return verdict
            yield Notice(f"An edit of the search was taken back. {verdict.reason}")
            yield from ground.put_back(mark)
        return None

    def near(self, baseline: Baseline) -> list[str]:
        """Return what came near to mending these tests and is still possible, best first, a line or two each."""
        lines: dict[str, None] = {}
        for miss in self._near:
            if set(miss.mended) & set(baseline.goal) and self._holds(miss.patch.file, miss.patch.before):
                lines[_described(miss, baseline.goal)] = None
        return list(lines)[:NEAR]

    def _holds(self, file: str, text: str) -> bool:
        try:
            return self._ground.workspace.read(file).text == text
        except ToolError:  # it is gone
            return False

    def close(self) -> None:
        """Close what proposes edits. Idempotent."""
        if self._propose:
            self._propose.close()
        self._propose = None

    def _open_proposer(self) -> Generator[Event, None, None]:
        """Open what proposes edits to the search. It is help, not a condition: where it fails, search goes without."""
        opener, self._open = self._open, None
        if opener is None:
            return
        try:
            self._propose = opener()
        except ModelUnavailable as error:
            yield Notice(f"Search goes on without the {LABEL}: {error}", "warning")


def _described(miss: NearMiss, goal: Sequence[str]) -> str:
    old, new = miss.patch.before.splitlines(), miss.patch.after.splitlines()
    start, end, new_end = differing(old, new)
    was, now = (clip(" ".join(" ".join(rows).split()), 160) for rows in (old[start:end], new[start:new_end]))
    edit = f"`{now}` in the place of `{was}`" if now and was else f"`{now}` added" if now else f"`{was}` deleted"
    still = [test for test in goal if test not in miss.mended]
    but = f"but breaks {listed(miss.broken, 3)}" if miss.broken else f"but not {listed(still, 3)}" if still else ""
    return f"{miss.patch.file}, line {start + 1}: {edit} mends {listed(miss.mended, 3)}{', ' if but else ''}{but}."
