"""What reviews found before, by what they looked at: object ids, so that the same content costs nothing again.

One small file a result. What does not load is a miss, and a place that cannot be written keeps nothing.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from qwencode import __version__
from qwencode.events import FindingReported
from qwencode.findings import Severity
from qwencode.workspace import write_atomic

FORMAT = 2
"""To be raised whenever a check finds something else in the same content."""
ALL_BYTES = 16_000_000
"""What all results may take; those not used for longest go first."""
_CLEARED_EVERY = 64  # writes, on average: to list the folder each time would cost more than it frees


class Cache:
    """Results under a folder. `key` takes all that a result depends on."""

    def __init__(self, folder: Path):
        self._folder = folder

    def key(self, check: str, *parts: str) -> str:
        """Return the name of a result."""
        text = "\0".join((str(FORMAT), __version__, check, *parts))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    def load(self, key: str) -> list[FindingReported] | None:
        """Return what was found, None where nothing sound is kept."""
        path = self._folder / f"{key}.json"
        try:
            rows: Any = json.loads(path.read_bytes())
            found = [FindingReported(**row) for row in rows["findings"]]
            sound = rows["key"] == key and all(map(_is_sound, found))
            path.touch()
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return found if sound else None

    def save(self, key: str, findings: Sequence[FindingReported]) -> None:
        """Keep what was found."""
        rows = [{name: getattr(each, name) for name in FindingReported.__slots__} for each in findings]
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            data = json.dumps({"key": key, "findings": rows}).encode("ascii")
            write_atomic(self._folder / f"{key}.json", data, 0o600)
            if int(key[:8], 16) % _CLEARED_EVERY == 0:
                self.clear()

    def clear(self) -> None:
        """Remove the results that were not used for longest, until the rest is small enough."""
        with suppress(OSError):
            kept = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in self._folder.glob("*.json"))
            over = sum(size for _, size, _ in kept) - ALL_BYTES
            for _, size, path in kept:
                if over <= 0:
                    break
                path.unlink(missing_ok=True)
                over -= size


def _is_sound(each: FindingReported) -> bool:
    """Say whether what was read can be shown: anybody may have written it."""
    texts: tuple[Any, ...] = (
        each.file,
        each.rule,
        each.what,
        each.suggestion,
        "" if each.replacement is None else each.replacement,
    )
    numbered = type(each.line) is int and each.line >= 1
    return (
        numbered
        and bool(each.file)
        and each.severity in get_args(Severity)
        and all(isinstance(text, str) for text in texts)
    )
