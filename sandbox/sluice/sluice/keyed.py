"""One limiter for each key."""

from collections.abc import Callable, Hashable

from sluice.clock import Clock, system_clock
from sluice.policy import Limit


class Limiter:
    """Keeps a limit for each key, made when the key is first seen.

    Every `sweep_every` calls the limits that have become idle are forgotten, so that memory does not grow with the number
    of keys ever seen.
    """

    def __init__(self, make: Callable[[Clock], Limit], clock: Clock = system_clock, sweep_every: int = 1000):
        self._make = make
        self._clock = clock
        self._sweep_every = sweep_every
        self._calls = 0
        self._limits: dict[Hashable, Limit] = {}

    def allow(self, key: Hashable, cost: int = 1) -> bool:
        """Count a call for a key; False when it is over the limit."""
        self._calls += 1
        if self._calls % self._sweep_every == 0:
            self.sweep()
        return self._limit(key).allow(cost)

    def wait(self, key: Hashable, cost: int = 1) -> float:
        """Return the seconds until a call for a key would be allowed. Does not remember the key."""
        limit = self._limits.get(key) or self._make(self._clock)
        return limit.wait(cost)

    def sweep(self) -> int:
        """Forget the idle limits; returns how many there were."""
        idle = [key for key, limit in self._limits.items() if limit.idle()]
        for key in idle:
            del self._limits[key]
        return len(idle)

    def _limit(self, key: Hashable) -> Limit:
        if key not in self._limits:
            self._limits[key] = self._make(self._clock)
        return self._limits[key]

    def __len__(self) -> int:
        return len(self._limits)
