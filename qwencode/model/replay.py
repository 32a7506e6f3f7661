"""A recorded session as a model: says again what the model said then, as long as the history is the same."""

import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from qwencode.errors import ModelUnavailable
from qwencode.events import ContextFilled, Event, HistoryRewound, MessageAdded, ReplyFinished
from qwencode.messages import Finish, Message, Reply, ToolSpec
from qwencode.model.protocol import CallRefused, Options
from qwencode.model.scripted import deltas
from qwencode.session import read

_VOLATILE = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?|\b\d\d:\d\d:\d\d(?:\.\d+)?)"
    r"|(?P<duration>\b\d+(?:\.\d+)? ?(?:ms|s|sec|seconds?|minutes?)\b)"
    r"|(?P<address>\b0x[0-9a-f]{6,}\b)"
    r"|(?P<folder>(?:/private)?(?:/var/folders|/tmp|/var/tmp)/[^\s'\":,)]*)"
    r"|(?P<process>\bpid[ =:]+\d+)",
    re.IGNORECASE,
)


class ReplayModel:
    """Replays the assistant messages of a session, given as its events or as the path of its trace.

    Every turn checks that the history is the recorded one, up to what differs from run to run (dates, durations, memory
    addresses, temporary folders, process ids), and raises ModelUnavailable that names the first message where they
    part. What was said is said again to its end, also where it could be stopped now: the history holds all of it. A
    path that cannot be read raises UsageError.
    """

    name = "replay"

    def __init__(self, recorded: Iterable[Event] | Path):
        events = list(read(recorded) if isinstance(recorded, Path) else recorded)
        self._turns = _turns(events)
        self.context_length = max((event.size for event in events if isinstance(event, ContextFilled)), default=0)
        self._next = 0

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        if self._next == len(self._turns):
            raise ModelUnavailable(f"The recorded session has no reply left after {self._next}.")
        before, reply = self._turns[self._next]
        if parted := _where_they_part(before, history):
            raise ModelUnavailable(
                f"The replay parts from the recorded session before reply {self._next + 1}: {parted}"
            )
        self._next += 1
        try:
            yield from deltas(reply.message)
        except CallRefused:
            pass
        return reply

    def close(self) -> None:
        pass


def _turns(events: Iterable[Event]) -> list[tuple[tuple[Message, ...], Reply]]:
    """Return each reply with the history that it continued."""
    history: list[Message] = []
    turns: list[tuple[tuple[Message, ...], Reply]] = []
    ended: ReplyFinished | None = None
    for event in events:
        match event:
            case ReplyFinished():
                ended = event
            case HistoryRewound(length):
                del history[length:]
            case MessageAdded(message):
                if message.role == "assistant" and ended is not None:
                    turns.append((tuple(history), Reply(message, cast(Finish, ended.finish), ended.usage)))
                    ended = None
                history.append(message)
            case _:
                pass
    return turns


def _where_they_part(recorded: Sequence[Message], history: Sequence[Message]) -> str:
    """Say at which message the histories differ and how. Empty when they do not."""
    for number, (then, now) in enumerate(zip(recorded, history, strict=False), 1):
        if _steady(then) == _steady(now):
            continue
        for part in ("role", "content", "reasoning", "tool_calls", "answers"):
            old, new = getattr(_steady(then), part), getattr(_steady(now), part)
            if old != new:
                where = f"message {number} ({now.role}) differs in its {part}"
                return f"{where}: it was {_around(old, new)}, and is {_around(new, old)}."
    if len(recorded) != len(history):
        return f"the history had {len(recorded)} messages, and has {len(history)}."
    return ""


def _steady(message: Message) -> Message:
    return replace(message, content=_VOLATILE.sub(lambda found: f"<{found.lastgroup}>", message.content))


def _around(value: object, other: object) -> str:
    """Quote a value from shortly before the place where it differs from the other."""
    text, against = (one if isinstance(one, str) else repr(one) for one in (value, other))
    same = next(
        (n for n, (a, b) in enumerate(zip(text, against, strict=False)) if a != b), min(len(text), len(against))
    )
    start, end = max(0, same - 20), same + 40
    return repr(("…" if start else "") + text[start:end] + ("…" if end < len(text) else ""))
