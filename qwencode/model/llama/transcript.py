"""From messages to tokens, each message once.

A message's tokens are made when it is first seen at its place and kept; those of a reply are the very ids that the
model produced. So a history that grows at its end is a token list that grows at its end, whatever the tokeniser would
make of the text as a whole.
"""

import hashlib
import re
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from qwencode.messages import Message, ToolSpec
from qwencode.model.dialect import qwen
from qwencode.model.dialect.dialect import Dialect
from qwencode.model.dialect.pieces import Piece

_KEPT = 4 << 20  # tokens: many full contexts
_ENTRY = 64  # what keeping a message costs beside its tokens, counted in tokens


class Tokenizer(Protocol):
    """What is needed of `library.Engine`."""

    def tokenize(self, text: str, special: bool) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered history that ends where the reply begins.

    `stops`: the lengths after the fixed prefix and after each message, ascending: places to go back to. The last one is
    where the opening of the reply begins. `keys` name the history up to each of them; `previous` is its last message.
    """

    tokens: list[int]
    prefix: int
    stops: list[int]
    keys: list[bytes]
    previous: Message | None


class Transcript:
    """Renders histories for one vocabulary, in a dialect. `literals`: what it takes for special tokens anywhere.

    `most`: tokens that are kept; those of the messages that were not seen for longest go first.
    """

    def __init__(self, tokenizer: Tokenizer, literals: Iterable[str] = (), most: int = _KEPT, dialect: Dialect = qwen):
        self._most, self._kept = most, 0
        self._tokenizer, self._dialect = tokenizer, dialect
        self._made: OrderedDict[bytes, array[int]] = OrderedDict()
        uncut = [text for text in literals if len(text) > 1 and len(dialect.split_specials(text)) == 1]
        cuts = "|".join(f"(?<={re.escape(text[0])})(?={re.escape(text[1:])})" for text in uncut)
        self._cut = re.compile(cuts) if cuts else None

    def prompt(self, history: Sequence[Message], tools: Sequence[ToolSpec], thinking: bool) -> Prompt:
        """Return the tokens of a history with the opening of a reply. A system message may stand only at its start."""
        system = history[0].content if history and history[0].role == "system" else ""
        rest = history[1:] if history and history[0].role == "system" else history
        key = _key(b"", repr((system, tuple(tools))))
        tokens = list(self._once(key, lambda: self._dialect.render_prefix(system, tools)))
        stops, keys = [len(tokens)], [key]
        previous = Message("system", system) if tokens else None
        for message in rest:
            key = _key(key, repr(message))
            before = previous
            tokens += self._once(key, lambda message=message, before=before: self._dialect.render(before, message))
            stops.append(len(tokens))
            keys.append(key)
            previous = message
        tokens += self.encode(self._dialect.open_reply(previous, thinking))
        return Prompt(tokens, stops[0], stops, keys, previous)

    def keep(self, prompt: Prompt, reply: Message, generated: Sequence[int], text: str, thinking: bool) -> bytes:
        """Remember that after `prompt` the model wrote `generated`, which spells `text` and was read as `reply`.

        Returns the key of the history that ends with it.
        """
        opening = prompt.tokens[prompt.stops[-1] :]
        closing = self.encode(self._dialect.close_reply(text, thinking))
        key = _key(prompt.keys[-1], repr(reply))
        self._store(key, [*opening, *generated, *closing])
        return key

    def learn(self, parts: Iterable[tuple[bytes, Sequence[int]]]) -> None:
        """Take note of tokens that were made at another time, by key."""
        for key, tokens in parts:
            self._store(key, tokens)

    def encode(self, pieces: Iterable[Piece]) -> list[int]:
        """Return the tokens of rendered pieces. Text from outside never becomes a special token."""
        tokens: list[int] = []
        for piece in pieces:
            for part in [piece.text] if piece.markup else self._parts(piece.text):
                tokens += self._tokenizer.tokenize(part, special=piece.markup)
        return tokens

    def _parts(self, text: str) -> list[str]:
        parts = self._dialect.split_specials(text)
        return [piece for part in parts for piece in self._cut.split(part)] if self._cut else parts

    def _once(self, key: bytes, render: Callable[[], list[Piece]]) -> Sequence[int]:
        if key not in self._made:
            self._store(key, self.encode(render()))
        self._made.move_to_end(key)
        return self._made[key]

    def _store(self, key: bytes, tokens: Sequence[int]) -> None:
        self._forget(self._made.pop(key, None))
        self._made[key] = array("i", tokens)
        self._kept += len(tokens) + _ENTRY
        while self._kept > self._most and len(self._made) > 1:
            self._forget(self._made.popitem(last=False)[1])

    def _forget(self, tokens: Sequence[int] | None) -> None:
        if tokens is not None:
            self._kept -= len(tokens) + _ENTRY


def _key(parent: bytes, text: str) -> bytes:
    return hashlib.blake2b(parent + text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
