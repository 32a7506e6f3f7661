"""Commands about how the conversation is held: model, thinking, consent, context, settings."""

import os
from collections.abc import Generator
from typing import TYPE_CHECKING

from qwencode.agent import compaction
from qwencode.agent.budget import Budget, Meter
from qwencode.agent.thinking import POLICIES
from qwencode.agent.turns import estimated_tokens
from qwencode.errors import UsageError
from qwencode.events import Event, Listed, Notice, ScreenCleared
from qwencode.excerpt import clip, listed
from qwencode.jobs.chat.driving import whole
from qwencode.jobs.chat.status import MODES, Mode, mode_of
from qwencode.jobs.chat.talk import becoming
from qwencode.jobs.chat.turn import ANSWERED, say, turn
from qwencode.machine.doctor import examine
from qwencode.messages import Message
from qwencode.model.choose import BUILTIN, check_model, mends_lines, on_disk
from qwencode.model.protocol import Options
from qwencode.settings import explain, user_file
from qwencode.settings_file import put

if TYPE_CHECKING:
    from qwencode.jobs.chat.chat import Chat

_MEANING: dict[Mode, str] = {
    "plan": "the model only reads",
    "ask": "edits and commands need your consent",
    "auto": "edits, and commands inside the sandbox, are not asked about",
}


