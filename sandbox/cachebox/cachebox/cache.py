"""The cache itself."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from cachebox.stats import Stats

MISSING: Final = object()
"""What `get` returns for a key that is not there, unless told otherwise: None may be a cached value."""


@dataclass(frozen=True)
class _Entry:
    value: Any
    expires: float | None
    group: Hashable | None


class Cache:
    """Keeps up to `capacity` values, the least recently used of which goes first.

    `ttl` is how many seconds a value lives unless `put` says otherwise; None is for ever. A value is dead as soon as its
    time has passed, and looking at it does not make it live longer.
    """

    def __init__(self, capacity: int, ttl: float | None = None, clock: Callable[[], float] = time.monotonic):
        if capacity < 1:
            raise ValueError(f"a cache holds at least one value, not {capacity}")
        if ttl is not None and ttl <= 0:
            raise ValueError(f"a value lives longer than {ttl} seconds")
        self.capacity = capacity
        self.ttl = ttl
        self.stats = Stats()
        self._clock = clock
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()  # least recently used first
        self._groups: dict[Hashable, set[Hashable]] = {}

    def put(self, key: Hashable, value: Any, ttl: float | None = None, group: Hashable | None = None) -> None:
        """Keep a value; it is now the most recently used one. `ttl` overrides that of the cache."""
        lives = self.ttl if ttl is None else ttl
        expires = None if lives is None else self._clock() + lives
        self._entries[key] = _Entry(value, expires, group)
        self._entries.move_to_end(key)
        if group is not None:
            self._groups.setdefault(group, set()).add(key)
        if len(self._entries) > self.capacity:
            self._make_room()

    def get(self, key: Hashable, default: Any = MISSING) -> Any:
        """Return a value and mark it as used; `default` when it is not there or dead."""
        entry = self._entries.get(key)
        if entry is None or self._bury(key, entry):
            self.stats.misses += 1
            return default
        self._entries.move_to_end(key)
        self.stats.hits += 1
        return entry.value

    def peek(self, key: Hashable, default: Any = MISSING) -> Any:
        """Like `get`, but neither counted nor marked as used."""
        entry = self._entries.get(key)
        return default if entry is None or self._dead(entry) else entry.value

    def delete(self, key: Hashable) -> bool:
        """Forget a value; tells whether there was one."""
        return self._remove(key)

    def invalidate_group(self, group: Hashable) -> int:
        """Forget all values of a group; returns how many there were."""
        keys = self._groups.pop(group, set())
        for key in keys:
            self._entries.pop(key, None)
        return len(keys)

    def group_size(self, group: Hashable) -> int:
        """Return how many values the group has, dead ones that were not looked at since included."""
        return len(self._groups.get(group, ()))

    def purge(self) -> int:
        """Forget all dead values; returns how many there were."""
        return sum(self._bury(key, entry) for key, entry in list(self._entries.items()))

    def clear(self) -> None:
        self._entries.clear()
        self._groups.clear()

    def _dead(self, entry: _Entry) -> bool:
        return entry.expires is not None and self._clock() >= entry.expires

    def _bury(self, key: Hashable, entry: _Entry) -> bool:
        """Forget an entry if it is dead; tells whether it was."""
        if not self._dead(entry):
            return False
        self._remove(key)
        self.stats.expired += 1
        return True

    def _make_room(self) -> None:
        """Drop dead entries, or else the least recently used one."""
        if not self.purge():
            self._entries.popitem(last=False)
            self.stats.evicted += 1

    def _remove(self, key: Hashable) -> bool:
        """Take an entry out, also out of its group; a group without members is forgotten."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        if entry.group is not None:
            members = self._groups[entry.group]
            members.discard(key)
            if not members:
                del self._groups[entry.group]
        return True

    def __contains__(self, key: Hashable) -> bool:
        return self.peek(key) is not MISSING

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Hashable]:
        """Yield the keys, least recently used first."""
        return iter(list(self._entries))
