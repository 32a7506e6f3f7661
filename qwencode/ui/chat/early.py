"""The first look of the prompt, by hand: it is there while prompt-toolkit is still being imported."""

import os
import sys
import termios
import tty
from collections.abc import Generator
from contextlib import contextmanager

from qwencode.jobs.chat.status import Status


@contextmanager
def early_prompt(first: Status) -> Generator[None]:
    """Show what `Screen` will draw in the same place. Keys that are pressed meanwhile wait for it, Ctrl-C with them.

    The terminal is as it was before when the block ends. Standard input and output must be a terminal.
    """
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard, termios.TCSANOW)
    try:
        shown = f"{first.mode} ❯ " if os.environ.get("NO_COLOR") else f"\x1b[1m{first.mode} ❯\x1b[0m "
        _write(shown)
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def take_away() -> None:
    """Leave the line to who draws next."""
    _write("\r\x1b[2K")


def _write(text: str) -> None:
    sys.stdout.buffer.write(text.encode(sys.stdout.encoding, "replace"))
    sys.stdout.flush()
