"""A fake at the sandbox seam."""

from pathlib import Path

from qwencode.sandbox.protocol import Completed


class NothingInstalled:
    """A machine without any program, at the sandbox seam."""

    rung, covers, gaps, scratch = "none", (), (), Path()

    def run(self, command: list[str], **options: object) -> Completed:
        return Completed(127, f"{command[0]}: no such program".encode(), 0.0)
