"""An LRU cache with expiry and groups."""

from cachebox.cache import MISSING, Cache
from cachebox.memo import memoize
from cachebox.stats import Stats

__all__ = ["MISSING", "Cache", "Stats", "memoize"]
