"""Search-based repair: try small edits at suspicious places until some make the failing tests pass and break nothing.

Generate and validate, after GenProg (Le Goues et al., TSE 2012) and TBar (Liu et al., ISSTA 2019), in the
deterministic order of suspicion times prior (as AE, Weimer et al., ASE 2013). A plausible patch passes the tests;
whether it is right is for a reader to say (Smith et al., *Is the cure worse than the disease?*, FSE 2015), so the
number of others is told too.
"""

import difflib
import re
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field

from qwencode.errors import ModelUnavailable, ToolError
from qwencode.events import CandidateFound, Event, Notice, PhaseStarted, Progress, SearchFinished
from qwencode.repair.forkserver import ServerFailed
from qwencode.repair.localise import Ranking
from qwencode.repair.mutate.candidates import Candidate, Seen, candidates
from qwencode.repair.plain import PlainTrial
from qwencode.repair.proposals import Ahead, Merged, Proposals, Questions, ranked
from qwencode.repair.trial import ForkTrial, Trial
from qwencode.sandbox.protocol import Sandbox
from qwencode.verify.results import Baseline
from qwencode.workspace import Workspace

KEPT = 3
"""Plausible patches that are shown, and near misses."""
_NEAR = 6  # candidates that seemed to come near, of which all tests are run at the end
_NEAR_SECONDS = 8.0
_BROKEN = 3  # tests that an edit may break and still be called a near miss
_NEIGHBOURHOOD = 0.6
_LONGER = 8.0
_TELL_EVERY = 0.25


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may spend: seconds of wall time and candidates tried."""

    seconds: float = 90.0
    candidates: int = 20_000


@dataclass(frozen=True, slots=True)
class Patch:
    """An edit of one file, as whole texts before and after. `score` is suspicion times prior, 0 to 1."""

    file: str
    before: str
    after: str
    what: str
    score: float

    def diff(self) -> str:
        """Return the unified diff, paths with `a/` and `b/`."""
        before, after = (re.findall(r"[^\n]*\n|[^\n]+", text) for text in (self.before, self.after))
        rows = difflib.unified_diff(before, after, f"a/{self.file}", f"b/{self.file}")
        return "".join(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n" for row in rows)


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An edit that mended some of the goal and broke nothing, or mended all of it and broke a few tests."""

    patch: Patch
    mended: tuple[str, ...]
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search came to: `patches` are the best plausible ones, best first, out of `plausible` found.

    `way` says how candidates were tried: fork or plain. `reason` says why it ended. `near` are the best near misses,
    best first, where nothing was plausible.
    """

    tried: int
    plausible: int
    seconds: float
    patches: tuple[Patch, ...] = ()
    reason: str = ""
    way: str = ""
    near: tuple[NearMiss, ...] = ()


@dataclass(slots=True)
class _State:
    """What a running search knows. `near`: the best candidates that were some good, though not plausible."""

    started: float
    tried: int = 0
    found: list[Candidate] = field(default_factory=list[Candidate])
    near: list[Candidate] = field(default_factory=list[Candidate])
    missed: list[NearMiss] = field(default_factory=list[NearMiss])
    found_at: float = 0.0
    exhausted: bool = False
    next_score: float = 1.0
    trouble: str = ""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def done(self, budget: Budget, *, busy: bool) -> str:
        """Return why the search should end, or ''.

        Once something is plausible, its neighbourhood is finished (candidates of a similar score), but for no more than
        some seconds and half as long again as it took so far.
        """
        if self.found:
            longer = self.seconds - self.found_at
            near = self.next_score >= _NEIGHBOURHOOD * max(candidate.score for candidate in self.found)
            if longer > min(_LONGER, 2.0 + 0.5 * self.found_at) or (not near and not busy):
                return "plausible edits were found and their neighbourhood was searched"
        if self.seconds >= budget.seconds:
            return f"the {budget.seconds:.0f} s for the search are used up"
        if self.tried >= budget.candidates:
            return f"{budget.candidates} candidates were tried"
        return "every candidate was tried" if self.exhausted and not busy else ""


def search(
    workspace: Workspace,
    sandbox: Sandbox,
    baseline: Baseline,
    ranking: Ranking,
    budget: Budget = Budget(),
    *,
    plain: bool = False,
    propose: Proposals | None = None,
) -> Generator[Event, None, SearchResult]:
    """Look for plausible edits, most suspicious and smallest first. The tree is unchanged whenever this is not running.

    `plain` tries every candidate from disk in a process of its own, which is the fallback where the fork server does
    not work. Protected files (tests and their settings) are never edited. `propose` adds candidates and has a say in
    the order of the plausible ones; where it fails, the search goes on without. The caller closes it. Closing the
    generator ends all processes and threads.
    """
    state = _State(time.monotonic())
    places = {file: lines for file, lines in ranking.lines.items() if file not in baseline.protected}
    count = sum(len(lines) for lines in places.values())
    yield PhaseStarted("search", f"{count} suspicious lines in {len(places)} files")
    texts = {file: ranking.texts[file] for file in places}
    seen, questions = Seen(texts), Questions(baseline, texts)
    ahead = Ahead(propose, questions, texts, places) if propose else None
    reason, way = "there is no suspicious place in Python code that may be changed", PlainTrial.name
    try:
        if places:
            stream = Merged(candidates(texts, places, ranking.literals, seen), seen, ahead)
            trial = ForkTrial(sandbox, baseline, texts) if not plain else None
            reason, way = yield from _try_all(
                stream, state, budget, texts, baseline, trial, PlainTrial(workspace, sandbox, baseline, texts)
            )
    finally:
        if ahead:
            ahead.close()
    best = sorted(state.found, key=_order)
    if propose and not state.trouble and len(best) > 1:
        with suppress(ModelUnavailable, OSError):  # the order without it is good enough
            best = ranked(best, propose, questions, texts)
    patches = tuple(_patch(candidate, texts) for candidate in best[:KEPT])
    diffs = tuple(patch.diff() for patch in patches)
    seconds = round(state.seconds, 3)
    yield SearchFinished(state.tried, len(state.found), seconds, diffs, reason)
    return SearchResult(state.tried, len(state.found), seconds, patches, reason, way, tuple(state.missed))


def _try_all(
    stream: Merged,
    state: _State,
    budget: Budget,
    texts: dict[str, str],
    baseline: Baseline,
    forked: ForkTrial | None,
    plain: PlainTrial,
) -> Generator[Event, None, tuple[str, str]]:
    """Try what the stream has, until there is a reason to stop, which is returned with the way that it was done."""
    trial: Trial = plain
    reason, told = "", 0.0
    try:
        if forked:
            try:
                forked.start()
                trial = forked
            except ServerFailed as why:
                yield Progress("search", 0, note=f"candidates are tried one by one: {why}")
        while not reason:
            try:
                new = _step(trial, stream, state)
            except ServerFailed as why:
                trial.close()
                trial = plain
                for candidate in forked.unfinished() if forked else ():
                    trial.submit(candidate)
                yield Progress("search", state.tried, note=f"candidates are tried one by one from here: {why}")
                continue
            if stream.trouble and not state.trouble:
                state.trouble = stream.trouble
                yield Notice(f"The search goes on without the built-in model: {stream.trouble}", "warning")
            for candidate in new:
                yield CandidateFound(_patch(candidate, texts).diff(), candidate.what, len(state.found))
            if new or state.seconds - told > _TELL_EVERY:
                told = state.seconds
                yield _progress(state, budget)
            reason = state.done(budget, busy=trial.busy)
        if not state.found:
            state.missed = _examined(trial, state, baseline, texts)
    finally:
        trial.close()
    return reason, trial.name


def apply(workspace: Workspace, patch: Patch) -> None:
    """Write a patch to disk in the file's own encoding.

    Raises ToolError when the file is no longer what the patch was made for.
    """
    file = workspace.read(patch.file)
    if file.text != patch.before:
        raise ToolError(f"{patch.file} has changed since the search; the edit was not written.")
    workspace.replace(patch.file, file, patch.after)


def _step(trial: Trial, stream: Merged, state: _State) -> list[Candidate]:
    """Feed the trial, hear what it says, and return the newly plausible candidates."""
    while trial.room > 0 and (candidate := stream.take()):
        state.next_score = candidate.score
        trial.submit(candidate)
    state.exhausted = stream.exhausted
    if not trial.busy and not state.exhausted:
        stream.wait(_TELL_EVERY)  # there is nothing to do until the model has an idea
        return []
    new: list[Candidate] = []
    for candidate, outcome in trial.poll(_TELL_EVERY):
        state.tried += 1
        if outcome == "plausible":
            state.found_at = state.found_at or state.seconds
            state.found.append(candidate)
            new.append(candidate)
        elif outcome in ("some", "broke"):
            state.near = sorted([*state.near, candidate], key=_order)[:_NEAR]
    return new


def _examined(trial: Trial, state: _State, baseline: Baseline, texts: dict[str, str]) -> list[NearMiss]:
    """Return what the candidates that came near are good for, best first: few broken, many mended, likely."""
    until, found = time.monotonic() + _NEAR_SECONDS, list[NearMiss]()
    for candidate in state.near:
        left = until - time.monotonic()
        seen = trial.examine(candidate, left) if left > 0 else None
        whole = seen and len(seen.mended) == len(baseline.goal)
        if seen and seen.mended and len(seen.broken) <= (_BROKEN if whole else 0):
            found.append(NearMiss(_patch(candidate, texts), seen.mended, seen.broken))
    return sorted(found, key=lambda miss: (len(miss.broken), -len(miss.mended), -miss.patch.score))[:KEPT]


def _progress(state: _State, budget: Budget) -> Progress:
    """The estimate is for the whole budget: what is left at most, by time or by number at the present speed."""
    rate = state.tried / max(state.seconds, 0.001)
    by_time = max(0.0, budget.seconds - state.seconds)
    left = min(by_time, (budget.candidates - state.tried) / rate) if state.tried else by_time
    note = f"{rate:.0f} per second, {len(state.found)} plausible"
    return Progress("search", state.tried, 0, "candidates", round(left, 1), note)


def _order(candidate: Candidate) -> tuple[float, int]:
    """Order plausible candidates: likelier first, then the smaller edit."""
    return (-candidate.score, len(candidate.text) + candidate.end - candidate.start)


def _patch(candidate: Candidate, texts: dict[str, str]) -> Patch:
    before = texts[candidate.file]
    return Patch(candidate.file, before, candidate.applied(before), candidate.what, candidate.score)
