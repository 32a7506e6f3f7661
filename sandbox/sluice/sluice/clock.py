"""Where the time comes from: a function that returns seconds and never goes back."""

import time
from collections.abc import Callable

Clock = Callable[[], float]


def system_clock() -> float:
    """Return the monotonic time of this machine."""
    return time.monotonic()


class ManualClock:
    """A clock that stands still until it is moved, for tests and simulations."""

    def __init__(self, start: float = 0.0):
        self._now = start

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("time does not go back")
        self._now += seconds
