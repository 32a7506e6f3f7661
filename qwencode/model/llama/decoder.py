"""Draws the tokens of one reply from the live state, checking guessed ones in the same batch."""

import time
from collections.abc import Callable, Sequence

from qwencode.model.llama.draft import Lookup, Pace
from qwencode.model.llama.sampler import Sampler
from qwencode.model.llama.state import LiveState

Predict = Callable[[int, int, int], list[int]]
"""From a token that came, its position and a number to at most so many tokens that may follow."""


class Decoder:
    """For one reply: `draw` gives a token, `push` says which tokens came in the end.

    Nothing is evaluated before it is needed, so the last token of a reply is not. Guessed tokens are evaluated together
    with the ones that came, and are right as long as the draws agree with them; what is left of them is taken back at
    the first that does not, or by `close`. What the context holds is guessed first; where it holds nothing, the model's
    own head may `predict`. `limit`: tokens that may be live.
    """

    def __init__(
        self,
        live: LiveState,
        sampler: Sampler,
        lookup: Lookup,
        pace: Pace,
        limit: int,
        predict: Predict | None = None,
    ):
        self._live, self._sampler, self._lookup, self._pace = live, sampler, lookup, pace
        self._limit, self._predict = limit, predict
        self._waiting: list[int] = []  # came, but not evaluated yet
        self._ahead: list[int] = []  # guessed and live, but not drawn yet
        self._guess = (0, 0)  # agreement and length of the last one
        self.guessed = self.accepted = 0
        lookup.follow(live.tokens)

    def draw(self) -> int:
        """Return the next token of the model's choice. Raises what evaluation raises."""
        if self._waiting:
            self._evaluate()
        return self._sampler.draw(self._live.source(len(self._ahead)))

    def push(self, tokens: Sequence[int]) -> None:
        """Take note of tokens that came, drawn or set."""
        self._lookup.push(tokens)
        for token in tokens:
            if self._ahead and self._ahead[0] == token:
                del self._ahead[0]
                self.accepted += 1
            else:
                self._refuse()
                self._waiting.append(token)

    def close(self) -> None:
        """Take back what was guessed and did not come. The live tokens are then those that were evaluated and came."""
        agreed, length = self._guess
        if accepted := length - len(self._ahead):
            self._pace.checked(agreed, accepted, accepted)
        self._guess = (0, 0)  # what was not looked at is no refusal
        self._refuse()

    def _refuse(self) -> None:
        agreed, length = self._guess
        if length:
            self._pace.checked(agreed, length, length - len(self._ahead))
            self._guess = (0, 0)
        if self._ahead:
            count, self._ahead = len(self._ahead), []
            self._live.drop(count)

    def _evaluate(self) -> None:
        """Evaluate what came, and a guess."""
        self._refuse()
        batch, tokens = self._live.batch_size, self._waiting
        while len(tokens) > batch:
            self._live.extend(tokens[:batch], outputs=1)
            tokens = tokens[batch:]
        room = min(batch - len(tokens), self._limit - len(self._live.tokens) - len(tokens) - 1)
        guess, agreed = self._next(tokens, min(self._pace.most, room))
        began = time.perf_counter()
        self._live.extend([*tokens, *guess], outputs=1 + len(guess))
        self._pace.measured(len(tokens) + len(guess), time.perf_counter() - began)
        self._waiting, self._ahead, self._guess = [], guess, (agreed, len(guess))
        self.guessed += len(guess)

    def _next(self, came: Sequence[int], most: int) -> tuple[list[int], int]:
        """Return at most `most` tokens that may follow those that came, and how many before them agree."""
        if most < 1:
            return [], 0
        guess, agreed = self._lookup.guess(most)
        if guess := guess[: self._pace.length(agreed)] if guess else []:
            return guess, agreed
        if not self._predict or len(came) != 1 or not (count := min(most, self._pace.length(0))):
            return [], 0
        began = time.perf_counter()
        guess = self._predict(came[0], len(self._live.tokens), count)
        self._pace.predicted(len(guess), time.perf_counter() - began)
        return guess, 0
