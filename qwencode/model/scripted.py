"""A model whose replies were written beforehand: for tests, demonstrations and faulty policies."""

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

from qwencode.errors import ModelUnavailable
from qwencode.events import CallDelta, Event, TextDelta, ThinkingDelta
from qwencode.messages import Message, Reply, ToolCall, ToolSpec, Usage
from qwencode.model.protocol import Options

Line = Reply | Message | str | Callable[[Sequence[Message]], "Reply | Message | str"]


class ScriptedModel:
    """Replies with the queued lines, in order, and keeps what it was asked.

    A line is a reply, a message, a text, or a function of the history that gives one of these: a policy. After the last
    line, `stream` raises ModelUnavailable, so that a test notices a turn it did not expect.
    """

    name = "scripted"
    context_length = 0

    def __init__(self, lines: Iterable[Line]):
        self.lines = list(lines)
        self.requests: list[tuple[tuple[Message, ...], tuple[ToolSpec, ...], Options]] = []

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        self.requests.append((tuple(history), tuple(tools), options))
        if not self.lines:
            raise ModelUnavailable(f"The script has no line left after {len(self.requests) - 1} replies.")
        line = self.lines.pop(0)
        reply = _reply(line(history) if callable(line) else line)
        yield from deltas(reply.message)
        return reply

    def close(self) -> None:
        pass


def deltas(message: Message) -> Iterator[Event]:
    """Yield the events with which a message streams in: reasoning, text, then every call, one parameter at a time."""
    if message.reasoning:
        yield ThinkingDelta(message.reasoning)
    if message.content:
        yield TextDelta(message.content)
    for one in message.tool_calls:
        yield CallDelta(one.name)
        for parameter, value in one.arguments.items():
            yield CallDelta(one.name, parameter)
            if text := value if isinstance(value, str) else json.dumps(value, ensure_ascii=False):
                yield CallDelta(one.name, parameter, text)


def call(name: str, **arguments: object) -> Message:
    """Return an assistant message with one tool call. Its id is made from what it asks, so scripts are reproducible."""
    return Message("assistant", tool_calls=(ToolCall(f"call-{name}", name, arguments),))


def _reply(line: Reply | Message | str) -> Reply:
    if isinstance(line, Reply):
        return line
    message = Message("assistant", line) if isinstance(line, str) else line
    return Reply(message, "tool_calls" if message.tool_calls else "stop", Usage())
