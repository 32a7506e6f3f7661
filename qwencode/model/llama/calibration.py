"""How fast a model is on this machine: measured once in some twenty seconds, and kept."""

import bisect
import hashlib
import importlib.metadata
import json
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from qwencode.model.llama.fit import Fit
from qwencode.model.llama.prefix_store import fingerprint
from qwencode.workspace import write_atomic

_SMALL = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_NOT_SPEED = {"context", "checkpoint_bytes", "mtp"}  # fields of a fit that count for nothing that is kept here
_PAYS = 1.05  # times as fast: less may be chance


class Timed(Protocol):
    """What is needed of `library.Engine`."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def context_length(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    def decode(self, tokens: Sequence[int], position: int, outputs: int) -> None: ...
    def clear(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Calibration:
    """Seconds that batches take: pairs of tokens and seconds, ascending in tokens, from 1 to the whole batch.

    `mtp`: how many times as fast replies are written with the guesses of the file's own head; 0: that was not measured.
    """

    points: tuple[tuple[int, float], ...]
    mtp: float = 0.0

    @property
    def mtp_pays(self) -> bool:
        """Whether the file's own head makes this machine faster."""
        return self.mtp >= _PAYS

    @property
    def prefill(self) -> float:
        """Tokens a second in whole batches."""
        return self.points[-1][0] / self.points[-1][1]

    @property
    def decode(self) -> float:
        """Seconds for a single token."""
        return self.points[0][1]

    def seconds(self, tokens: int) -> float:
        """Return the seconds that so many tokens take, between measured sizes in proportion; beyond, batch by batch."""
        whole, last = self.points[-1]
        batches, rest = divmod(max(0, tokens), whole)
        if not rest:
            return batches * last
        above = bisect.bisect_left(self.points, (rest, 0.0))
        size, seconds = self.points[above]
        if above == 0 or size == rest:
            return batches * last + seconds
        smaller, less = self.points[above - 1]
        return batches * last + less + (seconds - less) * (rest - smaller) / (size - smaller)


def calibrate(
    engine: Timed, draft_tokens: int, seconds: float = 20.0, clock: Callable[[], float] = time.monotonic
) -> Calibration:
    """Measure whole batches, single tokens, and the small batches in which drafts are verified.

    Each size once, after a batch that only reads the weights in; then always the size that has had the least time by
    its fastest run, until the time is over. The median counts, but no batch takes longer than a larger one: on a busy
    machine it may seem to. A slow machine takes longer than `seconds`, by no more than each size once. The engine is
    left cleared, also when it is interrupted. Random tokens are used: they share fewer experts than text does, so small
    batches are rather faster than measured.
    """
    small = {size for size in (*_SMALL, draft_tokens + 1) if size <= min(draft_tokens + 1, engine.batch_size)}
    whole = min(engine.batch_size, engine.context_length)
    sizes = sorted({1, whole, *(size for size in small if size <= whole)})
    stopwatch = _Stopwatch(engine, draft_tokens, clock)
    end = clock() + seconds
    try:
        stopwatch.measure(whole)
        found: dict[int, list[float]] = {size: [stopwatch.measure(size)] for size in sizes}
        while clock() < end:
            fastest = _no_slower_than_larger([min(found[size]) for size in sizes])
            _, size = min((len(found[size]) * least, size) for size, least in zip(sizes, fastest, strict=True))
            found[size].append(stopwatch.measure(size))
    finally:
        engine.clear()
    medians = _no_slower_than_larger([statistics.median(found[size]) for size in sizes])
    return Calibration(tuple(zip(sizes, medians, strict=True)))


def keep(found: Calibration, path: Path, fit: Fit, cache: Path) -> None:
    """Keep the calibration of a model file run like this under the directory `cache`, if that can be."""
    with suppress(OSError):  # a full disk costs twenty seconds the next time
        place = _place(path, fit, cache)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(place, json.dumps(asdict(found)).encode())


def load(path: Path, fit: Fit, cache: Path) -> Calibration | None:
    """Return the calibration of a model file run like this on this machine; None when there is none that is sound."""
    try:
        kept = json.loads(_place(path, fit, cache).read_text(encoding="ascii"))
        pairs = tuple((int(size), float(seconds)) for size, seconds in kept["points"])
        mtp = float(kept.get("mtp", 0.0))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    sizes = [size for size, _ in pairs]
    sound = sizes[:1] == [1] and sizes == sorted(set(sizes)) and all(0 < seconds < 1e6 for _, seconds in pairs)
    return Calibration(pairs, mtp) if sound and 0 <= mtp < 1e3 else None


def _no_slower_than_larger(seconds: list[float]) -> list[float]:
    return [min(seconds[number:]) for number in range(len(seconds))]


class _Stopwatch:
    """Times batches of random tokens that follow each other, and begins anew when the context is full."""

    def __init__(self, engine: Timed, draft_tokens: int, clock: Callable[[], float]):
        self._engine, self._drafted, self._clock = engine, draft_tokens, clock
        self._position = engine.context_length
        self._random = random.Random(0)

    def measure(self, size: int) -> float:
        """Return the seconds of one batch, of a small one with all logits, as for the check of a draft."""
        if self._position + size > self._engine.context_length:
            self._engine.clear()
            self._position = 0
        tokens = [self._random.randrange(self._engine.vocab_size) for _ in range(size)]
        began = self._clock()
        self._engine.decode(tokens, self._position, outputs=size if size <= self._drafted + 1 else 1)
        self._position += size
        return max(self._clock() - began, 1e-9)


def _place(path: Path, fit: Fit, cache: Path) -> Path:
    """Return where a calibration is kept: named after the model's content, the fit, the machine and the library."""
    mark = hashlib.blake2b(fingerprint(path), digest_size=16)
    speed = {name: value for name, value in asdict(fit).items() if name not in _NOT_SPEED}
    version = importlib.metadata.version("llama-cpp-python")
    mark.update(json.dumps([speed, platform.node(), platform.machine(), version]).encode())
    return cache / "calibration" / f"{mark.hexdigest()}.json"
