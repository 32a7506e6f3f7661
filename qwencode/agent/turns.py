"""One turn: the model is asked for a message, and its calls are carried out and answered."""

import re
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace

from qwencode.agent.budget import Meter
from qwencode.agent.preflight import watched
from qwencode.agent.thinking import Answers, Decision
from qwencode.events import (
    ContextFilled,
    Event,
    MessageAdded,
    ReplyFinished,
    ThinkingDecided,
    ToolFinished,
    ToolStarted,
)
from qwencode.excerpt import trimmed
from qwencode.messages import Message, Reply, ToolCall
from qwencode.model.protocol import Model, Options
from qwencode.tools.calls import carry_out
from qwencode.tools.protocol import Tool, ToolResult

INTERRUPTED = "Interrupted by the user."
NO_TIME = ToolResult("Not carried out: the time of this run is up.", "no time left", ok=False)
CHARS_PER_TOKEN = 3.0
"""For what was not counted yet. Code in this family's vocabulary has 3.2 to 3.8 characters a token; less is safer."""
_DENSE = re.compile(r"[^\x00-\x7f]|[0-9]")  # of these each is about a token
_LEAST_TOKENS = 500
_ROOM = 0.5  # of what is left of the context: what the results of one turn may take


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn came to. `at` messages stood before it; `state` names the state of the files after it."""

    at: int
    answers: Answers
    state: str = ""


def ask(
    model: Model, tools: Mapping[str, Tool], options: Options, decision: Decision, history: list[Message], meter: Meter
) -> Generator[Event, None, Reply | None]:
    """Ask for one message and add it. None when the time was up before its end; then the history has not changed.

    Where it is closed or interrupted, what there is of the reply is in the history, and nobody is told of it.
    """
    most = options.max_tokens if meter.tokens_left is None else min(options.max_tokens, meter.tokens_left)
    budget = min(options.thinking_budget or decision.budget, most // 2)  # and as much again for what it says and does
    yield ThinkingDecided(decision.on, decision.reason, budget * decision.on)
    options = replace(options, thinking=decision.on, thinking_budget=budget, max_tokens=most)
    specs = [tool.spec for tool in tools.values()]
    half: list[Message] = []
    try:
        reply = yield from meter.within(watched(model.stream(history, specs, options), tools, history, half.append))
    except (GeneratorExit, KeyboardInterrupt):
        history += half
        raise
    if reply is not None:
        yield ReplyFinished(reply.finish, reply.usage, reply.seed)
        yield from add(history, reply.message)
        used = reply.usage.prompt + reply.usage.generated
        yield ContextFilled(used, model.context_length, meter.seconds_to_read(used))
    return reply


def answer(
    tools: Mapping[str, Tool], history: list[Message], calls: Sequence[ToolCall], meter: Meter, room: float = 0.0
) -> Generator[Event, None, Answers]:
    """Carry the calls out, in order, as long as there is time.

    `room` is what is left of the context, in tokens; 0: unknown. Results that would fill more than half of it are cut.
    """
    answers: list[tuple[ToolCall, ToolResult]] = []
    limit = max(round(room * _ROOM), _LEAST_TOKENS)
    for call in calls:
        yield ToolStarted(call)
        started = time.monotonic()
        result = NO_TIME if meter.time_is_up else carry_out(tools, call)
        seconds = time.monotonic() - started
        text = result.text.encode("utf-8", "replace").decode()  # file names may hold what UTF-8 cannot
        if room:
            if (tokens := tokens_in(text)) > limit:
                text = trimmed(text, len(text) * limit // tokens, "the context is nearly full: ask for a smaller part")
            limit = max(limit - tokens_in(text), _LEAST_TOKENS)
        answers.append((call, result))
        yield from add(history, Message("tool", text, answers=call.id))
        yield from result.events
        yield ToolFinished(call, result.ok, result.summary, seconds)
    return tuple(answers)


def add(history: list[Message], *messages: Message) -> Generator[Event, None, None]:
    """Append messages and say so."""
    for message in messages:
        history.append(message)
        yield MessageAdded(message)


def interrupted(history: Sequence[Message]) -> list[Message]:
    """Return answers for the calls of the last reply that have none. Calls are answered in order, so a count tells."""
    answered = 0
    for message in reversed(history):
        if message.role == "assistant":
            return [Message("tool", INTERRUPTED, answers=call.id) for call in message.tool_calls[answered:]]
        answered += message.role == "tool"
    return []


def estimated_tokens(messages: Sequence[Message]) -> int:
    """Return about how many tokens messages take that no model has counted yet."""
    arguments = (str(value) for message in messages for call in message.tool_calls for value in call.arguments.values())
    texts = (text for message in messages for text in (message.content, message.reasoning))
    return sum(map(tokens_in, texts)) + sum(map(tokens_in, arguments))


def tokens_in(text: str) -> int:
    """Return about how many tokens a text takes, rather too many than too few."""
    others = len(_DENSE.sub("", text))
    return len(text) - others + round(others / CHARS_PER_TOKEN)
