"""The sliding window: at most so many calls in any stretch of so many seconds."""

from collections import deque

from sluice.clock import Clock, system_clock


class SlidingWindow:
    """Allows `limit` calls in every `seconds`. A call leaves the window exactly `seconds` after it was made."""

    def __init__(self, limit: int, seconds: float, clock: Clock = system_clock):
        if limit < 1 or seconds <= 0:
            raise ValueError("limit and seconds must be positive")
        self.limit = limit
        self.seconds = seconds
        self._clock = clock
        self._calls: deque[float] = deque()

    def _forget(self, now: float) -> None:
        while self._calls and now - self._calls[0] >= self.seconds:
            self._calls.popleft()

    def allow(self, cost: int = 1) -> bool:
        """Count `cost` calls if they fit; otherwise count none and return False."""
        now = self._clock()
        if len(self._calls) + cost > self.limit:
            return False
        self._forget(now)
        self._calls.extend([now] * cost)
        return True

    def wait(self, cost: int = 1) -> float:
        """Return the seconds until `cost` calls fit. Raises ValueError when they never will."""
        if cost > self.limit:
            raise ValueError(f"a cost of {cost} is more than the limit of {self.limit}")
        now = self._clock()
        self._forget(now)
        surplus = len(self._calls) + cost - self.limit
        if surplus <= 0:
            return 0.0
        return self._calls[surplus - 1] + self.seconds - now

    @property
    def used(self) -> int:
        """How many calls are in the window now."""
        self._forget(self._clock())
        return len(self._calls)

    def idle(self) -> bool:
        """Tell whether forgetting this limiter would change nothing."""
        return self.used == 0
