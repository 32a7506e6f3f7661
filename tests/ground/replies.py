"""Replies of a model and other work, driven to the end, and events without regard to where the text was cut."""

from collections.abc import Generator, Sequence
from typing import TypeVar

from qwencode.events import CallDelta, Event, TextDelta, ThinkingDelta

T = TypeVar("T")


def drive(stream: Generator[Event, None, T]) -> tuple[T, list[Event]]:
    """Return what comes of it (a reply, a result) and what was told on the way."""
    events: list[Event] = []
    while True:
        try:
            events.append(next(stream))
        except StopIteration as end:
            return end.value, events


def merged(events: Sequence[Event]) -> list[Event]:
    """Join neighbouring deltas of the same kind: where the text was cut is not part of its meaning."""
    joined: list[Event] = []
    for event in events:
        last = joined[-1] if joined else None
        match last, event:
            case (ThinkingDelta(), ThinkingDelta()) | (TextDelta(), TextDelta()):
                joined[-1] = type(event)(last.text + event.text)
            case CallDelta(), CallDelta() if event.text and last.parameter == event.parameter:
                joined[-1] = CallDelta(event.name, event.parameter, last.text + event.text)
            case _:
                joined.append(event)
    return joined
