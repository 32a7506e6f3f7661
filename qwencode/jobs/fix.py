"""`fix`: the order of work and nothing else. Baseline, search, model, verdict; what is not proven is put back.

Search and model first look at the whole goal; where that does not mend it, each cause is worked on by itself.
"""

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path

from qwencode.agent.budget import Budget, Meter
from qwencode.agent.thinking import POLICIES
from qwencode.context.repomap.repository import RepositoryMap
from qwencode.errors import BudgetSpent, ConsentNeeded, ModelUnavailable
from qwencode.events import Event, Notice, PhaseStarted, SandboxReady, SuspectsRanked, VerdictReached
from qwencode.jobs.attempts import Attempts
from qwencode.jobs.causes import Causes, described
from qwencode.jobs.ground import TEST_SECONDS, Ground, Worked
from qwencode.jobs.judging import Judging
from qwencode.jobs.line_part import LABEL, LineWork
from qwencode.jobs.search_part import SearchPart
from qwencode.jobs.undisturbed import undisturbed
from qwencode.messages import Usage
from qwencode.model.protocol import Model, Options
from qwencode.repair.cluster import independent
from qwencode.repair.localise import Ranking, rank
from qwencode.repair.proposals import Proposals
from qwencode.review.coverage_map import remember
from qwencode.sandbox.protocol import Sandbox
from qwencode.snapshots import Run, commit_paths
from qwencode.verify.baseline import take
from qwencode.verify.commands import discover
from qwencode.verify.results import Baseline
from qwencode.workspace import Workspace

SEARCH_SECONDS = 60.0
"""What searches may take together when a model stands behind them."""
SEARCH_SECONDS_ALONE = 180.0
AGENT_STEPS = 40
"""Turns of the model at most for a cause, where nobody has said how many in all."""
_SAMPLE_TOKENS = 1_000
LINE_SECONDS = 60.0
"""What the built-in model may take when nobody asked for it."""
_SHARES = 4  # causes at most that the search leaves time for, when it first tries to mend them all at once


@dataclass(frozen=True, slots=True)
class FixTask:
    """What is to be done. `wanted` are paths or test ids, relative to the root, that narrow the goal; empty: all."""

    goal: str = ""
    wanted: tuple[str, ...] = ()
    test: str = ""
    use_search: bool = True
    max_steps: int = 0
    """Turns of the model at most; 0: AGENT_STEPS a cause, and no limit for the built-in model, whose turns cost so
    little."""
    max_minutes: float = 30.0
    think: str = "auto"
    """auto, always or never: see `agent.thinking`."""
    attempts: int = 1
    """How often the model may begin anew at a cause."""
    dry_run: bool = False
    keep: bool = False
    commit: bool = False
    allow_test_changes: bool = False
    follow: bool = True
    """Whether the model is told what the repository's AGENTS.md files say."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the job works with. `approve` is asked before a change is kept; `open_model` is None without a model.

    `lines`: the model is one that mends single lines of Python and nothing else. Then `asked_for` says whether the user
    named it; otherwise it only fills in after the search, for LINE_SECONDS at most.
    """

    workspace: Workspace
    sandbox: Sandbox
    session: str
    maps: Path
    """Where maps of repositories are kept."""
    open_model: Callable[[], Model] | None
    approve: Callable[[], bool]
    advice: str = ""
    """What to tell the user when a model would have been needed and there is none."""
    options: Options = field(default_factory=Options)
    lines: bool = False
    asked_for: bool = True
    open_proposer: Callable[[], Proposals] | None = None
    """Opens what proposes edits to the search beside its own; None where no model may be used."""
    seconds_to_read: Callable[[int], float] | None = None
    """How long it takes to load the model and to let it read so many tokens; infinite where it could say nothing."""
    run: str = ""
    """What the run of the snapshots is called, in a session that has several."""
    coverage: Path | None = None
    """Where it is kept which files each test ran, for the hook; None: it is not."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the job ended. `verdict` is None when there was nothing to mend."""

    verdict: VerdictReached | None
    reason: str
    exit_code: int
    usage: Usage


