"""Commands that the user has written: a Markdown file each, whose text is what is said to the model.

`name` and `description` may stand at its top between two lines of `---`; `$ARGUMENTS` is what was typed after the name.
Those of a repository are used only where it is trusted, and none can take the place of a command of ours.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from qwencode.errors import ToolError
from qwencode.events import Event, Notice
from qwencode.jobs.chat.command import Command
from qwencode.jobs.chat.trust import COMMANDS
from qwencode.jobs.chat.turn import say
from qwencode.settings import Places
from qwencode.workspace import Workspace

if TYPE_CHECKING:
    from qwencode.jobs.chat.chat import Chat

ARGUMENTS = "$ARGUMENTS"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_HEAD = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_CHARS = 60_000


def custom(
    workspace: Workspace, places: Places, trusted: bool, taken: Sequence[Command]
) -> tuple[list[Command], list[Notice]]:
    """Return the user's commands, those of the repository first, and what is to be said of files that are none."""
    found: dict[str, Command] = {}
    notices: list[Notice] = []
    ours = {command.name for command in taken}
    sources = [(workspace, workspace.root / COMMANDS)] if trusted else []
    own = places.config / "commands"
    for room, folder in [*sources, (Workspace(own), own)]:
        for path in sorted(folder.glob("*.md")) if folder.is_dir() else ():
            try:
                command = _command(path.stem, room.read(path.relative_to(room.root)).text)
                if command.name in ours:
                    raise ToolError("there is a command of this name already")
            except (ToolError, ValueError) as error:
                notices.append(Notice(f"{path} makes no command: {str(error).rstrip('.')}.", "warning"))
                continue
            found.setdefault(command.name, command)
    return list(found.values()), notices


def _command(stem: str, text: str) -> Command:
    """Return the command that a file makes. Raises ToolError for one that makes none."""
    head = _HEAD.match(text)
    fields = dict(_fields(head.group(1))) if head else {}
    body = (text[head.end() :] if head else text).strip()
    name = fields.get("name", stem).lower()
    if not _NAME.fullmatch(name):
        raise ToolError(f"{name!r} is no name for a command; it has lower case letters, digits, - and _")
    if not body:
        raise ToolError("it has no text")
    if len(body) > _CHARS:
        raise ToolError(f"it is longer than {_CHARS:,} characters")

    def run(chat: "Chat", rest: str) -> Generator[Event, None, None]:
        yield from say(chat, filled(body, rest))

    usage = "[TEXT]" if ARGUMENTS in body else ""
    return Command(name, usage, fields.get("description") or "A command of yours.", run)


def filled(body: str, rest: str) -> str:
    """Return the text of a command with what was typed after its name in its place, or at its end."""
    if ARGUMENTS in body:
        return body.replace(ARGUMENTS, rest)
    return f"{body}\n\n{rest}" if rest else body


def _fields(head: str) -> Iterator[tuple[str, str]]:
    for line in head.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            yield key.strip().lower(), value.strip().strip("\"'")
