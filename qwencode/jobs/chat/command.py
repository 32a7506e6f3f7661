"""What a slash command is, and what may be typed next."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwencode.events import Event

if TYPE_CHECKING:
    from qwencode.jobs.chat.chat import Chat

Work = Callable[["Chat", str], Generator[Event, None, None]]
"""Does what a command says, given what was typed after its name."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the user. `usage` shows what may follow the name, `help` is one sentence.

    `complete` returns the words that may follow, whatever was typed of them.
    """

    name: str
    usage: str
    help: str
    run: Work
    complete: Callable[["Chat"], Sequence[str]] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What may stand in the place of the last `-start` characters before the cursor."""

    text: str
    start: int
    help: str = ""


def is_command(line: str) -> bool:
    """Say whether a line is a command, of whatever name; `/usr/bin` is none, and neither is `/` alone."""
    name = line[1:].partition(" ")[0]
    return line.startswith("/") and bool(name) and "/" not in name and "\n" not in name
