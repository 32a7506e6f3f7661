"""Chooses the next token of one reply: by chance with the model's own values, within a grammar if one is in force."""

import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwencode.model.llama.library import CANDIDATE, Chain, Engine, Grammar, Tokens
from qwencode.model.sampling import Sampling

Source = int | NDArray[np.float32]
_SEEDS = 0xFFFFFFFF  # the last number of 32 bits means "any" to llama.cpp


class Sampler:
    """For one reply. `banned` tokens are never drawn; `window` is how far back the presence penalty looks.

    The grammar is *sample, then check*: a pass over the whole vocabulary is made only when the drawn token may not
    follow.
    """

    def __init__(self, engine: Engine, sampling: Sampling, banned: Tokens, seed: int | None, window: int):
        self.seed = secrets.randbelow(_SEEDS) if seed is None else seed % _SEEDS
        """What was drawn can be drawn again with it."""
        self._engine = engine
        self._chain = Chain(engine, sampling, banned, self.seed, window)
        self._grammar: Grammar | None = None
        self._ids = np.arange(engine.vocab_size, dtype=np.int32)
        self._candidates: NDArray[Any] = np.empty(engine.vocab_size, CANDIDATE)

    def constrain(self, grammar: Grammar | None) -> None:
        """Put a grammar in force, from its beginning; None lifts it."""
        self._grammar = grammar
        if grammar:
            grammar.reset()

    def draw(self, source: Source) -> int:
        """Return the next token and take note of it. `source`: a row of the last batch, or logits that were kept."""
        token = self._chain.sample(source) if isinstance(source, int) else self._chain.draw(self._fresh(source))
        if self._grammar and not self._grammar.allows(token):
            self._chain.forget()
            candidates = self._fresh(source)
            self._grammar.mask(candidates)
            if np.isfinite(candidates["logit"]).any():
                token = self._chain.draw(candidates)
            else:  # no token fits: rather a call that the parser complains of than no reply
                self._grammar = None
                self._chain.note(token)
        if self._grammar:
            self._grammar.accept(token)
        return token

    def note(self, token: int) -> None:
        """Take note of a token that was not drawn but set, while no grammar is in force."""
        self._chain.note(token)

    def _fresh(self, source: Source) -> NDArray[Any]:
        self._candidates["id"] = self._ids
        self._candidates["logit"] = self._engine.logits(source) if isinstance(source, int) else source
        return self._candidates
