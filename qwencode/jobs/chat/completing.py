"""What may be typed next: commands after a slash, what follows them, files after an `@`."""

import re
import time
from typing import TYPE_CHECKING

from rapidfuzz import fuzz, process

from qwencode.jobs.chat.command import Completion
from qwencode.jobs.chat.resuming import held_here
from qwencode.model.choose import on_disk
from qwencode.workspace import Workspace

if TYPE_CHECKING:
    from qwencode.jobs.chat.chat import Chat

MOST = 50
_FRESH = 5.0  # seconds that a list of files is taken for the present one
_MENTION = re.compile(r'(?:^|(?<=[\s(]))@"?([^\s"]*)$')


class FileNames:
    """The names of the files that git would track, looked up at most every few seconds."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace
        self._names: list[str] = []
        self._until = 0.0

    def like(self, text: str) -> list[str]:
        """Return the names that begin with a text, else those that hold it or are most like it."""
        if time.monotonic() > self._until:
            self._names, self._until = self._workspace.files(), time.monotonic() + _FRESH
        wanted = text.lower()
        begin = [name for name in self._names if name.lower().startswith(wanted)]
        hold = [name for name in self._names if wanted in name.lower() and not name.lower().startswith(wanted)]
        if begin or hold:
            return sorted(begin, key=len)[:MOST] + sorted(hold, key=len)[: max(0, MOST - len(begin))]
        found = process.extract(text, self._names, scorer=fuzz.WRatio, limit=10, score_cutoff=70)
        return [name for name, _, _ in found]


def completions(chat: "Chat", names: FileNames, text: str) -> list[Completion]:
    """Return what may follow `text`, which stands left of the cursor."""
    if found := _MENTION.search(text):
        start = found.start(0) - len(text)
        return [Completion(f'@"{name}"' if " " in name else f"@{name}", start) for name in names.like(found.group(1))]
    if not text.startswith("/") or "\n" in text:
        return []
    name, blank, rest = text[1:].partition(" ")
    if not blank:
        begun = [command for command in chat.commands if command.name.startswith(name)]
        return [Completion(f"/{command.name}", -len(text), command.help) for command in begun]
    command = next((command for command in chat.commands if command.name == name), None)
    if command is None or command.complete is None:
        return []
    last = rest.rpartition(" ")[2]
    if command.complete is file_names:
        return [Completion(each, -len(last)) for each in names.like(last)]
    return [Completion(each, -len(last)) for each in command.complete(chat) if each.startswith(last)][:MOST]


def file_names(chat: "Chat") -> list[str]:
    """Stand in the table of commands for the files of the repository."""
    return []


def model_names(chat: "Chat") -> list[str]:
    """Return the models on this machine."""
    return [file.name for file in on_disk(chat.parts.places)]


def session_names(chat: "Chat") -> list[str]:
    """Return the conversations in this repository."""
    return [each.id for each in held_here(chat)]


def turn_numbers(chat: "Chat") -> list[str]:
    """Return the turns that /rewind can go back to."""
    return [str(turn.number) for turn in reversed(chat.talk.turns)]
