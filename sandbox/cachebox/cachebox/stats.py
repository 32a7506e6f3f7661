"""Counting what a cache does."""

from dataclasses import dataclass


@dataclass
class Stats:
    """Counters since the start or the last reset."""

    hits: int = 0
    misses: int = 0
    evicted: int = 0
    expired: int = 0

    @property
    def lookups(self) -> int:
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float:
        """The part of the lookups that found something, 0 to 1; 0 when there were none."""
        return self.hits / self.lookups if self.lookups else 0.0

    def reset(self) -> None:
        self.hits = self.misses = self.evicted = self.expired = 0
