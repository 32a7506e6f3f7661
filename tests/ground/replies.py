"""Replies of a model, driven to their end, and their events without regard to where the text was cut."""

from collections.abc import Generator, Sequence

from qwencode.events import CallDelta, Event, TextDelta, ThinkingDelta
from qwencode.messages import Reply


def drive(stream: Generator[Event, None, Reply]) -> tuple[Reply, list[Event]]:
    """Return the reply and what was told on the way."""
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
