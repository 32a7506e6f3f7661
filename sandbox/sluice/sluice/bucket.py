"""The token bucket: bursts up to its size, then a steady rate."""

from sluice.clock import Clock, system_clock


class TokenBucket:
    """Holds up to `capacity` tokens and gains `rate` tokens a second. It starts full."""

    def __init__(self, rate: float, capacity: float, clock: Clock = system_clock):
        if rate <= 0 or capacity <= 0:
            raise ValueError("rate and capacity must be positive")
        self.rate = rate
        self.capacity = capacity
        self._clock = clock
        self._tokens = float(capacity)
        self._updated = clock()

    def _refill(self) -> None:
        now = self._clock()
        gained = (now - self._updated) * self.rate
        self._tokens = min(self.capacity, self._tokens + gained)
        self._updated = now

    @property
    def tokens(self) -> float:
        """The tokens that are there now."""
        self._refill()
        return self._tokens

    def allow(self, cost: float = 1.0) -> bool:
        """Take `cost` tokens if they are there; otherwise take none and return False."""
        self._refill()
        if cost > self._tokens:
            return False
        self._tokens -= cost
        return True

    def wait(self, cost: float = 1.0) -> float:
        """Return the seconds until `cost` tokens are there. Raises ValueError when there never will be so many."""
        if cost > self.capacity:
            raise ValueError(f"a cost of {cost} is more than the bucket holds")
        self._refill()
        return max(0.0, (cost - self._tokens) / self.rate)

    def idle(self) -> bool:
        """Tell whether forgetting this limiter would change nothing."""
        return self.tokens >= self.capacity
