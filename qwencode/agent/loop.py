"""The loop: the model replies, its calls are carried out and answered, until it stops or a limit does.

It knows the order of events and nothing else: no terminal, no files, no tokens. When to think, whether the goal is
reached and what a call does are given to it.
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace

from qwencode.agent.budget import Budget, Meter
from qwencode.agent.guards import nudge
from qwencode.agent.outcome import Outcome, ended, nothing_missing
from qwencode.agent.thinking import Answers, Step, ThinkingPolicy, on_hard_steps
from qwencode.events import Event, MessageAdded, ReplyFinished, ThinkingDecided, ToolFinished, ToolStarted
from qwencode.messages import Message, Reply, ToolCall
from qwencode.model.protocol import Model, Options
from qwencode.tools.calls import carry_out
from qwencode.tools.protocol import Tool, ToolResult

REMINDERS = 2
"""How often the model is told that the goal is not reached, after it has stopped."""
INTERRUPTED = "Interrupted by the user."
NO_TIME = ToolResult("Not carried out: the time of this run is up.", "no time left", ok=False)


class Agent:
    """A model with tools. `run` may be called again, with the same history grown longer.

    `check` is asked when the model stops: '' when the goal is reached, else a text for the model: what is missing.
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
    ):
        self.model, self.tools, self.options, self.budget = model, tools, options, budget
        self.think, self.check = think, check

    def run(self, history: list[Message]) -> Generator[Event, None, Outcome]:
        """Continue the history, which the caller owns, until the model stops calling tools or the budget is spent.

        Whenever this ends, also by closing the generator or by Ctrl-C, every call in the history is answered. Answers
        made up at such an end are in the history only: nobody reads events any more. Raises what the model raises.
        """
        try:
            yield from _add(history, *_interrupted(history))
            return (yield from self._turns(history, Meter(self.budget)))
        finally:
            history += _interrupted(history)

    def _turns(self, history: list[Message], meter: Meter) -> Generator[Event, None, Outcome]:
        step, reminders, nudged, text = Step(), 0, False, ""
        while not (reason := meter.spent()):
            reply = yield from self._reply(history, step, meter)
            if reply is None:
                continue  # stopped by the clock, which the condition above now sees
            text = reply.message.content.strip() or text
            if reply.message.tool_calls:
                answers = yield from self._answer(history, reply.message.tool_calls, meter)
                step, nudged = Step(meter.steps, answers), False
            elif say := nudge(reply):
                if nudged:
                    return ended("silent", say, text, meter)
                step, nudged = Step(meter.steps), True
                yield from _add(history, Message("user", say))
            elif not (say := self.check()):
                return ended("done", "The model is done.", text, meter)
            elif reminders == REMINDERS:
                return ended("unmet", say, text, meter)
            else:
                step, reminders, nudged = Step(meter.steps, missing=say), reminders + 1, False
                yield from _add(history, Message("user", say))
        return ended("budget", reason, text, meter)

    def _reply(self, history: list[Message], step: Step, meter: Meter) -> Generator[Event, None, Reply | None]:
        """Ask the model for one message. None when the time was up before its end; then the history has not changed."""
        decision = self.think(step)
        yield ThinkingDecided(decision.on, decision.reason)
        most = self.options.max_tokens if meter.tokens_left is None else min(self.options.max_tokens, meter.tokens_left)
        options = replace(self.options, thinking=decision.on, max_tokens=most)
        specs = [tool.spec for tool in self.tools.values()]
        reply = yield from meter.within(self.model.stream(history, specs, options))
        if reply is not None:
            yield ReplyFinished(reply.finish, reply.usage, reply.seed)
            yield from _add(history, reply.message)
        return reply

    def _answer(
        self, history: list[Message], calls: Sequence[ToolCall], meter: Meter
    ) -> Generator[Event, None, Answers]:
        """Carry the calls out, in order, as long as there is time."""
        answers: list[tuple[ToolCall, ToolResult]] = []
        for call in calls:
            yield ToolStarted(call)
            started = time.monotonic()
            result = NO_TIME if meter.time_is_up else carry_out(self.tools, call)
            seconds = time.monotonic() - started
            answers.append((call, result))
            text = result.text.encode("utf-8", "replace").decode()  # file names may hold what UTF-8 cannot
            yield from _add(history, Message("tool", text, answers=call.id))
            yield from result.events
            yield ToolFinished(call, result.ok, result.summary, seconds)
        return tuple(answers)


def _add(history: list[Message], *messages: Message) -> Generator[Event, None, None]:
    for message in messages:
        history.append(message)
        yield MessageAdded(message)


def _interrupted(history: Sequence[Message]) -> list[Message]:
    """Return answers for the calls of the last reply that have none. Calls are answered in order, so a count tells."""
    answered = 0
    for message in reversed(history):
        if message.role == "assistant":
            return [Message("tool", INTERRUPTED, answers=call.id) for call in message.tool_calls[answered:]]
        answered += message.role == "tool"
    return []
