"""Rate limiters with an injected clock."""

from sluice.bucket import TokenBucket
from sluice.clock import Clock, ManualClock, system_clock
from sluice.keyed import Limiter
from sluice.policy import All, parse_rate
from sluice.window import SlidingWindow

__all__ = ["All", "Clock", "Limiter", "ManualClock", "SlidingWindow", "TokenBucket", "parse_rate", "system_clock"]
