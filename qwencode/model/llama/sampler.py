"""Chooses the next token of one reply: by chance with the model's own values, within a grammar if one is in force."""

import functools
import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwencode.model.llama.library import CANDIDATE, Chain, Engine, Grammar, Ids, Tokens
from qwencode.model.sampling import Sampling

Source = int | NDArray[np.float32]
_SEEDS = 0xFFFFFFFF  # the last number of 32 bits means "any" to llama.cpp
_ASCII, _BYTES = 128, 256


class QuickGrammar(Grammar):
    """Knows which tokens to ask llama.cpp about: a pass over the whole vocabulary takes milliseconds.

    Where a token may follow, so may its first byte, which is a token too. So where nothing but ASCII may, as in the
    fixed words of a call, only the tokens that begin with one of the few characters count. (A rule with characters
    beyond ASCII after `^` would be another case, since llama.cpp refuses parts of these; `call_grammar` writes none.)
    """

    def __init__(self, engine: Engine, text: str):
        super().__init__(engine, text)
        self._engine = engine
        self._openings: dict[str, Ids] = {}

    def hopeful(self) -> Ids | None:
        """Return tokens, ascending, among which are all that may follow; None where they would be most of them."""
        characters = np.flatnonzero(self.fits(self._bytes))
        if not len(characters) or characters[-1] >= _ASCII:
            return None
        rules = ['""', *(f'"\\x{character:02X}" .*' for character in characters)]  # the empty one: what ends a reply
        return np.sort(np.concatenate([self._opening(rule) for rule in rules]))

    @functools.cached_property
    def _bytes(self) -> Ids:
        """The token of each byte, in the order of bytes. None at all if they are not the vocabulary's first tokens."""
        tokens = sorted(range(min(_BYTES, self._engine.vocab_size)), key=self._engine.piece)
        known = [self._engine.piece(token) for token in tokens] == [bytes([byte]) for byte in range(_BYTES)]
        return np.array(tokens if known else [], np.int32)

    def _opening(self, rule: str) -> Ids:
        """Return the tokens that may come first by a rule: looked for once, in the whole vocabulary."""
        if rule not in self._openings:
            tokens = np.arange(self._engine.vocab_size, dtype=np.int32)
            self._openings[rule] = tokens[Grammar(self._engine, f"root ::= {rule}").fits(tokens)]
        return self._openings[rule]


class Sampler:
    """For one reply. `banned` tokens are never drawn; `window` is how far back the presence penalty looks.

    The grammar is *sample, then check*: it is asked about others, and about no more than need be, only when the drawn
    token may not follow.
    """

    def __init__(self, engine: Engine, sampling: Sampling, banned: Tokens, seed: int | None, window: int):
        self.seed = secrets.randbelow(_SEEDS) if seed is None else seed % _SEEDS
        """What was drawn can be drawn again with it."""
        self._engine = engine
        self._chain = Chain(engine, sampling, banned, self.seed, window)
        self._grammar: QuickGrammar | None = None

    def constrain(self, grammar: QuickGrammar | None) -> None:
        """Put a grammar in force, from its beginning; None lifts it."""
        self._grammar = grammar
        if grammar:
            grammar.reset()

    def draw(self, source: Source) -> int:
        """Return the next token and take note of it. `source`: a row of the last batch, or logits that were kept."""
        token = self._chain.sample(source) if isinstance(source, int) else self._chain.draw(self._fresh(source))
        if self._grammar and not self._grammar.allows(token):
            self._chain.forget()
            candidates = self._fitting(source, self._grammar)
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

    def _fitting(self, source: Source, grammar: QuickGrammar) -> NDArray[Any]:
        """Return candidates for a token that the grammar allows; the logits of others are minus infinity."""
        hopeful = grammar.hopeful()
        candidates = self._fresh(source, hopeful)
        grammar.mask(candidates)
        if hopeful is None:
            return candidates  # whole, since llama.cpp finds a banned token by its place; among others it searches
        return candidates[candidates["logit"] > -np.inf]

    def _fresh(self, source: Source, tokens: Ids | None = None) -> NDArray[Any]:
        logits = self._engine.logits(source) if isinstance(source, int) else source
        ids = np.arange(len(logits), dtype=np.int32) if tokens is None else tokens
        candidates = np.empty(len(ids), CANDIDATE)
        candidates["id"], candidates["logit"] = ids, logits[ids]
        return candidates
