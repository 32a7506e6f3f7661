"""What a reply is while it is being written: token ids, text, and the parser's view of it."""

import codecs
from collections.abc import Sequence

from qwencode.events import Event
from qwencode.messages import Finish, Message, ToolSpec
from qwencode.model.dialect import qwen
from qwencode.model.dialect.dialect import Dialect
from qwencode.model.llama.library import Engine
from qwencode.model.llama.vocabulary import CONTROL, USER_DEFINED


class Writer:
    """Turns tokens into events as they come. A character whose bytes are spread over tokens waits for its last one.

    Where the vocabulary has special tokens for it, only these open a call or close reasoning. A model that quotes what
    it has read spells `<tool_call>` in ordinary tokens, as it was shown; that stays text.
    """

    def __init__(
        self, engine: Engine, tools: Sequence[ToolSpec], thinking: bool, first_call: int, dialect: Dialect = qwen
    ):
        self.ids: list[int] = []
        self.text = ""
        self._engine = engine
        self._parser = dialect.Parser(tools, thinking, first_call)
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

    @property
    def opened(self) -> bool:
        """Whether a call was opened of which nothing but white space has come."""
        return self._parser.opened

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
        return message, cut or ("tool_calls" if message.tool_calls else "stop")

    def broken_off(self) -> Message:
        """Return the message that there is where the user has stopped it. Nothing may be taken afterwards."""
        self.drain()
        return self.finish("interrupted")[0]

    def _take(self, token: int) -> list[Event]:
        text = self._decoder.decode(self._engine.piece(token))
        special = self._engine.attributes(token) & (CONTROL | USER_DEFINED)
        return self._feed(text, quoted=not special)

    def _feed(self, text: str, quoted: bool = False) -> list[Event]:
        self.text += text
        return self._parser.feed(text, quoted) if text else []