def show_help(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    rows = [(f"/{command.name} {command.usage}".rstrip(), command.help) for command in chat.commands]
    rows += [
        ("!CMD", "Runs a shell command of yours, outside the sandbox."),
        ("!!CMD", "The same, and tells the model."),
    ]
    rows += [("@FILE", "Shows a file to the model; @FILE:10-40 a part of it.")]
    yield Listed("Commands", (), tuple(rows))


def leave(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    chat.over = True
    name = chat.recording.id
    yield Notice(f"Bye. To go on: qwencode chat --resume {name}" if chat.recording.path else "Bye.")


def clear(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Begin a new conversation; the old one stays on disk."""
    name = chat.recording.id if chat.recording.path else ""
    chat.begin_anew()
    yield ScreenCleared()
    yield Notice(f"A new conversation. The one before: /resume {name}" if name else "A new conversation.")


def model(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Show the models, or change to another one, which then reads the conversation."""
    places = chat.parts.places
    if not rest:
        names = [file.name for file in on_disk(places)]
        rows = [(f"{'▸' if name == chat.model_name else ' '} {name}",) for name in names]
        if chat.model_name not in names:
            rows.insert(0, (f"▸ {chat.model_name}",))
        yield Listed("Models: /model NAME changes to one", (), tuple(rows))
        return
    check_model(rest, places)
    if rest.lower() == BUILTIN or mends_lines(rest, places):
        raise UsageError(f"{rest} mends single lines and cannot hold a conversation.")
    yield from chat.change_model(rest)
    yield Notice(f"The model is {chat.model_name}.")


def think(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    if rest and rest not in POLICIES:
        raise UsageError(f"/think can be: {', '.join(POLICIES)}.")
    chat.think = rest or chat.think
    meaning = {"auto": "on hard steps", "always": "on every step", "never": "never"}[chat.think]
    yield Notice(f"The model thinks {meaning}. (/think auto, always or never)")


def mode(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    if rest and rest not in MODES:
        raise UsageError(f"/mode can be: {', '.join(MODES)}.")
    chat.mode = mode_of(rest) if rest else chat.mode
    bare = " There is no sandbox here, so commands are asked about." if chat.mode == "auto" and chat.bare else ""
    yield Notice(f"Mode {chat.mode}: {_MEANING[chat.mode]}.{bare}")


def plan(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Let the model read only, and answer what is said, if anything is."""
    yield from mode(chat, "plan")
    if rest:
        yield from say(chat, rest)


def add_files(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Have files shown to the model with the next message."""
    names = rest.split()
    for name in names:
        if not os.path.isfile(chat.parts.workspace.resolve(name)):  # noqa: PTH113 (never raises)
            raise UsageError(f"{name} is no file of the repository.")
    chat.added += [name for name in names if name not in chat.added]
    waiting = listed(chat.added, 20) if chat.added else "none; /add FILE adds one"
    yield Notice(f"Shown to the model with your next message: {waiting}.")


def drop_files(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    names = rest.split() or [*chat.added]
    if strange := [name for name in names if name not in chat.added]:
        raise UsageError(
            f"{strange[0]} is not waiting to be shown. What the model has read already goes with /rewind or /compact."
        )
    chat.added = [name for name in chat.added if name not in names]
    yield Notice(f"Not shown: {listed(names, 20) if names else 'nothing was waiting'}.")


def context(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Say what fills the context, by part."""
    history, status = chat.talk.history, chat.status
    specs = sum(len(str(tool.spec.parameters)) + len(tool.spec.description) for tool in chat.tools.values())
    parts = {
        "tools": round(specs / 4),
        "system prompt": _tokens(history, "system"),
        "your messages": _tokens(history, "user"),
        "replies": estimated_tokens(
            [Message("assistant", each.content) for each in history if each.role == "assistant"]
        ),
        "thinking": estimated_tokens([Message("assistant", each.reasoning) for each in history]),
        "calls": estimated_tokens([Message("assistant", tool_calls=each.tool_calls) for each in history]),
        "results of tools": _tokens(history, "tool"),
    }
    total = sum(parts.values())
    scale = status.tokens / total if status.tokens and total else 1.0
    rows = [(name, f"{round(count * scale):,}", f"{count / total:.0%}") for name, count in parts.items() if count]
    size = f" of {status.size:,}" if status.size else ""
    rows.append(("together", f"{status.tokens or total:,}{size}", ""))
    yield Listed("Context, in tokens (parts are estimated)", ("part", "tokens", "share"), tuple(rows))


def compact(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Let the model sum the conversation up, and go on with that."""
    if len(chat.talk.history) < 4 or not compaction.can_be_shortened(chat.talk.history):
        raise UsageError("There is nothing yet that could be summed up.")
    yield from chat.ready()
    yield from turn(chat, f"/compact {rest}".strip(), lambda: _compact(chat, rest))


def _compact(chat: "Chat", rest: str) -> Generator[Event, None, str]:
    history, model = chat.talk.history, chat.model
    assert model is not None
    first = next((n for n, message in enumerate(history) if message.role == "assistant"), len(history))
    work = compaction.summary(model, chat.tools, Options(), history, Meter(Budget(0, 0.0)), rest)
    summary = yield from chat.recorded(work)
    diff, _ = chat.session_change()
    wanted = [*history[:first], compaction.resumed(summary, chat.talk.known.plan, diff, "The user goes on from here.")]
    events = becoming(history, wanted, "the conversation was summed up")
    yield from whole([chat.took(event) for event in events])
    yield Notice(
        f"The conversation has about {estimated_tokens(history):,} tokens now; /rewind goes back to before this."
    )
    return ANSWERED


def config(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Show the settings, or change one in the user's file."""
    places = chat.parts.places
    name, _, value = rest.partition(" ")
    if value:
        put(user_file(places), name, value.strip())
        chat.read_settings()
    root = chat.parts.workspace.root if chat.trusted else None
    rows = [(each.name, clip(_written(each.value), 60), each.origin) for each in explain(places, root)]
    if name:
        rows = [row for row in rows if row[0] == name]
        if not rows:
            raise UsageError(f"There is no setting {name!r}; /config lists them.")
    yield Listed("Settings", ("name", "value", "from"), tuple(rows))


def doctor(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Look at this machine as `qwencode doctor` does."""
    report = examine(chat.parts.places, chat.parts.workspace.root if chat.trusted else None, chat.model_name)
    rows = tuple((each.level, each.name, each.text) for each in report.findings)
    yield Listed("Doctor", (), rows)
    yield Notice(f"Next: {report.command} ({report.why})")


def _tokens(history: list[Message], role: str) -> int:
    return estimated_tokens([Message("user", message.content) for message in history if message.role == role])


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType]
    return str(value).lower() if isinstance(value, bool) else str(value)
