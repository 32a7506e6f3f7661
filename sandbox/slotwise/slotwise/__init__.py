"""Busy calendars and free slots, on half-open intervals."""

from slotwise.calendar import Calendar, common_slots
from slotwise.interval import Interval, merge, subtract, total
from slotwise.recurrence import Weekly

__all__ = ["Calendar", "Interval", "Weekly", "common_slots", "merge", "subtract", "total"]
