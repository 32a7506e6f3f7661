"""The built-in model's part of a job: the same loop, in the one form in which that model was trained.

Conversations are short. Each shows a suspicious function with some lines marked, and ends after a try or two; the next
one begins elsewhere. So the history is rewound to nothing again and again, which costs this model next to no time.
"""

import ast
import itertools
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace

from qwencode.agent.budget import Budget, Meter
from qwencode.agent.loop import Agent
from qwencode.agent.outcome import Outcome, ended
from qwencode.agent.thinking import Decision, Step
from qwencode.errors import ModelUnavailable
from qwencode.events import (
    Event,
    HistoryRewound,
    MessageAdded,
    Notice,
    PhaseStarted,
    Suspect,
    ThinkingDecided,
    VerdictReached,
)
from qwencode.jobs.ground import TEST_SECONDS, Ground
from qwencode.jobs.shares import part_of
from qwencode.messages import Message
from qwencode.model.builtin.prompt import excerpt, failure_of, question
from qwencode.model.protocol import Model, Options
from qwencode.repair.localise import Ranking
from qwencode.sandbox.protocol import Sandbox
from qwencode.tools.files import Files
from qwencode.tools.try_edit import Aim, Tries
from qwencode.verify.results import Baseline, TestRun
from qwencode.verify.runners import run
from qwencode.workspace import Workspace

LABEL = "built-in model (4.5 M parameters; single lines of Python)"
"""What it is called wherever a user reads of it."""
TRIES = 2
"""Edits in one conversation; it was trained with no more."""
REPLY_TOKENS = 256
IDLE = 40
"""Conversations in a row that brought no new edit, after which nothing more is to be expected."""
_FIRST_PLACES, _MORE_PLACES = 3, 2  # functions looked at in the first cycle, and how many more in each further one
_MOST_PLACES = 40
_MARKED = (3, 1, 4, 2)  # lines marked in the visits to a function, in turn
_CONTINUED = 0.9  # suspicion of the further lines of a statement, as a share of its first line's
_TEST_SECONDS = 5.0  # and at least three times what all tests took before
_WHOLE = 1 << 30  # characters: so a function is not cut


