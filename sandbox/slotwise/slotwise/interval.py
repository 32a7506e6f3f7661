"""Half-open intervals of time: the start belongs to them, the end does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, order=True)
class Interval:
    """The time from `start` up to, but not including, `end`."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"an interval ends after it starts: {self.start} to {self.end}")

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def overlaps(self, other: Interval) -> bool:
        """Tell whether the two share any time. Touching is not sharing."""
        return self.start < other.end and other.start < self.end

    def covers(self, other: Interval) -> bool:
        return self.start <= other.start and other.end <= self.end

    def intersection(self, other: Interval) -> Interval | None:
        """Return the time that both share, or None."""
        start = max(self.start, other.start)
        end = min(self.end, self.end)
        return Interval(start, end) if start < end else None

    def shifted(self, by: timedelta) -> Interval:
        return Interval(self.start + by, self.end + by)

    def padded(self, before: timedelta, after: timedelta) -> Interval:
        """Return the interval with extra time on both sides, as for the way to a meeting."""
        return Interval(self.start - before, self.end + after)

    def pieces(self, length: timedelta) -> list[Interval]:
        """Cut into pieces of one length from the start on; what is left at the end is dropped."""
        if length <= timedelta(0):
            raise ValueError("a piece must have a length")
        pieces: list[Interval] = []
        start = self.start
        while start + length <= self.end:
            pieces.append(Interval(start, start + length))
            start += length
        return pieces


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Join intervals that overlap or touch. The result is sorted and has gaps between all its members."""
    merged: list[Interval] = []
    for interval in sorted(intervals):
        if merged and interval.start <= merged[-1].end:
            merged[-1] = Interval(merged[-1].start, max(merged[-1].end, interval.end))
        else:
            merged.append(interval)
    return merged


def subtract(whole: Interval, taken: Iterable[Interval]) -> list[Interval]:
    """Return what is left of an interval when others are taken out of it."""
    left: list[Interval] = []
    start = whole.start
    for interval in merge(taken):
        if not interval.overlaps(whole):
            continue
        if interval.start > start:
            left.append(Interval(start, interval.start))
        start = interval.end
    if start < whole.end:
        left.append(Interval(start, whole.end))
    return left


def total(intervals: Iterable[Interval]) -> timedelta:
    """Return the time that at least one of the intervals takes."""
    return sum((interval.length for interval in merge(intervals)), timedelta(0))
