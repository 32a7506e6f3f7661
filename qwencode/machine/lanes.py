"""Several connections for one file: its pieces come in order, those further on are fetched ahead.

So what lies on the disk is the file up to a place, as with one connection, and whatever ends the process loses what was
fetched ahead and no more: connections × segment.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from queue import Full, Queue

Piece = tuple[bytes, int]
"""Bytes of a file, and where in it they begin."""
_PATIENCE = 0.2  # seconds between two looks at whether anybody still wants what is fetched
_PIECES = 1024  # that wait at most in a lane


@dataclass(frozen=True, slots=True)
class Lanes:
    """How many connections, and how many bytes each fetches at a time. Less than `least` comes through one."""

    connections: int = 4
    segment: int = 32 << 20
    least: int = 256 << 20


@dataclass(slots=True)
class _Lane:
    """A thread that fetches one segment. `error` is what ended it early, known when None was read from `pieces`."""

    last: int
    pieces: "Queue[Piece | None]" = field(default_factory=lambda: Queue[Piece | None](_PIECES))
    error: BaseException | None = None


def fetch(
    begin: int,
    size: int,
    lanes: Lanes,
    read: Callable[[int, int], Iterator[Piece]],
    failures: tuple[type[BaseException], ...],
) -> Generator[Piece]:
    """Yield the pieces of a file from `begin` on, in order.

    `read` yields those from one byte to another, both included, in a thread of its own; what it raises of `failures` is
    raised here in its turn. It ends early where a segment does. Where a server knows no ranges, what comes is the whole
    file from its beginning.
    """
    spans = deque((at, min(at + lanes.segment, size) - 1) for at in range(begin, size, lanes.segment))
    unwanted = threading.Event()
    running = deque[tuple[_Lane, threading.Thread]]()
    try:
        while spans or running:
            while spans and len(running) < lanes.connections:
                running.append(_started(*spans.popleft(), read, failures, unwanted))
            lane, reached = running[0][0], 0
            while (piece := lane.pieces.get()) is not None:
                yield piece
                reached = piece[1] + len(piece[0])
            if lane.error:
                raise lane.error
            if reached != lane.last + 1:  # cut short, or all of the file came and not the segment alone
                return
            running.popleft()
    finally:
        unwanted.set()
        for _, thread in running:  # one that is about to connect does so before the caller closes all connections
            thread.join(_PATIENCE)


def _started(
    first: int,
    last: int,
    read: Callable[[int, int], Iterator[Piece]],
    failures: tuple[type[BaseException], ...],
    unwanted: threading.Event,
) -> tuple[_Lane, threading.Thread]:
    lane = _Lane(last)

    def work() -> None:
        try:
            for piece in read(first, last):
                if not _put(lane.pieces, piece, unwanted):
                    return
        except failures as error:
            lane.error = error
        finally:
            _put(lane.pieces, None, unwanted)

    thread = threading.Thread(target=work, daemon=True)  # one that hangs must not keep the process
    thread.start()
    return lane, thread


def _put(pieces: "Queue[Piece | None]", piece: Piece | None, unwanted: threading.Event) -> bool:
    """Hand a piece over, and say whether anybody wanted it."""
    while not unwanted.is_set():
        try:
            pieces.put(piece, timeout=_PATIENCE)
        except Full:
            continue
        return True
    return False
