"""A model whose replies were written beforehand: for tests, demonstrations and faulty policies."""

from collections.abc import Callable, Generator, Iterable, Sequence

from qwencode.errors import ModelUnavailable
from qwencode.events import Event, TextDelta, ThinkingDelta
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
        if reply.message.reasoning:
            yield ThinkingDelta(reply.message.reasoning)
        if reply.message.content:
            yield TextDelta(reply.message.content)
        return reply

    def close(self) -> None:
        pass


def call(name: str, **arguments: object) -> Message:
    """Return an assistant message with one tool call. Its id is made from what it asks, so scripts are reproducible."""
    return Message("assistant", tool_calls=(ToolCall(f"call-{name}", name, arguments),))


def _reply(line: Reply | Message | str) -> Reply:
    if isinstance(line, Reply):
        return line
    message = Message("assistant", line) if isinstance(line, str) else line
    return Reply(message, "tool_calls" if message.tool_calls else "stop", Usage())
