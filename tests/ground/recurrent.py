"""A stand-in for llama.cpp with its two memories, which says when it is misused."""

import hashlib
from collections.abc import Sequence

import numpy as np

from qwencode.model.llama.state import Logits, State


def digest(tokens: Sequence[int]) -> State:
    return np.frombuffer(hashlib.sha256(repr(list(tokens)).encode()).digest(), np.uint8).copy()


class Recurrent:
    """An evaluator whose recurrent state is a digest of all tokens, and whose attention cache is the list of them."""

    batch_size = 4
    draft_tokens = 3
    recurrent = True

    def __init__(self) -> None:
        self.cache: list[int] = []
        self.state = digest([])
        self.evaluated = 0
        self.kept: list[State] = []
        self.outputs = 0
        self.rolled_back = False
        self.breaks_after = -1  # tokens until Ctrl-C arrives, right after they were evaluated
        self.breaks_before = False  # Ctrl-C arrives when nothing was evaluated yet
        self.begun = self.done = 0
        self.takes = True  # what is loaded

    def decode(self, tokens: Sequence[int], position: int, outputs: int) -> None:
        assert 0 < len(tokens) <= self.batch_size
        assert 0 <= outputs <= len(tokens)
        if self.breaks_before:
            self.breaks_before = False
            raise KeyboardInterrupt
        self.begun += 1
        self.kept = [digest([*self.cache, *tokens[: at + 1]]) for at in range(len(tokens))][-self.draft_tokens - 1 :]
        self.outputs = outputs
        assert position == len(self.cache)
        assert (self.state == digest(self.cache)).all(), "the two memories differ"
        self.cache += tokens
        self.state = digest(self.cache)
        self.rolled_back = False
        self.evaluated += len(tokens)
        if 0 <= self.breaks_after < self.evaluated:
            self.breaks_after = -1
            raise KeyboardInterrupt
        self.done += 1

    def logits(self, row: int = -1) -> Logits:
        assert -self.outputs <= row < 0
        return self.kept[row].astype(np.float32)

    def rollback(self, length: int) -> bool:
        count = len(self.cache) - length
        if not 0 < count < len(self.kept) or self.rolled_back:
            return False
        self.rolled_back = True
        del self.cache[length:]
        self.state = self.kept[-1 - count].copy()
        return True

    def save(self) -> State:
        return self.state.copy()

    def restore(self, state: State, length: int) -> bool:
        del self.cache[length:]
        self.state, self.kept = state.copy(), []
        return bool((self.state == digest(self.cache)).all())

    def load(self, state: State) -> bool:
        """Take what stands for a whole dump: the tokens themselves."""
        self.clear()
        if self.takes:
            self.cache, self.state = state.tolist(), digest(state.tolist())
        if self.breaks_after == 0:
            self.breaks_after = -1
            raise KeyboardInterrupt
        return self.takes

    def clear(self) -> None:
        self.cache, self.state, self.kept = [], digest([]), []


class Cache(Recurrent):
    """An evaluator of attention alone: a cache that can be cut anywhere, and no state beside it."""

    recurrent = False

    def rollback(self, length: int) -> bool:
        there = length <= len(self.cache)
        del self.cache[length:]
        self.state = digest(self.cache)
        return there

    def save(self) -> State:
        return np.empty(0, np.uint8)

    def restore(self, state: State, length: int) -> bool:
        assert not len(state)
        return self.rollback(length)
