"""Keeping the model's memory of a conversation on disk, where the user asks for that, and having it back."""

from collections.abc import Generator
from typing import TYPE_CHECKING

from qwencode.errors import UsageError
from qwencode.events import Event, Notice
from qwencode.model.protocol import Keeps
from qwencode.sessions import kept_folder

if TYPE_CHECKING:
    from qwencode.jobs.chat.chat import Chat


def keep(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Keep it now, and again when the session ends."""
    path = chat.recording.path
    if path is None:
        raise UsageError("Nothing was said yet; there is nothing to keep.")
    yield from chat.ready()
    if not isinstance(chat.model, Keeps):
        raise UsageError("Only the memory of a model in this process can be kept; a server has its own.")
    specs = [tool.spec for tool in chat.tools.values()]
    kept = yield from chat.model.keep(chat.talk.history, specs, kept_folder(path))
    if kept.problem:
        raise UsageError(f"The {kept.tokens:,} tokens could not be kept in {kept_folder(path)}: {kept.problem}.")
    chat.keeping = True
    yield Notice(
        f"Kept: {kept.tokens:,} tokens, {kept.size / 1e6:,.1f} MB in {kept_folder(path)}. "
        "Going on with this conversation reads nothing of them. When the session ends, they are kept again."
    )


def recalled(chat: "Chat") -> Generator[Event, None, None]:
    """Bring back what was kept of the conversation, if that fits it and the model."""
    path = chat.recording.path
    if path is None or not isinstance(chat.model, Keeps) or not kept_folder(path).is_dir():
        return
    specs = [tool.spec for tool in chat.tools.values()]
    if tokens := chat.model.recall(chat.talk.history, specs, kept_folder(path)):
        chat.keeping = True
        yield Notice(f"{tokens:,} tokens of this conversation were kept, and are not read again.")
    else:
        yield Notice("What was kept of this conversation does not fit it, or this model: it is read again.", "warning")
