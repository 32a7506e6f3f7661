"""Commands about sessions: which there are, going on with one, a copy of this one, and its text."""

import os
from collections.abc import Generator
from typing import TYPE_CHECKING

from qwencode.errors import UsageError
from qwencode.events import Event, Listed, Notice, ScreenCleared
from qwencode.excerpt import clip
from qwencode.jobs.chat.export import markdown
from qwencode.jobs.chat.resuming import fork, go_on, held_here
from qwencode.sessions import Summary, find
from qwencode.workspace import write_atomic

if TYPE_CHECKING:
    from qwencode.jobs.chat.chat import Chat

_WORDS = 60


def sessions(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    rows = tuple((each.id, ago(each.age), clip(each.words, _WORDS)) for each in held_here(chat))
    if not rows:
        yield Notice("There is no other conversation in this repository.")
        return
    yield Listed("Conversations in this repository: /resume ID goes on with one", ("id", "last", "first words"), rows)


def resume(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Go on with another conversation: the one that is named, or chosen from a list."""
    name = rest or _chosen(chat, held_here(chat))
    if not name:
        yield from sessions(chat, "")
        return
    path = find(chat.recording.folder, name)
    if path == chat.recording.path:
        raise UsageError("This is the conversation that goes on.")
    yield ScreenCleared()
    yield from go_on(chat, path)
    yield from chat.read_again()


def copy(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Go on in a copy of this conversation."""
    before = chat.recording.id
    fork(chat)
    chat.begin()
    yield Notice(f"This is a copy now, {chat.recording.id}. The one before is as it was: /resume {before}")


def export(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Write the conversation to a file, as Markdown."""
    if not chat.talk.turns:
        raise UsageError("Nothing was said yet.")
    path = chat.parts.workspace.start / (rest or f"qwencode-{chat.recording.id}.md")
    there = os.path.exists(path)  # noqa: PTH110 (never raises, however long the name is)
    if there and not chat.parts.person.confirm(f"{path} exists. Overwrite it?"):
        raise UsageError(f"{path} exists and was not overwritten. Give another name: /export FILE")
    first = clip(" ".join(chat.talk.turns[0].text.split()), _WORDS)
    try:
        write_atomic(path, markdown(chat.talk.history, first).encode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    yield Notice(f"Written: {path}")


def ago(seconds: float) -> str:
    """Return an age in words: `just now`, `5 min ago`, `3 h ago`, `2 days ago`."""
    for unit, length in (("day", 86_400), ("h", 3_600), ("min", 60)):
        if (count := int(seconds // length)) >= 1:
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''} ago"
    return "just now"


def _chosen(chat: "Chat", found: list[Summary]) -> str:
    rows = [f"{ago(each.age):>12}  {clip(each.words, _WORDS)}" for each in found]
    chosen = chat.parts.person.choose("Go on with", rows) if rows else None
    return "" if chosen is None else found[chosen].id
