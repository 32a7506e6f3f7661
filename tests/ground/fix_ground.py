"""What the tests of whole runs share: what a run came to, and what a tree holds."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwencode.errors import QwencodeError
from qwencode.events import Event
from qwencode.jobs.fix import Outcome

SUM = "total.py"
SUM_TEXT = """def total(values):
    result = 1
    for value in values:
        result -= value
    return result
"""
SUM_TESTS = """import unittest

from total import total


class TotalTest(unittest.TestCase):
    def test_some(self):
        self.assertEqual(total([1, 2]), 3)

    def test_none(self):
        self.assertEqual(total([]), 0)

    def test_type(self):
        self.assertIsInstance(total([]), int)
"""


def contents(root: Path) -> dict[str, tuple[int, str]]:
    """Return every file and link of a tree but git's own, with its mode and a hash of what it holds."""
    found: dict[str, tuple[int, str]] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in (".git", "__pycache__", ".pytest_cache")]
        for name in files:
            path = Path(folder, name)
            data = bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(root))] = (path.lstat().st_mode, hashlib.sha256(data).hexdigest())
    return found


@dataclass
class Ran:
    """What came of a run."""

    events: list[Event] = field(default_factory=list[Event])
    outcome: Outcome | None = None
    error: QwencodeError | None = None
    aside: str = ""
    """What could not be told any more."""

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]
