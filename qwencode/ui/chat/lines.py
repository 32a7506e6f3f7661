"""What the user has sent and nobody has read yet. Filled in the prompt's thread, emptied in the main thread."""

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One input. `shown` has a short sign for what was pasted, `text` the whole of it."""

    shown: str
    text: str


class Lines:
    """A queue whose contents can be looked at and taken back."""

    def __init__(self) -> None:
        self._waiting: deque[Line] = deque()
        self._changed = threading.Condition()
        self.over = False
        """Whether there will be no more."""

    def put(self, line: Line) -> None:
        """Let a line wait."""
        with self._changed:
            self._waiting.append(line)
            self._changed.notify()

    def take(self) -> Line | None:
        """Return the next line when there is one; None when there will be no more. Signals are heard meanwhile."""
        with self._changed:
            while not self._waiting and not self.over:
                self._changed.wait()
            return None if self.over else self._waiting.popleft()

    def take_back(self) -> Line | None:
        """Return the line that came last, so that it waits no longer; None where none does."""
        with self._changed:
            return self._waiting.pop() if self._waiting else None

    def waiting(self) -> tuple[Line, ...]:
        """Return what waits."""
        with self._changed:
            return tuple(self._waiting)

    def end(self) -> None:
        """There will be no more, and what waits is not wanted any more. Idempotent."""
        with self._changed:
            self.over = True
            self._changed.notify()
