"""`fix`: the order of work and nothing else. Baseline, search, agent, verdict; what is not proven is put back."""

import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from qwencode.agent.budget import Budget
from qwencode.agent.loop import Tree
from qwencode.agent.thinking import POLICIES
from qwencode.errors import BudgetSpent, ConsentNeeded, ModelUnavailable
from qwencode.events import Event, Notice, PhaseStarted, SandboxReady, SuspectsRanked, TreeChanged, VerdictReached
from qwencode.jobs.agent_part import AgentPart
from qwencode.jobs.line_part import LABEL, LinePart
from qwencode.messages import Usage
from qwencode.model.protocol import Model, Options
from qwencode.repair.localise import Ranking, rank
from qwencode.repair.proposals import Proposals
from qwencode.repair.search import Budget as SearchBudget
from qwencode.repair.search import apply, search
from qwencode.sandbox.protocol import Sandbox
from qwencode.snapshots import Run, commit_paths
from qwencode.tools.files import nothing_protected
from qwencode.verify.baseline import take
from qwencode.verify.commands import discover
from qwencode.verify.protected import is_test_path
from qwencode.verify.results import Baseline
from qwencode.verify.verdict import judge
from qwencode.workspace import Workspace

SEARCH_SECONDS = 60.0
"""What search may take when a model stands behind it."""
SEARCH_SECONDS_ALONE = 180.0
SEARCH_CANDIDATES = 20_000
AGENT_STEPS = 40
LINE_SECONDS = 60.0
"""What the built-in model may take when nobody asked for it."""
_LINE_TEST_SECONDS = 5.0  # and at least three times what all tests took before: most edits that hang are wrong
TEST_SECONDS = 600.0
"""A test run longer than this counts as hanging."""


