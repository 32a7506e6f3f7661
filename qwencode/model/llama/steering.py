"""What must come next in a reply, whatever the model would like: the end of thinking, the start of a call.

Forced tokens are evaluated like any others, so the cache stays what it was.
"""

from collections.abc import Callable

from qwencode.model.llama.writer import Writer
from qwencode.model.protocol import Options
from qwencode.model.repetition import Repetition

_WARNED_FROM = 256  # tokens of budget: with fewer the warning would take too large a part of it
_SAID_FROM = 64  # tokens: where there is less, thinking ends without a word
_MARK = 0.8  # of the budget
_WARNING = "\n\nI should come to a decision now: little room is left for thinking.\n\n"
_SPENT = "\n\nThe room for thinking is used up. I will act on what I have found so far.\n</think>\n\n"
_CIRCLES = "\n\nI am repeating myself. I will act on what I have found so far.\n</think>\n\n"
_CLOSED = "\n</think>\n\n"

Tokenize = Callable[[str, bool], list[int]]


class Steering:
    """For one reply. `room`: tokens that it may have; `required`: it must hold a call.

    Thinking ends at its budget, with a warning before, and when it goes round in circles. A text that goes round in
    circles ends the reply (`repeats`). Neither is looked for inside calls, where a table or a test may repeat itself.
    """

    def __init__(self, tokenize: Tokenize, options: Options, room: int, required: bool):
        self._tokenize, self._room = tokenize, room
        self._budget = options.thinking_budget or (room // 2 if required else room)
        self._warns = options.thinking_budget >= _WARNED_FROM
        self._required = required
        self._reasoning, self._text = Repetition(), Repetition()

    @property
    def repeats(self) -> bool:
        """Whether the text goes round in circles."""
        return self._text.found

    def took(self, tokens: list[int], writer: Writer) -> None:
        """Take note of tokens that the writer has taken."""
        if not writer.calling:
            (self._reasoning if writer.thinking else self._text).push(tokens)

    def forced(self, writer: Writer) -> list[int]:
        """Return the tokens that must come now; none: the model is free."""
        if writer.thinking:
            if len(writer.ids) >= self._budget:
                return self._closing(writer, _SPENT)
            if self._reasoning.found:
                return self._closing(writer, _CIRCLES)
            if self._warns and len(writer.ids) >= _MARK * self._budget and writer.text.endswith("\n"):
                self._warns = False
                return self._special(_WARNING.lstrip("\n"))
            return []
        if not self._required or writer.calling:
            return []
        gap = "" if not writer.text or writer.text.endswith("\n\n") else "\n\n"
        return self._special(gap + "<tool_call>")

    def closer(self, writer: Writer) -> list[int]:
        """Return the tokens that end thinking, where the model would end the reply."""
        return self._closing(writer, _CLOSED)

    def _closing(self, writer: Writer, text: str) -> list[int]:
        """Return the tokens of a text that ends thinking; where little was thought, no more than its end."""
        if len(writer.ids) < _SAID_FROM or self._room - len(writer.ids) < _SAID_FROM:
            text = _CLOSED
        if writer.text.endswith("\n"):
            text = text.lstrip("\n")
        return self._special(text)

    def _special(self, text: str) -> list[int]:
        return self._tokenize(text, True)
