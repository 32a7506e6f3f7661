"""Going on with a session from disk: up to the last turn that is whole."""

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from qwencode.errors import UsageError
from qwencode.events import Event, InputOffered, Listed, Notice, RunStarted, TurnsUndone
from qwencode.excerpt import clip
from qwencode.jobs.chat.driving import whole
from qwencode.jobs.chat.recording import Recording
from qwencode.jobs.chat.talk import becoming, folded
from qwencode.session import new_id
from qwencode.sessions import SUFFIX, Summary, load, summaries

if TYPE_CHECKING:
    from qwencode.jobs.chat.chat import Chat

_SHOWN = 3  # turns that are shown when a session goes on
_WORDS = 200


def go_on(chat: "Chat", path: Path) -> Generator[Event, None, None]:
    """Make a session on disk the one that goes on. The model is not given it yet.

    Raises UsageError for a session of another repository, one that is no conversation, and one that is open elsewhere.
    """
    loaded = load(path)
    started = [event for event in loaded.events if isinstance(event, RunStarted)]
    if not started or started[-1].job != "chat":
        raise UsageError(f"The session {path.stem} is no conversation that could go on.")
    root = str(chat.parts.workspace.root)
    if started[-1].repository != root:
        raise UsageError(f"The session {path.stem} was held in {started[-1].repository}; start qwencode there.")
    recording = Recording(path.parent, path.stem, begun=True)
    chat.change_to(recording, folded(loaded.events))
    chat.begin()
    yield from (Notice(text, "warning") for text in loaded.notices)
    yield from _last_whole_turn(chat)
    turns = chat.talk.turns
    rows = tuple((str(turn.number), clip(" ".join(turn.text.split()), _WORDS)) for turn in turns[-_SHOWN:])
    many = f"{len(turns)} turns" if len(turns) != 1 else "1 turn"
    yield Listed(f"Going on with {path.stem}: {many}, the last ones", (), rows)
    replies = [message.content for message in chat.talk.history if message.role == "assistant" and message.content]
    if replies:
        yield Notice(clip(replies[-1].strip(), _WORDS * 5))


def _last_whole_turn(chat: "Chat") -> Generator[Event, None, None]:
    """Take back a turn that was cut off, as when the process was killed, and offer its words."""
    talk = chat.talk
    if not talk.turns or talk.turns[-1].reason:
        return
    turn = talk.turns[-1]
    events = [chat.took(TurnsUndone(turn.number, True))]
    events += [chat.took(event) for event in becoming(talk.history, turn.before, "its turn was cut off")]
    yield from whole(events)
    yield Notice(f"Turn {turn.number} was cut off, and is left out. Its words are offered again.", "warning")
    yield InputOffered(turn.text)


def fork(chat: "Chat") -> None:
    """Go on in a session that begins with a copy of this one. Raises UsageError when there is none on disk yet."""
    source = chat.recording.path
    if source is None:
        raise UsageError("Nothing was said yet; there is nothing to copy.")
    name = new_id()
    copy = source.with_name(f"{name}{SUFFIX}")
    try:
        shutil.copyfile(source, copy)
        copy.chmod(0o600)
    except OSError as error:
        raise UsageError(f"{copy} cannot be written: {error.strerror}.") from error
    recording = Recording(copy.parent, name, begun=True)
    chat.change_to(recording, chat.talk)


def held_here(chat: "Chat") -> list[Summary]:
    """Return the conversations in this repository, the newest first, without the one that goes on."""
    root = str(chat.parts.workspace.root)
    found = summaries(chat.recording.folder)
    return [each for each in found if each.job == "chat" and each.repository == root and each.id != chat.recording.id]