@dataclass(frozen=True, slots=True)
class FixTask:
    """What is to be done. `wanted` are paths or test ids, relative to the root, that narrow the goal; empty: all."""

    goal: str = ""
    wanted: tuple[str, ...] = ()
    test: str = ""
    use_search: bool = True
    max_steps: int = 0
    """Turns of the model at most; 0: AGENT_STEPS, and no limit for the built-in model, whose turns cost so little."""
    max_minutes: float = 30.0
    think: str = "auto"
    """auto, always or never: see `agent.thinking`."""
    dry_run: bool = False
    keep: bool = False
    commit: bool = False
    allow_test_changes: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """What the job works with. `approve` is asked before a change is kept; `open_model` is None without a model.

    `lines`: the model is one that mends single lines of Python and nothing else. Then `asked_for` says whether the user
    named it; otherwise it only fills in after the search, for LINE_SECONDS at most.
    """

    workspace: Workspace
    sandbox: Sandbox
    session: str
    open_model: Callable[[], Model] | None
    approve: Callable[[], bool]
    advice: str = ""
    """What to tell the user when a model would have been needed and there is none."""
    options: Options = field(default_factory=Options)
    lines: bool = False
    asked_for: bool = True
    open_proposer: Callable[[], Proposals] | None = None
    """Opens what proposes edits to the search beside its own; None where no model may be used."""


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
        self.usage = Usage()
        self.tried: list[str] = []
        self.deadline = time.monotonic() + task.max_minutes * 60

    def work(self) -> Generator[Event, None, Outcome]:
        """Do the work and yield what happens.

        Raises UsageError for a repository without tests, BudgetSpent, ConsentNeeded, ModelUnavailable. The tree is
        as it was before unless the outcome says that a change was kept.
        """
        sandbox = self.parts.sandbox
        yield SandboxReady(sandbox.rung, sandbox.covers, sandbox.gaps)
        run = Run.begin(self.parts.workspace, self.parts.session)
        kept, unsaved = False, ()
        try:
            outcome = yield from self._mend(run)
            kept = outcome.verdict is not None and self._to_keep(outcome.verdict)
            unsaved = run.unsaved(outcome.verdict.changed_files) if kept and outcome.verdict else ()
        finally:
            kept = kept or self.task.keep
            with undisturbed():
                if not kept:
                    run.restore()
                run.finish(kept)
        if kept and outcome.verdict and self.task.commit:
            yield self._commit(outcome.verdict, unsaved)
        return outcome

    def _to_keep(self, verdict: VerdictReached) -> bool:
        if self.task.dry_run or verdict.status == "not_fixed" or not verdict.changed_files:
            return False
        if not self.parts.approve():
            raise ConsentNeeded("The change was not wanted; your files are as they were.")
        return True

    def _mend(self, run: Run) -> Generator[Event, None, Outcome]:
        workspace, sandbox = self.parts.workspace, self.parts.sandbox
        command = discover(workspace, self.task.test)
        baseline = yield from take(workspace, sandbox, command, seconds=self._left(TEST_SECONDS), coverage=True)
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
        ranking = yield from self._localise(baseline)
        verdict = None
        if self.task.use_search and baseline.goal:
            verdict = yield from self._search(run, baseline, ranking)
        if verdict is None:
            work = self._lines if self.parts.lines else self._agent
            verdict = yield from work(run, baseline, ranking)
        if verdict is None:
            if self.parts.advice:
                yield Notice(self.parts.advice)
            reason = self._reason()
            by, passing = self.tried[-1] if self.tried else "", len(baseline.run.passing)
            verdict = VerdictReached("not_fixed", reason, by, (), passing, passing)
            yield verdict
        if verdict.status == "not_fixed" and self._left() <= 0:
            raise BudgetSpent(f"The {self.task.max_minutes:g} minutes are over. {verdict.reason}")
        return Outcome(verdict, verdict.reason, 1 if verdict.status == "not_fixed" else 0, self.usage)

    def _localise(self, baseline: Baseline) -> Generator[Event, None, Ranking]:
        yield PhaseStarted("localise", "Finding suspicious places")
        start = time.monotonic()
        ranking = rank(baseline.run, baseline.goal, self.parts.workspace, baseline.protected)
        yield SuspectsRanked(tuple(ranking.suspects[:20]), time.monotonic() - start)
        return ranking

    def _search(self, run: Run, baseline: Baseline, ranking: Ranking) -> Generator[Event, None, VerdictReached | None]:
        """Try search repair. None when it found nothing that stands the verdict; then the tree is as before."""
        self.tried.append("search")
        limit = SEARCH_SECONDS if self.parts.open_model and not self.parts.lines else SEARCH_SECONDS_ALONE
        budget = SearchBudget(seconds=self._left(limit), candidates=SEARCH_CANDIDATES)
        workspace = self.parts.workspace
        propose = yield from self._open_proposer()
        try:
            result = yield from search(workspace, self.parts.sandbox, baseline, ranking, budget, propose=propose)
        finally:
            if propose:
                propose.close()
        for patch in result.patches:
            apply(workspace, patch)
            by = (
                f"search ({patch.what}; {result.plausible - 1} other edits also pass)"
                if result.plausible > 1
                else "search"
            )
            verdict = yield from self._verdict(run, baseline, by)
            if verdict.status != "not_fixed":
                return verdict
            run.restore()
        return None

    def _open_proposer(self) -> Generator[Event, None, Proposals | None]:
        """Open what proposes edits to the search. It is help, not a condition: where it fails, search goes without."""
        if self.parts.open_proposer is None:
            return None
        try:
            return self.parts.open_proposer()
        except ModelUnavailable as error:
            yield Notice(f"Search goes on without the {LABEL}: {error}", "warning")
            return None

    def _agent(self, run: Run, baseline: Baseline, ranking: Ranking) -> Generator[Event, None, VerdictReached | None]:
        if self.parts.open_model is None:
            return None
        yield PhaseStarted("model", "Loading the model")
        model = self.parts.open_model()
        try:
            workspace, sandbox = self.parts.workspace, self.parts.sandbox
            protected = nothing_protected if self.task.allow_test_changes else is_test_path
            tree = Tree(run.state, run.diff)
            goal, think = self.task.goal, POLICIES[self.task.think]
            part = AgentPart(goal, workspace, sandbox, baseline, ranking, protected, TEST_SECONDS, tree, think)
            spent = yield from part.work(
                model, self.parts.options, Budget(self.task.max_steps or AGENT_STEPS, self._left())
            )
            self.usage = spent.usage
            verdict = yield from self._verdict(run, baseline, f"the model {model.name}")
        finally:
            model.close()
        if verdict.status == "not_fixed" and spent.ended == "budget":
            raise BudgetSpent(f"{spent.reason} {verdict.reason}")
        return verdict

    def _lines(self, run: Run, baseline: Baseline, ranking: Ranking) -> Generator[Event, None, VerdictReached | None]:
        """Let the built-in model try. None when it mended nothing; then the tree is as before."""
        protected = nothing_protected if self.task.allow_test_changes else is_test_path
        seconds = min(TEST_SECONDS, max(_LINE_TEST_SECONDS, 3 * baseline.run.seconds))
        part = LinePart(self.parts.workspace, self.parts.sandbox, baseline, ranking, protected, seconds)
        if not baseline.goal or not part.places():
            if self.parts.asked_for:
                yield Notice(f"The failing tests run no function that can be shown to the {LABEL}.", "warning")
            return None
        model = yield from self._open_lines()
        if model is None:
            return None
        self.tried.append("the built-in model")
        left = self._left() if self.parts.asked_for else self._left(LINE_SECONDS)
        try:
            spent = yield from part.work(model, self.parts.options, Budget(self.task.max_steps, max(left, 1e-3)))
        finally:
            model.close()
        self.usage = spent.usage
        if spent.ended == "done":
            verdict = yield from self._verdict(run, baseline, self.tried[-1])
            if verdict.status != "not_fixed":
                return verdict
            run.restore()
        elif spent.ended == "budget" and self.parts.asked_for:
            raise BudgetSpent(f"{spent.reason} {self._reason()}")
        return None

    def _open_lines(self) -> Generator[Event, None, Model | None]:
        """Open the built-in model. One that nobody asked for may fail to open: then there is none."""
        yield PhaseStarted("model", f"Loading the {LABEL}")
        assert self.parts.open_model is not None
        try:
            model = self.parts.open_model()
        except ModelUnavailable as error:
            if self.parts.asked_for:
                raise
            yield Notice(f"The {LABEL} was not tried: {error}", "warning")
            return None
        yield Notice(f"The {LABEL} tries edits.")
        return model

    def _reason(self) -> str:
        """Return that nothing was mended, and by what."""
        if not self.tried:
            return "Not fixed: nothing was found that could be tried."
        used = "" if "the built-in model" in self.tried else ", and no model was used"
        return f"Not fixed: {' and '.join(self.tried)} found no edit that mends it and breaks nothing{used}."

    def _verdict(self, run: Run, baseline: Baseline, by: str) -> Generator[Event, None, VerdictReached]:
        changed = run.changed()
        if changed:
            yield TreeChanged(run.diff(), changed)
        verdict = yield from judge(
            self.parts.workspace,
            self.parts.sandbox,
            baseline,
            goal_text=bool(self.task.goal),
            by=by,
            allow_test_changes=self.task.allow_test_changes,
            seconds=TEST_SECONDS,
        )
        verdict = replace(verdict, changed_files=changed)
        yield verdict
        return verdict

    def _commit(self, verdict: VerdictReached, unsaved: tuple[str, ...]) -> Event:
        if unsaved:
            text = (
                f"Not committed: {', '.join(unsaved)} held changes of yours before the run. Commit when you are ready."
            )
            return Notice(text, "warning")
        message = self.task.goal.strip().splitlines()[0][:72] if self.task.goal else "Mend failing tests"
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


@contextmanager
def undisturbed() -> Generator[None]:
    """Hold back Ctrl-C and requests to end while files are put back: half a restore is worse than a second's wait."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
