"""What the engine has in memory: the live tokens and the points to which it can go back.

A recurrent state cannot be rolled back, not even by one token. So a copy of it is kept at chosen places, and going back
means: restore the nearest copy at or before the place, drop the attention cache behind it, and evaluate the rest again.
A model of attention alone has no such state: its cache is cut at any place, and what is kept at a place are the logits.
Which tokens are live is known here and nowhere else.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qwencode.errors import Interrupted

State = NDArray[np.uint8]
Logits = NDArray[np.float32]
_NO_STATE: State = np.empty(0, np.uint8)


class Evaluator(Protocol):
    """What is needed of `library.Engine`."""

    @property
    def batch_size(self) -> int: ...
    @property
    def recurrent(self) -> bool:
        """Whether there is a state that cannot be rolled back: `rollback` may then refuse, else it never does."""
        ...

    @property
    def begun(self) -> int:
        """How many calls of `decode` have touched what is in memory, also those that were interrupted."""
        ...

    @property
    def done(self) -> int:
        """How many calls of `decode` have done their work, also those that were interrupted."""
        ...

    def decode(self, tokens: Sequence[int], position: int, outputs: int) -> None: ...
    def logits(self, row: int = -1) -> Logits: ...
    def rollback(self, length: int) -> bool: ...
    def save(self) -> State: ...
    def restore(self, state: State, length: int) -> bool: ...
    def load(self, state: State) -> bool: ...
    def clear(self) -> None: ...


@dataclass(slots=True, eq=False)
class Checkpoint:
    """The recurrent state after the first `length` live tokens, with the logits there if a reply may begin there."""

    length: int
    state: State
    logits: Logits | None
    pinned: bool
    used: int

    @property
    def size(self) -> int:
        return self.state.nbytes + (self.logits.nbytes if self.logits is not None else 0)


class LiveState:
    """The tokens that the engine has evaluated, append-only but for `align`.

    An exception between two statements (Ctrl-C arrives anywhere) leaves it usable: until tokens are known to be in, the
    state counts as torn, and the next `align` goes back to a checkpoint.
    """

    def __init__(self, engine: Evaluator, budget: int):
        self._engine = engine
        self._budget = budget
        self._tokens: list[int] = []
        self._checkpoints: list[Checkpoint] = []  # by length
        self._torn = False
        self._fresh = 0  # live tokens that the last batch brought
        self._dropped = 0  # tokens that it brought and that were taken back
        self._outputs = 0  # of so many of the last live tokens the logits are known
        self._restored: Logits | None = None
        self._clock = itertools.count()

    @property
    def batch_size(self) -> int:
        """Tokens that can be evaluated at once."""
        return self._engine.batch_size

    @property
    def tokens(self) -> Sequence[int]:
        """The live tokens."""
        return self._tokens

    @property
    def checkpoints(self) -> list[int]:
        """The lengths to which one can go back, ascending."""
        return [checkpoint.length for checkpoint in self._checkpoints]

    @property
    def checkpoint_bytes(self) -> int:
        """The memory that the checkpoints take."""
        return sum(checkpoint.size for checkpoint in self._checkpoints)

    @property
    def logits(self) -> Logits:
        """The logits after the last live token. Raises RuntimeError when they were not asked for."""
        return self.logits_before(0)

    def logits_before(self, ahead: int) -> Logits:
        """The logits before the last `ahead` live tokens. Raises RuntimeError when they were not asked for."""
        source = self.source(ahead)
        return self._engine.logits(source) if isinstance(source, int) else source

    def source(self, ahead: int = 0) -> int | Logits:
        """Return where the logits before the last `ahead` live tokens are: a row of the last batch, or kept ones.

        Raises RuntimeError when they were not asked for.
        """
        if self._restored is not None and not ahead and not self._torn:
            return self._restored
        if self._torn or ahead >= self._outputs:
            raise RuntimeError("the last tokens were evaluated without logits")
        return -1 - self._dropped - ahead

    def holds(self, wanted: Sequence[int]) -> bool:
        """Say whether the live tokens are all of `wanted`, and nothing that an interruption left is behind them."""
        return not self._torn and self._tokens == list(wanted)

    def shared(self, wanted: Sequence[int]) -> int:
        """Return how many of the first tokens of `wanted` are live."""
        return common_length(self._tokens, wanted)

    def align(self, wanted: Sequence[int]) -> int:
        """Make the live tokens a prefix of `wanted`, as long a one as can be, and return its length.

        When it is all of `wanted`, the logits after it are known.
        """
        shared = self.shared(wanted)
        surplus = len(self._tokens) - shared
        if not self._torn:
            known = self._outputs > surplus or (self._restored is not None and not surplus)
            if (shared < len(wanted) or known) and (not surplus or self._take_back(surplus)):
                return shared
        usable = [
            checkpoint
            for checkpoint in self._checkpoints
            if checkpoint.length <= shared and (checkpoint.length < len(wanted) or checkpoint.logits is not None)
        ]
        target = usable[-1] if usable else None
        place = min(shared, max(0, len(wanted) - 1))  # the last token is evaluated again where its logits are not known
        if not self._engine.recurrent and (target is None or target.length < place):
            target = Checkpoint(place, _NO_STATE, None, pinned=False, used=0)
        self._go_back(target)
        return len(self._tokens)

    def extend(self, tokens: Sequence[int], outputs: int) -> None:
        """Evaluate at most one batch of further tokens; the logits after the last `outputs` of them will be wanted."""
        begun, done, count = self._engine.begun, self._engine.done, len(tokens)
        stop: BaseException | None = None
        self._torn = True
        try:
            self._engine.decode(tokens, len(self._tokens), outputs)
        except (KeyboardInterrupt, Interrupted) as error:
            if self._engine.done == done:
                self._torn = self._engine.begun > begun
                raise
            stop = error  # it came while the last token was at work, which is in memory by now
        self._tokens += tokens  # from here on no call, after which an exception could arrive
        self._fresh, self._dropped, self._outputs = count, 0, outputs
        self._restored = None
        self._torn = False
        if stop:
            raise stop

    def drop(self, count: int) -> None:
        """Take back the last `count` live tokens; the logits after those before them are known afterwards.

        It costs nothing within the last batch, which must keep a token. Elsewhere a part is evaluated again.
        """
        if not self._torn and self._outputs > count and self._take_back(count):
            return
        wanted = self._tokens[: len(self._tokens) - count]
        at = self.align(wanted)
        for start in range(at, len(wanted), self._engine.batch_size):
            self.extend(wanted[start : start + self._engine.batch_size], outputs=1)

    def checkpoint(self, pinned: bool = False, logits: bool = False) -> None:
        """Keep this place. `pinned`: whatever the budget. `logits`: a reply may begin here, with nothing to evaluate.

        Of the latter only the newest is kept, and the pinned ones: it lies a few tokens behind one that stays.
        """
        length = len(self._tokens)
        here = next((other for other in self._checkpoints if other.length == length), None)
        if here and (here.logits is not None or not logits):
            here.pinned = here.pinned or pinned
            return
        kept = self.logits.copy() if logits else None
        state, pinned = (here.state, here.pinned or pinned) if here else (self._engine.save(), pinned)
        made = Checkpoint(length, state, kept, pinned, next(self._clock))
        stay = [other for other in self._checkpoints if not logits or other.logits is None or other.pinned]
        self._checkpoints = [*(other for other in stay if other is not here), made]
        while self.checkpoint_bytes > self._budget:
            loose = [other for other in self._checkpoints if not other.pinned and other is not made]
            if not loose:
                break
            self._checkpoints.remove(min(loose, key=lambda other: other.used))

    def adopt(self, tokens: Sequence[int], state: State) -> bool:
        """Put what the engine dumped after `tokens` in the place of everything, pinned. False: nothing is live then."""
        self._torn = True
        self._checkpoints, self._tokens = [], []
        self._restored = None
        self._fresh = self._dropped = self._outputs = 0
        taken = self._engine.load(state)
        self._tokens = list(tokens) if taken else []
        self._torn = False
        if taken:
            self.checkpoint(pinned=True)
        return taken

    def _take_back(self, count: int) -> bool:
        """Roll back: a recurrent state within the last batch, and once only, since the states before are then gone."""
        if self._engine.recurrent and (count >= self._fresh or self._dropped):
            return False
        length = len(self._tokens) - count
        self._torn = True
        self._checkpoints = [other for other in self._checkpoints if other.length <= length]  # before their cache goes
        if not self._engine.rollback(length):
            return False
        del self._tokens[length:]
        self._fresh, self._outputs = max(0, self._fresh - count), max(0, self._outputs - count)
        self._dropped += count
        self._restored = None
        self._torn = False
        return True

    def _go_back(self, target: Checkpoint | None) -> None:
        self._torn = True
        length = target.length if target else 0
        self._checkpoints = [other for other in self._checkpoints if other.length <= length]
        self._tokens = self._tokens[:length]
        if target is None or not self._engine.restore(target.state, length):
            self._checkpoints, self._tokens, target = [], [], None
            self._engine.clear()
        self._restored = target.logits if target else None
        self._fresh = self._dropped = self._outputs = 0
        if target:
            target.used = next(self._clock)
        self._torn = False


def common_length(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Return the length of the longest common prefix. Two of one type are compared as wholes first, which is fast."""
    size = min(len(first), len(second))
    if first[:size] == second[:size]:
        return size
    return next((at for at in range(size) if first[at] != second[at]), size)
