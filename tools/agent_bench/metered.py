"""A policy as a model, with the costs that a real model would have had: tokens read, taken from memory, and written."""

from collections.abc import Generator, Sequence

from agent_bench.policies import Policy
from qwencode.errors import ModelUnavailable
from qwencode.events import CallDelta, Event, TextDelta, ThinkingDelta
from qwencode.messages import Finish, Message, Reply, ToolCall, ToolSpec, Usage
from qwencode.model.dialect.qwen import render, render_prefix
from qwencode.model.dialect.qwen_parser import Parser
from qwencode.model.protocol import CallRefused, Options
from qwencode.model.scripted import deltas

CHARS_PER_TOKEN = 3.5
"""Code and English in this model family's vocabulary; all arms are counted alike."""
THOUGHT = "Let me think about what the failing test asks for and which line could cause that. "
THINKING_TOKENS = 400


class MeteredModel:
    """Says what a policy says. `size` is the context in tokens, 0 without a limit.

    With `checkpoints` the memory goes back to where a history parts from the last one; without, it begins anew then, as
    llama-cpp-python's own generation does for models with recurrent state. A history that only grew costs the same.
    """

    name = "policy"

    def __init__(self, policy: Policy, *, size: int = 0, checkpoints: bool = True, tells_size: bool = True):
        self._policy, self._size, self._checkpoints = policy, size, checkpoints
        self.context_length = size if tells_size else 0
        self._live: list[Message] = []
        self._prefix = 0
        self.replies = 0

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        prompt, cached = self._read(history, tools)
        if self._size and prompt + 200 > self._size:
            raise ModelUnavailable(f"The history has {prompt} tokens and does not fit into {self._size}.")
        self.replies += 1
        message, finish = self._said(history, tools, options)
        written = 0

        def ended(said: Message, how: Finish) -> Reply:
            self._live = [*history, said]
            evaluated = prompt - cached
            return Reply(said, how, Usage(prompt, cached, evaluated, round(written / CHARS_PER_TOKEN), evaluated / 40))

        try:
            for event in deltas(message):
                if isinstance(event, ThinkingDelta | TextDelta | CallDelta):
                    written += len(event.text) or 20  # a tag around it
                yield event
        except CallRefused as refused:
            return ended(refused.message, "refused")
        return ended(message, finish)

    def close(self) -> None:
        pass

    def _read(self, history: Sequence[Message], tools: Sequence[ToolSpec]) -> tuple[int, int]:
        """Return the tokens of the prompt, and how many of them are in memory."""
        if not self._prefix:
            self._prefix = _tokens(sum(len(piece.text) for piece in render_prefix(history[0].content, tools)))
        same = 0
        while same < min(len(history), len(self._live)) and history[same] == self._live[same]:
            same += 1
        if same < len(self._live) and not self._checkpoints:
            same = 0
        prompt = self._prefix + self._size_of(history, len(history))
        return prompt, self._prefix + self._size_of(history, same) if same else 0

    def _size_of(self, history: Sequence[Message], count: int) -> int:
        pieces = (
            piece
            for before, message in zip([None, *history][1:count], history[1:count], strict=False)
            for piece in render(before, message)
        )
        return _tokens(sum(len(piece.text) for piece in pieces))

    def _said(self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options) -> tuple[Message, Finish]:
        said = self._policy(history, options.thinking)
        first = 1 + sum(len(message.tool_calls) for message in history)
        if isinstance(said, str):
            parser = Parser(tools, options.thinking and "<tool_call>" in said, first)
            parser.feed(said)
            message = parser.finish()
        else:
            calls = (ToolCall(f"call-{n}", one.name, one.arguments) for n, one in enumerate(said.tool_calls, first))
            message = Message("assistant", said.content, self._thought(options), tuple(calls))
        return message, "tool_calls" if message.tool_calls else "stop"

    def _thought(self, options: Options) -> str:
        if not options.thinking:
            return ""
        tokens = min(THINKING_TOKENS, options.thinking_budget or THINKING_TOKENS)
        return (THOUGHT * (1 + round(tokens * CHARS_PER_TOKEN / len(THOUGHT))))[: round(tokens * CHARS_PER_TOKEN)]


def _tokens(characters: int) -> int:
    return round(characters / CHARS_PER_TOKEN)