@dataclass(frozen=True, slots=True)
class _Place:
    """A suspicious function: its lines that may be marked, most suspicious first."""

    suspect: Suspect
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LinePart:
    """What the built-in model is set to work on. `protected` says of a path whether it is a test or a test setting.

    `test_seconds` is the longest that one test run may take.
    """

    workspace: Workspace
    sandbox: Sandbox
    baseline: Baseline
    ranking: Ranking
    protected: Callable[[str], bool]
    test_seconds: float

    @classmethod
    def on(cls, ground: Ground, baseline: Baseline, ranking: Ranking) -> "LinePart":
        """Return the part for a goal. Most edits that hang are wrong, so tests get little more time than they took."""
        seconds = min(TEST_SECONDS, max(_TEST_SECONDS, 3 * baseline.run.seconds))
        return cls(ground.workspace, ground.sandbox, baseline, ranking, ground.protected, seconds)

    def places(self) -> list[Suspect]:
        """Return the functions that can be shown to the model, most suspicious first; none where no Python fails."""
        return [place.suspect for place in self._places()]

    def work(self, model: Model, options: Options, budget: Budget) -> Generator[Event, None, Outcome]:
        """Let the model try until all tests pass (`done`), nothing new comes (`unmet`) or the budget is spent.

        Unless all tests pass the tree is as before; that also holds when this is closed. Raises ModelUnavailable.
        """
        yield PhaseStarted("agent", f"Trying edits of the {LABEL}")
        tries = Tries(Files(self.workspace, self.protected), self._run_tests, self.baseline)
        meter, idle, rewinds = Meter(budget), 0, False
        yield ThinkingDecided(False, _never(Step()).reason)
        for number, aim in enumerate(self._aims()):
            if aim is None:
                if (idle := idle + 1) == IDLE:
                    break
                continue
            if rewinds:
                lines = ", ".join(map(str, sorted(aim.marked)))
                yield HistoryRewound(0, f"{aim.file}, line {lines}")
            before, tries.aim, rewinds = tries.ran, aim, True
            yield from self._conversation(model, options, meter, tries, self._failure(number))
            if tries.passed:
                return ended("done", "All tests pass.", "", meter)
            if reason := meter.spent():
                return ended("budget", reason, "", meter)
            idle = 0 if tries.ran > before else idle + 1
            if idle == IDLE:
                break
        return ended("unmet", "Nothing new comes from it.", "", meter)

    def _conversation(
        self, model: Model, options: Options, meter: Meter, tries: Tries, failure: str
    ) -> Generator[Event, None, None]:
        """Ask for one edit, and after a failed one for another; to one that passed the model has the last word."""
        assert tries.aim is not None
        history = [Message("user", question(tries.aim.file, tries.aim.shown, tries.aim.marked, failure))]
        yield MessageAdded(history[0])
        wanted = replace(options, tool_choice="required", max_tokens=min(REPLY_TOKENS, options.max_tokens))
        for _ in range(TRIES):
            yield from self._turn(model, wanted, meter, tries, history)
            if tries.passed:
                yield from self._turn(model, replace(wanted, tool_choice="auto"), meter, tries, history)
                return
            if meter.spent() or history[-1].role != "tool" or history[-2].tool_calls[-1].problem:
                return

    def _turn(
        self, model: Model, options: Options, meter: Meter, tries: Tries, history: list[Message]
    ) -> Generator[Event, None, None]:
        """Run the loop for one step. The seed is another one each time, and the same in each run of the job."""
        if meter.spent():
            return
        seconds = meter.budget.seconds and max(1e-3, meter.budget.seconds - meter.seconds)
        options = replace(options, seed=(options.seed or 0) + meter.steps)
        tool = tries.tool()
        agent = Agent(model, {tool.spec.name: tool}, options, Budget(1, seconds, meter.tokens_left or 0), think=_never)
        work = agent.run(history)
        try:
            while True:
                event = next(work)
                if not isinstance(event, ThinkingDecided):  # it never thinks, and that was said once
                    yield event
        except StopIteration as end:
            done: Outcome = end.value
        finally:
            work.close()
        meter.usage += done.usage
        meter.steps += done.steps

    def _run_tests(self, tests: tuple[str, ...]) -> TestRun:
        return run(self.baseline.command, self.sandbox, tests=tests, seconds=self.test_seconds)

    def _failure(self, number: int) -> str:
        """Return two lines about one of the failing tests, in turn."""
        goal = self.baseline.goal
        return failure_of(self.baseline.run.results[goal[number % len(goal)]].message) if goal else ""

    def _aims(self) -> Iterator[Aim | None]:
        """Yield what to show, without end: the suspicious functions in turn, more of them in each cycle.

        None stands for lines that cannot be shown.
        """
        places = self._places()
        for cycle in itertools.count() if places else ():
            for place in places[: _FIRST_PLACES + _MORE_PLACES * cycle]:
                yield self._aim(place, cycle)

    def _aim(self, place: _Place, visit: int) -> Aim | None:
        """Return the function with another choice of its most suspicious lines marked at each visit."""
        count = len(place.lines)
        steps = visit // 2 * 2
        start = (steps + steps // count) % count
        wanted = (place.lines * 2)[start : start + min(count, _MARKED[visit % len(_MARKED)])]
        shown = excerpt(self.ranking.texts[place.suspect.file], wanted[0])
        marked = frozenset(wanted) & set(shown.numbers) if shown else frozenset[int]()
        return Aim(place.suspect.file, shown, marked) if shown and marked else None

    def _places(self) -> list[_Place]:
        found: list[_Place] = []
        weights = {file: _weights(self.ranking.texts[file], lines) for file, lines in self.ranking.lines.items()}
        for suspect in self.ranking.suspects[:_MOST_PLACES]:
            text, suspicion = self.ranking.texts[suspect.file], weights[suspect.file]
            whole = excerpt(text, suspect.line, _WHOLE)
            numbers = sorted({*whole.numbers} & suspicion.keys() if whole else (), key=lambda n: (-suspicion[n], n))
            if numbers and not self.protected(suspect.file):
                found.append(_Place(suspect, tuple(numbers)))
        return found


@dataclass(slots=True)
class LineWork:
    """The built-in model at work on one cause after the other. `meter` measures all of it.

    `asked_for` says whether the user named it. Otherwise it only fills in: that it cannot be loaded or comes to a limit
    is no failure then.
    """

    ground: Ground
    open_model: Callable[[], Generator[Event, None, Model]]
    options: Options
    meter: Meter
    asked_for: bool
    opened: bool = False
    """Whether the model was there once."""
    made: int = 0
    """Causes that it has worked on to the end."""
    failed: VerdictReached | None = None
    """The verdict on what passed its own tests, but not the clean re-run."""
    spent: str = ""
    """The limit that ended its work, or ''."""
    trouble: ModelUnavailable | None = None
    """Why it cannot be used."""
    name: str = "the built-in model"

    def mend(self, baseline: Baseline, ranking: Ranking, share: float) -> Generator[Event, None, VerdictReached | None]:
        """Let it try to mend a cause: a `qwencode.jobs.causes.Mend`."""
        part = LinePart.on(self.ground, baseline, ranking)
        if self.trouble or (self.made and self.meter.spent()):
            return None
        if not part.places():
            if self.asked_for:
                yield Notice(f"The failing tests run no function that can be shown to the {LABEL}.", "warning")
            return None
        mark = self.ground.run.mark()
        done: Outcome | None = None
        try:
            model = yield from self.open_model()
            if not self.opened:
                yield Notice(f"The {LABEL} tries edits.")
            self.opened = True
            done = yield from part.work(model, self.options, part_of(self.meter, share))
        except ModelUnavailable as error:  # maybe after an edit that mends all, which stays then
            self.trouble = error
        if done:
            self.made += 1
            self.meter.steps += done.steps
            self.meter.usage += done.usage
            self.spent = done.reason if done.ended == "budget" and self.asked_for else ""
        if (done and done.ended != "done") or not mark.differing(self.ground.run.look()):
            return None
        verdict, _ = yield from self.ground.proven(baseline, self.name)
        if verdict.status == "fixed":
            return verdict
        yield from self.ground.put_back(mark)
        return None


def _weights(text: str, lines: Mapping[int, float]) -> dict[int, float]:
    """Return the suspicion of lines, also of those that continue a statement: coverage knows only its first line."""
    found = {line: score for line, score in lines.items() if score > 0}
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return found
    for node in nodes:
        if isinstance(node, ast.stmt) and not hasattr(node, "body") and node.lineno in found:
            for line in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1):
                found.setdefault(line, _CONTINUED * found[node.lineno])
    return found


def _never(step: Step) -> Decision:
    return Decision(False, "the built-in model does not think")
