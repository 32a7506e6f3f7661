"""Putting limits together, and reading them from configuration."""

import re
from collections.abc import Sequence
from typing import Protocol

from sluice.clock import Clock, system_clock
from sluice.window import SlidingWindow

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"(\d+)\s*(?:/|per)\s*(?:(\d+)\s*)?([a-z]+?)s?")


class Limit(Protocol):
    """What every limiter can do."""

    def allow(self, cost: int = 1) -> bool: ...

    def wait(self, cost: int = 1) -> float: ...

    def idle(self) -> bool: ...


class All:
    """Several limits that must all agree. A call that one of them refuses counts in none."""

    def __init__(self, limits: Sequence[Limit]):
        if not limits:
            raise ValueError("at least one limit is needed")
        self._limits = list(limits)

    def allow(self, cost: int = 1) -> bool:
        if self.wait(cost) > 0:
            return False
        return all([limit.allow(cost) for limit in self._limits])

    def wait(self, cost: int = 1) -> float:
        return max(limit.wait(cost) for limit in self._limits)

    def idle(self) -> bool:
        return all(limit.idle() for limit in self._limits)


def parse_rate(text: str, clock: Clock = system_clock) -> All:
    """Read limits such as "10/second" or "100 per 5 minutes, 2000/day"."""
    limits: list[SlidingWindow] = []
    for part in text.lower().split(","):
        match = _RATE.fullmatch(part.strip())
        if match is None or match[3] not in UNITS:
            raise ValueError(f"not a rate: {part.strip()!r}; write it as '10/second' or '100 per 5 minutes'")
        limits.append(SlidingWindow(int(match[1]), int(match[2] or 1) * UNITS[match[3]], clock))
    return All(limits)
