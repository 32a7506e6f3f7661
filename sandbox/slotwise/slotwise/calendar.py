"""Calendars: who is busy when, and when everybody is free."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from slotwise.interval import Interval, merge, subtract, total
from slotwise.recurrence import Weekly

NOTHING = timedelta(0)


@dataclass
class Calendar:
    """The busy times of one person. `buffer` is kept free on both sides of every event."""

    owner: str
    events: list[Interval] = field(default_factory=list)
    weekly: list[Weekly] = field(default_factory=list)
    buffer: timedelta = NOTHING

    def add(self, event: Interval) -> None:
        self.events.append(event)

    def busy(self, span: Interval) -> list[Interval]:
        """Return the busy times within a span, cut to it and joined."""
        wide = span.padded(self.buffer, self.buffer)
        found = [event for event in self.events if event.overlaps(wide)]
        for rule in self.weekly:
            found += rule.within(wide)
        cut = (event.padded(self.buffer, self.buffer).intersection(span) for event in found)
        return merge(piece for piece in cut if piece is not None)

    def free(self, span: Interval, at_least: timedelta = NOTHING) -> list[Interval]:
        """Return the free times within a span that last long enough."""
        return [slot for slot in subtract(span, self.busy(span)) if slot.length >= at_least]

    def load(self, span: Interval) -> float:
        """Return the busy part of a span, 0 to 1."""
        return total(self.busy(span)) / span.length


def common_slots(calendars: Sequence[Calendar], span: Interval, length: timedelta) -> list[Interval]:
    """Return the times within a span when nobody is busy and that last at least `length`."""
    taken = [event for calendar in calendars for event in calendar.busy(span)]
    return [slot for slot in subtract(span, taken) if slot.length >= length]


def first_slot(calendars: Sequence[Calendar], days: Iterable[Interval], length: timedelta) -> Interval | None:
    """Return the earliest time of exactly `length` when nobody is busy, or None.

    `days` are the working hours to look through, in any order.
    """
    for day in sorted(days):
        for slot in common_slots(calendars, day, length):
            return Interval(slot.start, slot.start + length)
    return None
