"""Events that come back every week."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from slotwise.interval import Interval

WEEK = 7


@dataclass(frozen=True)
class Weekly:
    """An event on some weekdays (Monday is 0), every `every` weeks counted from the week of `first`."""

    first: date
    weekdays: frozenset[int]
    at: time
    length: timedelta
    every: int = 1
    until: date | None = None
    skipped: frozenset[date] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if not self.weekdays or not self.weekdays <= set(range(WEEK)):
            raise ValueError("weekdays are some of 0 (Monday) to 6 (Sunday)")
        if self.every < 1:
            raise ValueError("an event comes back after at least one week")

    def falls_on(self, day: date) -> bool:
        """Tell whether the event takes place on a day."""
        if day < self.first or (self.until is not None and day > self.until) or day in self.skipped:
            return False
        monday = self.first - timedelta(days=self.first.weekday())
        weeks = (day - monday).days // WEEK
        return day.weekday() in self.weekdays and weeks % self.every == 0

    def within(self, span: Interval) -> Iterator[Interval]:
        """Yield the occurrences that overlap a span, in order."""
        day = span.start.date() - timedelta(days=self.length.days + 1)
        while day <= span.end.date():
            if self.falls_on(day):
                start = datetime.combine(day, self.at)
                occurrence = Interval(start, start + self.length)
                if occurrence.overlaps(span):
                    yield occurrence
            day += timedelta(days=1)
