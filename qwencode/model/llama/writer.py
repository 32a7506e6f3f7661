"""What a reply is while it is being written: token ids, text, and the parser's view of it."""

import codecs
from collections.abc import Sequence
from dataclasses import replace

from qwencode.events import Event, TextDelta, ThinkingDelta
from qwencode.messages import Finish, Message, ToolSpec
from qwencode.model.dialect import qwen
from qwencode.model.llama.library import CONTROL, USER_DEFINED, Engine

_QUOTED = "\udfff"
"""Stands behind a `<` that begins no mark, for the parser only: half a surrogate pair, which no decoded text holds."""


class Writer:
    """Turns tokens into events as they come. A character whose bytes are spread over tokens waits for its last one.

    Only special tokens open a call or close reasoning. A model that quotes what it has read spells `<tool_call>` in
    ordinary tokens, as it was shown; that stays text.
    """

    def __init__(self, engine: Engine, tools: Sequence[ToolSpec], thinking: bool, first_call: int):
        self.ids: list[int] = []
        self.text = ""
        self._engine = engine
        self._parser = qwen.Parser(tools, thinking, first_call)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = ""

    @property
    def thinking(self) -> bool:
        """Whether the text so far ends inside reasoning."""
        return self._parser.thinking

    @property
    def calling(self) -> bool:
        """Whether the text so far ends inside a tool call."""
        return self._parser.calling

    def take(self, tokens: Sequence[int]) -> list[Event]:
        """Add tokens and return what became certain."""
        self.ids += tokens
        return [event for token in tokens for event in self._take(token)]

    def end(self, stop: int, text: str) -> None:
        """Add the token at which the reply ended, which is no text of the message. Nothing may be taken afterwards."""
        self.ids.append(stop)
        self._stop = text

    def drain(self) -> list[Event]:
        """Say that the reply has ended, and return what was waiting for more text."""
        events = [*self._feed(self._decoder.decode(b"", final=True)), *self._parser.drain()]
        self.text += self._stop
        return events

    def finish(self, cut: Finish | None = None) -> tuple[Message, Finish]:
        """Return the message and why it ended; `cut`: it did not end by itself."""
        message = self._parser.finish(cut is not None)
        content, reasoning = (text.replace(_QUOTED, "") for text in (message.content, message.reasoning))
        message = replace(message, content=content, reasoning=reasoning)
        return message, cut or ("tool_calls" if message.tool_calls else "stop")

    def _take(self, token: int) -> list[Event]:
        text = self._decoder.decode(self._engine.piece(token))
        special = self._engine.attributes(token) & (CONTROL | USER_DEFINED)
        return self._feed(text, quoted=not special and not self.calling)

    def _feed(self, text: str, quoted: bool = False) -> list[Event]:
        self.text += text
        if quoted:
            text = text.replace("<", f"<{_QUOTED}")
        return [_unquoted(event) for event in self._parser.feed(text)] if text else []


def _unquoted(event: Event) -> Event:
    if isinstance(event, TextDelta | ThinkingDelta) and _QUOTED in event.text:
        return replace(event, text=event.text.replace(_QUOTED, ""))
    return event