class Fix:
    """One run of `fix`. `work` is the job; closing it at any moment puts the tree back."""

    def __init__(self, task: FixTask, parts: Parts):
        self.task = task
        self.parts = parts
        self.tried: list[str] = []
        self.aside = ""
        """What is still to be told of what somebody else has saved meanwhile, when `work` was closed."""
        self.deadline = time.monotonic() + task.max_minutes * 60
        self._meter = Meter(Budget(task.max_steps, 0.0))
        self._model: Model | None = None

    @property
    def usage(self) -> Usage:
        """What the model has read and written so far."""
        return self._meter.usage

    def work(self) -> Generator[Event, None, Outcome]:
        """Do the work and yield what happens.

        Raises UsageError for a repository without tests, BudgetSpent, ConsentNeeded, ModelUnavailable. The tree is
        as it was before unless the outcome says that a change was kept.
        """
        sandbox = self.parts.sandbox
        yield SandboxReady(sandbox.rung, sandbox.covers, sandbox.gaps)
        run = Run.begin(self.parts.workspace, self.parts.session, self.parts.run)
        try:
            outcome, unsaved = yield from self._kept_or_not(run)
        except GeneratorExit:
            raise  # nobody reads events any more
        except BaseException:
            yield from self.told()
            raise
        yield from self.told()
        if unsaved is not None and outcome.verdict and self.task.commit:
            yield self._commit(outcome.verdict, unsaved)
        return outcome

    def _kept_or_not(self, run: Run) -> Generator[Event, None, tuple[Outcome, tuple[str, ...] | None]]:
        """Mend, then close the run. With the outcome come the changed files that hold work of the user's, too; None
        where no change was kept.
        """
        kept, unsaved = False, None
        try:
            outcome = yield from self._mend(run)
            if outcome.verdict and self._to_keep(outcome.verdict):
                files = outcome.verdict.changed_files
                kept, unsaved = True, tuple(sorted({*run.unsaved(files), *run.shared(files)}))
        finally:
            kept = kept or self.task.keep
            with undisturbed():
                if not kept:
                    self.aside = run.set_aside()
                    run.restore()
                run.finish(kept, run.own() if kept else None)
        return outcome, unsaved

    def told(self) -> Generator[Event, None, None]:
        """Tell what is still to be told, as after `work` was closed."""
        if self.aside:
            text, self.aside = self.aside, ""
            yield Notice(text, "warning")

    def _to_keep(self, verdict: VerdictReached) -> bool:
        if self.task.dry_run or verdict.status == "not_fixed" or not verdict.changed_files:
            return False
        if not (self.task.keep or self.parts.approve()):
            raise ConsentNeeded("The change was not wanted; your files are as they were.")
        return True

    def _mend(self, run: Run) -> Generator[Event, None, Outcome]:
        workspace, sandbox = self.parts.workspace, self.parts.sandbox
        command = discover(workspace, self.task.test)
        baseline = yield from take(workspace, sandbox, command, seconds=self._left(TEST_SECONDS), coverage=True)
        run.expect()
        if self.parts.coverage:
            remember(self.parts.coverage, workspace, baseline.run)
        baseline = replace(baseline, wanted=self.task.wanted)
        if not baseline.goal and not self.task.goal:
            reason = _nothing_to_do(baseline)
            yield Notice(reason)
            return Outcome(None, reason, 0, self.usage)
        if not baseline.goal and (self.parts.open_model is None or self.parts.lines):
            which = f"another model than the {LABEL}" if self.parts.lines and self.parts.asked_for else "a model"
            raise ModelUnavailable(
                f"No test fails, and what you ask for in words needs {which}. {self.parts.advice}".strip()
            )
        outline = RepositoryMap(workspace, self.parts.maps)
        task, worked = self.task, Worked(workspace, run)
        ground = Ground(worked, sandbox, run, outline, bool(task.goal), task.allow_test_changes, task.follow)
        ranking = yield from self._localise(baseline)
        verdict, spent = yield from self._by_search_and_model(ground, baseline, ranking)
        small = self.parts.lines and not self.parts.asked_for
        lacking = self.parts.advice and (small or self.tried in ([], ["search"]))  # a larger model
        if lacking and (verdict is None or verdict.status == "partly"):
            yield Notice(self.parts.advice)
        if verdict is None:
            by, passing = self.tried[-1] if self.tried else "", len(baseline.run.passing)
            verdict = VerdictReached("not_fixed", self._reason(), by, (), passing, passing)
        yield verdict
        if verdict.status == "not_fixed" and spent:
            raise BudgetSpent(f"{spent} {verdict.reason}")
        if verdict.status == "not_fixed" and self._left() <= 0:
            raise BudgetSpent(f"The {round(self.task.max_minutes, 2):g} minutes are over. {verdict.reason}")
        unmended = ModelUnavailable.exit_code if lacking else 1
        code = {"not_fixed": unmended, "partly": 1}.get(verdict.status, 0)
        return Outcome(verdict, verdict.reason, code, self.usage)

    def _localise(self, baseline: Baseline) -> Generator[Event, None, Ranking]:
        yield PhaseStarted("localise", "Finding suspicious places")
        start = time.monotonic()
        ranking = rank(baseline.run, baseline.goal, self.parts.workspace, baseline.protected)
        yield SuspectsRanked(tuple(ranking.suspects[:20]), time.monotonic() - start)
        return ranking

    def _by_search_and_model(
        self, ground: Ground, baseline: Baseline, ranking: Ranking
    ) -> Generator[Event, None, tuple[VerdictReached | None, str]]:
        """Return what came of it, None when nothing was mended, and the limit that ended the model's work, or ''."""
        causes = Causes(ground, baseline, ranking)
        limit = SEARCH_SECONDS if self.parts.open_model and not self.parts.lines else SEARCH_SECONDS_ALONE
        seconds = None if self.parts.lines else self.parts.seconds_to_read
        judging = Judging(ground, self.task.goal, lambda: self._model, self._open, seconds)
        searching = SearchPart(ground, limit, self._left, judging.order, self.parts.open_proposer)
        failed, spent = None, ""
        try:
            if self.task.use_search and baseline.goal:
                self.tried.append("search")
                found = causes.found()
                whole = 0.0 if independent(found) else 1 / min(len(found), _SHARES)  # 0: only what any search is given
                if verdict := (yield from searching.mend(baseline, ranking, whole)):
                    return verdict, ""
                if len(found) > 1:
                    yield Notice(f"The failing tests seem to have {len(found)} causes: {described(found)}.")
                    yield from causes.each(searching.mend)
            if self.parts.open_model and (causes.now.goal or not baseline.goal):
                failed, spent = yield from self._by_model(ground, baseline, ranking, causes, searching)
        finally:
            searching.close()
            if self._model:  # before anything is asked: it may hold most of the memory
                self._model.close()
                self._model = None
        kept = [verdict for _, verdict in causes.kept]
        if not kept:
            about = {row.test for row in failed.proof} if failed else set[str]()
            return failed if about.issuperset(baseline.goal) else None, spent
        if len(kept) == 1 and causes.kept[0][0].goal == baseline.goal:
            return kept[0], spent
        by = " and ".join(dict.fromkeys(verdict.by for verdict in kept))
        return (yield from ground.proven(baseline, by))[0], spent

    def _by_model(
        self, ground: Ground, baseline: Baseline, ranking: Ranking, causes: Causes, searching: SearchPart
    ) -> Generator[Event, None, tuple[VerdictReached | None, str]]:
        """Let the model work on what still fails, and the search first, where the tree has changed since it looked.

        Returns the last verdict on what it failed to mend, and the limit that it came to. Raises ModelUnavailable when
        there is nothing to show for all the work.
        """
        left = max(1e-3, self._left())
        if self.parts.lines:
            seconds = left if self.parts.asked_for else min(left, LINE_SECONDS)
            self._meter = Meter(Budget(self.task.max_steps, seconds))
            work = LineWork(ground, self._open, self.parts.options, self._meter, self.parts.asked_for)
        else:
            steps = self.task.max_steps or AGENT_STEPS * max(1, len(causes.found()))
            self._meter = Meter(Budget(steps, left))
            work = Attempts(
                ground,
                self.task.goal,
                self._open,
                self.parts.options,
                self._meter,
                self.task.attempts,
                searching.near,
                self.task.keep,
                POLICIES[self.task.think],
                self._prefill_speed(),
            )

        def mend(part: Baseline, places: Ranking, share: float) -> Generator[Event, None, VerdictReached | None]:
            found = (yield from searching.mend(part, places, share)) if self.task.use_search else None
            return found or (yield from work.mend(part, places, share))

        if baseline.goal:
            yield from causes.each(mend)
        elif verdict := (yield from work.mend(baseline, ranking, 1.0)):
            causes.kept.append((baseline, verdict))
        if work.opened:
            self.tried.append(work.name)
        if work.trouble:
            if self.parts.asked_for and not (causes.kept or work.made):
                raise work.trouble
            how = "could not go on" if work.opened else "was not tried"
            yield Notice(f"The {LABEL if self.parts.lines else 'model'} {how}: {work.trouble}", "warning")
        return work.failed, work.spent

    def _prefill_speed(self) -> float:
        """Return the tokens a second that the model reads; 0 where nobody has measured it."""
        seconds = self.parts.seconds_to_read
        took = seconds(_SAMPLE_TOKENS) - seconds(0) if seconds else math.nan  # without the time it takes to load
        return _SAMPLE_TOKENS / took if took > 0 else 0.0

    def _open(self) -> Generator[Event, None, Model]:
        """Open the model, once in a run."""
        if self._model is None:
            assert self.parts.open_model is not None
            yield PhaseStarted("model", f"Loading the {LABEL if self.parts.lines else 'model'}")
            self._model = self.parts.open_model()
        return self._model

    def _reason(self) -> str:
        """Return that nothing was mended, and by what."""
        if not self.tried:
            return "Not fixed: nothing was found that could be tried."
        used = ", and no model was used" if self.tried == ["search"] else ""
        return f"Not fixed: {' and '.join(self.tried)} found no edit that mends it and breaks nothing{used}."

    def _commit(self, verdict: VerdictReached, unsaved: tuple[str, ...]) -> Event:
        if unsaved:
            which = f"{', '.join(unsaved)} {'holds' if len(unsaved) == 1 else 'hold'}"
            return Notice(f"Not committed: {which} changes of yours, too. Commit when you are ready.", "warning")
        mended = "Mend some of the failing tests" if verdict.status == "partly" else "Mend failing tests"
        message = self.task.goal.strip().splitlines()[0][:72] if self.task.goal else mended
        proof = "\n".join(f"{row.test}: {row.before} -> {row.after}" for row in verdict.proof)
        commit_paths(self.parts.workspace, verdict.changed_files, f"{message}\n\n{proof}\n")
        return Notice(f"Committed {', '.join(verdict.changed_files)}.")

    def _left(self, limit: float | None = None) -> float:
        left = max(0.0, self.deadline - time.monotonic())
        return left if limit is None else min(left, limit)


def _nothing_to_do(baseline: Baseline) -> str:
    if baseline.wanted and baseline.run.failing:
        return f"No failing test in {', '.join(baseline.wanted)}; nothing to mend there."
    if baseline.flaky:
        return f"Only flaky tests fail ({', '.join(baseline.flaky)}); nothing to mend reliably."
    passing = len(baseline.run.passing)
    which = "The only test passes" if passing == 1 else f"All {passing} tests pass"
    return f"{which} already; give a goal with -m to change something."
