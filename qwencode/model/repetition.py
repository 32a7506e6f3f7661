"""Sees when a model goes round in circles."""

import re
from collections import deque
from collections.abc import Iterable

_GRAM = 10  # tokens
_OFTEN = 3  # times that an n-gram was there before
_WINDOW = 160  # tokens
_SHARE = 0.9  # of the window
_PIECE = re.compile(r"\w+|[^\w\s]")


class Repetition:
    """Watches the tokens of one stretch of a reply, its reasoning or its text.

    It goes round in circles when nearly all n-grams of the last tokens were already there three times before. That
    holds for one token over and over, for a paragraph that comes a fifth time, and for the same thoughts in changing
    order; it does not hold for a text that is quoted twice.
    """

    def __init__(self) -> None:
        self._last: deque[int] = deque(maxlen=_GRAM)
        self._seen: dict[tuple[int, ...], int] = {}
        self._known: deque[bool] = deque(maxlen=_WINDOW)

    def push(self, tokens: Iterable[int]) -> None:
        """Add tokens."""
        for token in tokens:
            self._last.append(token)
            if len(self._last) == _GRAM:
                gram = tuple(self._last)
                count = self._seen.get(gram, 0)
                self._seen[gram] = count + 1
                self._known.append(count >= _OFTEN)

    def read(self, text: str) -> None:
        """Add a stretch of text whose tokens are not known: its words and signs are the tokens.

        A word that is cut in two counts as two, which a circle that is cut each time at another place may hide for a
        while; pieces of several words are the rule where that matters.
        """
        self.push(map(hash, _PIECE.findall(text)))

    @property
    def found(self) -> bool:
        """Whether the last tokens are such a circle."""
        return len(self._known) == _WINDOW and sum(self._known) >= _SHARE * _WINDOW
