"""The loop: the model replies, its calls are carried out and answered, until it stops or a limit does.

It knows the order of events and nothing else: no terminal, no files, no tokens. When to think, what a stuck model is
told, whether the goal is reached and what a call does are given to it.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

from qwencode.agent import compaction
from qwencode.agent.budget import Budget, Meter
from qwencode.agent.course import Course
from qwencode.agent.guards import Guards, Trouble, nudge
from qwencode.agent.known import Known
from qwencode.agent.outcome import Outcome, ended, nothing_missing
from qwencode.agent.thinking import Step, ThinkingPolicy, on_hard_steps
from qwencode.agent.turns import Turn, add, answer, ask, interrupted
from qwencode.errors import HistoryTooLong
from qwencode.events import Event, HistoryRewound, PhaseStarted
from qwencode.messages import Message, Reply
from qwencode.model.protocol import Model, Options
from qwencode.tools.protocol import Tool

REMINDERS = 2
"""How often the model is told that the goal is not reached, after it has stopped."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The files that the model works on: a name for the state that they are in, and what has changed so far.

    `to_change`: that is what the work is for; else a model that only looks is not told to get on with it.
    """

    state: Callable[[], str]
    diff: Callable[[], str]
    to_change: bool = True


class Agent:
    """A model with tools. `run` may be called again, with the same history grown longer.

    `check` is asked when the model stops: '' when the goal is reached, else a text for the model: what is missing.
    With a `tree`, guards watch for a model that is stuck; without, for a conversation in which nothing is to change.
    `known`: what was known of the history when the run before it ended.
    """

    def __init__(
        self,
        model: Model,
        tools: Mapping[str, Tool],
        options: Options,
        budget: Budget,
        *,
        think: ThinkingPolicy = on_hard_steps,
        check: Callable[[], str] = nothing_missing,
        tree: Tree | None = None,
        known: Known | None = None,
    ):
        self.model, self.tools, self.options, self.budget = model, tools, options, budget
        self.think, self.check, self.tree, self.known = think, check, tree, known or Known()

    def run(self, history: list[Message]) -> Generator[Event, None, Outcome]:
        """Continue the history, which the caller owns, until the model stops calling tools or the budget is spent.

        Whenever this ends, also by closing the generator or by Ctrl-C, every call in the history is answered. Answers
        made up at such an end are in the history only: nobody reads events any more. Raises what the model raises.
        """
        try:
            yield from add(history, *interrupted(history))
            return (yield from self._turns(history, Meter(self.budget)))
        finally:
            history += interrupted(history)

    def _turns(self, history: list[Message], meter: Meter) -> Generator[Event, None, Outcome]:
        start, to_change = (self.tree.state(), self.tree.to_change) if self.tree else ("", False)
        guards, course, task = Guards(start, to_change), Course(start), compaction.task_of(history)
        step, reminders, nudged, text = Step(), 0, False, ""
        while not (reason := meter.spent()):
            if not (yield from self._make_room(history, task, meter, guards)):
                return ended("full", "The task alone fills the context of the model.", text, meter)
            at = len(history)
            reply = yield from self._reply(history, step, meter)
            if reply is None:
                continue  # stopped by the clock, or too long: both are seen above
            text = reply.message.content.strip() or text
            if reply.message.tool_calls:
                trouble, step = yield from self._act(history, at, reply, meter, guards, course)
                if trouble and trouble.final:
                    return ended("stuck", f"The model is stuck: {trouble.reason}.", text, meter)
                nudged = False
            elif (say := nudge(reply)) and not nudged:
                step, nudged = course.stopped(meter.steps), True
                yield from add(history, Message("user", say))
            elif say and (not reply.message.content.strip() or reply.finish in ("length", "repetition")):
                return ended("silent", say, text, meter)
            elif not (say := self.check()):
                return ended("done", "The model is done.", text, meter)
            elif reminders == REMINDERS:
                return ended("unmet", say, text, meter)
            else:
                step, reminders, nudged = course.stopped(meter.steps, say), reminders + 1, False
                yield from add(history, Message("user", say))
        return ended("budget", reason, text, meter)

    def _reply(self, history: list[Message], step: Step, meter: Meter) -> Generator[Event, None, Reply | None]:
        try:
            reply = yield from ask(self.model, self.tools, self.options, self.think(step), history, meter)
        except HistoryTooLong:  # its tokens were estimated, or nobody knows the size of the context
            if not compaction.can_be_shortened(history):
                raise
            self.known.too_long = True
            return None
        self.known.count(history, reply)
        return reply

    def _act(
        self, history: list[Message], at: int, reply: Reply, meter: Meter, guards: Guards, course: Course
    ) -> Generator[Event, None, tuple[Trouble | None, Step]]:
        """Carry out what a reply asks for. A model in trouble goes back to before it, with a lesson."""
        room = max(1.0, self.model.context_length - self.known.of(history)) if self.model.context_length else 0.0
        answers = yield from answer(self.tools, history, reply.message.tool_calls, meter, room)
        self.known.hear((event for _, result in answers for event in result.events), len(history))
        turn = Turn(at, answers, self.tree.state() if self.tree else "")
        trouble = guards.after(turn) if self.tree else None
        if trouble and not trouble.final:
            if trouble.back is not None:
                yield from self._rewind(history, trouble.back, trouble.reason)
            yield from add(history, Message("user", trouble.lesson))
        return trouble, course.called(meter.steps, turn, trouble.reason if trouble else "")

    def _make_room(
        self, history: list[Message], task: list[Message], meter: Meter, guards: Guards
    ) -> Generator[Event, None, bool]:
        """Compact a history that fills the context. False when what must stay fills it by itself."""
        size = self.model.context_length
        if not self.known.is_due(history, size) or not compaction.can_be_shortened(history):
            return True
        yield PhaseStarted("compact", "The context is full: the model sums up")
        summary = yield from compaction.summary(self.model, self.tools, self.options, history, meter)
        fresh = compaction.resumed(summary, self.known.plan, self.tree.diff() if self.tree else "")
        self.known.cut(0)
        guards.forget()
        yield from compaction.begun_anew(history, task, fresh)
        return self.known.is_freed(history, size)

    def _rewind(self, history: list[Message], length: int, reason: str) -> Generator[Event, None, None]:
        del history[length:]
        self.known.cut(length)
        yield HistoryRewound(length, reason)
