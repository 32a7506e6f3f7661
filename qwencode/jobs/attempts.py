"""The model's attempts at a cause: each from the same state of the tree and of the history, wiser by what failed.

What is evaluated again in a further attempt is the lesson and nothing before it: the history is the same system message
and the same task, with the lessons after them, and the model's memory goes back to where the first attempt began.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from qwencode.agent.budget import Meter
from qwencode.agent.outcome import Outcome
from qwencode.agent.thinking import ThinkingPolicy, on_hard_steps
from qwencode.errors import ModelUnavailable
from qwencode.events import Event, HistoryRewound, MessageAdded, Notice, VerdictReached
from qwencode.excerpt import clip, plain, trimmed
from qwencode.jobs.agent_part import AgentPart
from qwencode.jobs.ground import Ground
from qwencode.jobs.shares import part_of
from qwencode.messages import Message
from qwencode.model.builtin.prompt import failure_of
from qwencode.model.protocol import Model, Options
from qwencode.repair.localise import Ranking
from qwencode.snapshots.tree import Snapshot
from qwencode.verify.results import Baseline, TestRun

NOT_LAST = 2 / 3
"""The share of what is left that an attempt may use when another one is to come."""
DIFF_CHARS = 1_500
_NAMED = 3
_SAID = 400  # characters of a failure


@dataclass(slots=True)
class Attempts:
    """What the model does for one cause after the other, with `most` attempts at each.

    `meter` measures all of it. `near` gives what the search found to come near. With `keep` the last attempt stays in
    the tree though it failed.
    """

    ground: Ground
    goal: str
    open_model: Callable[[], Generator[Event, None, Model]]
    options: Options
    meter: Meter
    most: int
    near: Callable[[Baseline], Sequence[str]]
    keep: bool = False
    think: ThinkingPolicy = on_hard_steps
    prefill_speed: float = 0.0
    """Tokens a second that the model reads; 0: unknown."""
    opened: bool = False
    """Whether the model was there once."""
    made: int = 0
    """Attempts that came to their end."""
    failed: VerdictReached | None = None
    """The verdict on the last attempt that did not mend its cause."""
    spent: str = ""
    """The limit that ended the last attempt, or ''."""
    trouble: ModelUnavailable | None = None
    """Why the model cannot go on."""
    name: str = ""
    """What the model is called in a sentence."""
    _told: bool = False

    def mend(self, baseline: Baseline, ranking: Ranking, share: float) -> Generator[Event, None, VerdictReached | None]:
        """Let the model try to mend a cause: a `qwencode.jobs.causes.Mend`.

        A partial result of one attempt is kept when no other does better. What a model leaves that goes away in the
        midst of one is proven like any other.
        """
        if self.trouble or (self.made and self.meter.spent()):
            return None
        run, part = self.ground.run, self._part(baseline, ranking)
        history, mark, mine = (yield from self._opening(part)), run.mark(), Meter(part_of(self.meter, share))
        best: tuple[VerdictReached, Snapshot] | None = None
        for number in range(1, self.most + 1):
            done = yield from self._attempt(part, number, mine, [*history])
            if done is None and not mark.differing(run.look()):
                break
            verdict, after = yield from self.ground.proven(baseline, self.name)
            if verdict.status == "fixed" or (done and verdict.status == "unbroken"):
                return verdict
            if verdict.status == "partly" and (best is None or _passing(verdict) > _passing(best[0])):
                best = verdict, run.mark()
            if verdict.status != "unbroken":  # of half the work: that nothing broke says nothing
                self.failed = verdict
            last = done is None or number == self.most or bool(mine.spent())
            if last and self.keep and best is None:
                return None
            if last or done is None:
                break
            learnt = lesson(number, run.diff(mark), done, verdict, after)
            yield from self.ground.put_back(mark)
            yield Notice(f"Attempt {number} of {self.most} was taken back. {verdict.reason}")
            yield HistoryRewound(len(history), f"attempt {number + 1} of {self.most} begins where this one began")
            history.append(learnt)
            yield MessageAdded(learnt)
        yield from self.ground.put_back(best[1] if best else mark)
        return best[0] if best else None

    def _part(self, baseline: Baseline, ranking: Ranking) -> AgentPart:
        return AgentPart(self.goal, self.ground, baseline, ranking, self.near(baseline), self.think, self.prefill_speed)

    def _opening(self, part: AgentPart) -> Generator[Event, None, list[Message]]:
        """Tell of the messages with which a cause begins; the first of them is the same for all causes."""
        history = yield from part.opening()
        if self._told:
            yield HistoryRewound(1, "the next cause")
        for message in history[1:] if self._told else history:
            yield MessageAdded(message)
        self._told = True
        return history

    def _attempt(
        self, part: AgentPart, number: int, mine: Meter, history: list[Message]
    ) -> Generator[Event, None, Outcome | None]:
        """Make an attempt and return how it ended; None when the model cannot go on. The tree may have changed then."""
        seed = self.options.seed
        options = self.options if seed is None else replace(self.options, seed=seed + number - 1)
        budget = part_of(mine, 1.0 if number == self.most else NOT_LAST)
        try:
            model = yield from self.open_model()
            self.opened, self.name = True, f"the model {model.name}"
            done = yield from part.work(model, options, budget, history)
        except ModelUnavailable as error:
            self.trouble = error
            return None
        for meter in (mine, self.meter):
            meter.steps += done.steps
            meter.usage += done.usage
        self.made += 1
        self.spent = (self.meter.spent() or done.reason) if done.ended == "budget" else ""
        return done


def lesson(number: int, diff: str, ended: Outcome, verdict: VerdictReached, after: TestRun) -> Message:
    """Return what an attempt has taught, for the next one: what it changed, and what came of that."""
    rows = [row.test for row in verdict.proof if row.after in ("failed", "error")]
    failures = [
        f"{test}:\n{clip(failure_of(after.results[test].message), _SAID)}"
        for test in rows[:_NAMED]
        if test in after.results
    ]
    changed = f"changed this, and it was taken back:\n{_short(diff)}" if diff else "changed no file."
    stopped = f"It did not come to an end: {ended.reason}" if ended.ended == "budget" else ""
    parts = [
        f"This was tried before. Attempt {number} {changed}",
        " ".join(filter(None, ["What came of it:", verdict.reason, stopped])),
        "\n".join(failures),
        "All files are as they were before it. Do not repeat it: find what it missed.",
    ]
    return Message("user", "\n".join(filter(None, parts)))


def _short(diff: str) -> str:
    """Return the changed lines of a diff by file, without what is around them."""
    kept = [
        line.removeprefix("+++ b/") if line.startswith("+++ ") else line
        for line in plain(diff).splitlines()
        if line.startswith(("+", "-")) and not line.startswith("--- ")
    ]
    return trimmed("\n".join(kept), DIFF_CHARS)


def _passing(verdict: VerdictReached) -> int:
    return sum(row.after == "passed" for row in verdict.proof)
