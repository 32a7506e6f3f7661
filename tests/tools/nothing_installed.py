"""A fake at the sandbox seam."""

from pathlib import Path
from typing import Any

from qwencode.sandbox.protocol import Completed, Limits


class NothingInstalled:
    """A machine without any program. It keeps the limits that commands were given."""

    rung, covers, gaps, scratch = "none", (), (), Path()

    def __init__(self) -> None:
        self.limits: list[Limits] = []

    def run(self, command: list[str], *, limits: Limits, **options: Any) -> Completed:
        self.limits.append(limits)
        return Completed(127, f"{command[0]}: no such program".encode(), 0.0)
