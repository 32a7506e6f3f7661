"""`chat`, `ask`, `sessions`: building a conversation; holding it at a terminal, by lines, or for one question.

Nothing heavy is imported before the prompt stands on the screen.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwencode.errors import Interrupted, ModelUnavailable, UsageError

if TYPE_CHECKING:
    from qwencode.events import Event
    from qwencode.jobs.chat.chat import Chat
    from qwencode.jobs.chat.person import Person
    from qwencode.settings import Places, Settings

_STDIN_CHARS = 200_000
_STDIN_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the command line asked for. `flags` are those that override settings; None was not given.

    `resume`: the session that goes on, by the beginning of its id; `last`: the newest one of the repository.
    """

    path: str
    flags: Mapping[str, Any] = field(default_factory=dict[str, Any])
    json: bool = False
    trust: bool = False
    resume: str = ""
    last: bool = False


def run_chat(request: ChatRequest) -> int:
    """Hold a conversation to its end and return the exit code. Raises QwencodeError as `fix` does."""
    if request.json or not _is_terminal():
        return _by_lines(request)
    from qwencode.jobs.chat.status import Status, mode_of
    from qwencode.settings import Places, load
    from qwencode.ui.chat.app import talk

    places = Places.of_user()
    settings = load(places, None, request.flags)
    first = Status(settings.model, False, mode_of(settings.mode), settings.think, 0, 0, 0.0, "", None)
    return talk(lambda person: build_chat(request, person), places.state / "history", first, settings.keys)


def run_ask(request: ChatRequest, text: str) -> int:
    """Have one question answered and return the exit code. Raises QwencodeError as `fix` does.

    Where the output is no terminal, it is the answer and nothing else; what else there is to say goes to stderr.
    """
    from qwencode.events import MessageAdded, Notice, ToolFinished
    from qwencode.jobs.chat.driving import drive
    from qwencode.jobs.chat.person import Nobody
    from qwencode.ui.plain import Plain
    from qwencode.ui.reader import open_reader

    said = _question(text)
    chat = build_chat(request, Nobody())
    whole = request.json or sys.stdout.isatty()
    reader = open_reader(request.json) if whole else Plain(sys.stderr)
    answer = ""

    def show(event: "Event") -> None:
        nonlocal answer
        if isinstance(event, MessageAdded) and event.message.role == "assistant":
            answer = event.message.content.strip()
        told = isinstance(event, ToolFinished) or (isinstance(event, Notice) and event.level != "error")
        if whole or told:
            reader.show(event)

    try:
        drive(chat.open(), show)
        drive(chat.ask(said), show)
    except KeyboardInterrupt:
        raise Interrupted("Interrupted.") from None
    finally:
        chat.close()
        reader.close()
    if answer and not whole:
        Plain(sys.stdout).show_text(answer)
    if chat.trouble:
        raise chat.trouble
    return 0


def list_sessions(everywhere: bool, json: bool) -> Iterator[str]:
    """Yield a line for each session: those of this repository, or all."""
    import json as writer

    from qwencode.cli.config import project_root
    from qwencode.excerpt import clip
    from qwencode.jobs.chat.session_commands import ago
    from qwencode.sessions import summaries
    from qwencode.settings import Places

    root = project_root()
    found = summaries(Places.of_user().sessions)
    if not everywhere and root is not None:
        found = [each for each in found if each.repository == str(root)]
    for each in found:
        if json:
            data = {"id": each.id, "job": each.job, "repository": each.repository, "words": each.words}
            yield writer.dumps({**data, "age": round(each.age)})
        else:
            where = f"  {each.repository}" if everywhere or root is None else ""
            yield f"{each.id}  {each.job:<4}  {ago(each.age):>12}  {clip(each.words, 60)}{where}"
    if not found and not json:
        yield "There is no session yet." if everywhere or root is None else "There is no session in this repository."


def show_session(name: str) -> str:
    """Return a session as Markdown. Raises UsageError when there is none of this name."""
    from qwencode.jobs.chat.export import markdown
    from qwencode.jobs.chat.talk import folded
    from qwencode.sessions import find, load
    from qwencode.settings import Places

    path = find(Places.of_user().sessions, name)
    loaded = load(path)
    for text in loaded.notices:
        sys.stderr.write(f"qwencode: {text}\n")
    return markdown(folded(loaded.events).history, f"Session {path.stem}")


def remove_session(name: str) -> str:
    """Delete a session and return a sentence. Raises UsageError when there is none of this name."""
    from qwencode.sessions import find, remove
    from qwencode.settings import Places

    path = find(Places.of_user().sessions, name)
    remove(path)
    return f"Removed the session {path.stem}. What it changed in your files stays; `qwencode undo` takes that back."


def build_chat(request: ChatRequest, person: "Person") -> "Chat":
    """Return a conversation that is not open yet. Raises QwencodeError for what is known without loading a model."""
    from qwencode.jobs.chat.chat import Chat
    from qwencode.jobs.chat.parts import Parts
    from qwencode.jobs.chat.recording import Recording
    from qwencode.model.choose import open_model
    from qwencode.sandbox.ladder import open_sandbox
    from qwencode.session import new_id
    from qwencode.settings import Places, Settings, load
    from qwencode.workspace import Workspace

    places, workspace = Places.of_user(), Workspace.find(Path(request.path))

    def settings(trusted: bool) -> Settings:
        return load(places, workspace.root if trusted else None, request.flags)

    parts = Parts(
        workspace,
        places,
        person,
        settings,
        lambda chosen: open_sandbox(workspace.root, allow_none=chosen.no_sandbox),
        lambda name, chosen: open_model(name, chosen, places),
        _model_name(settings(False), places),
        request.trust,
        _to_resume(request, places, workspace.root),
    )
    return Chat(parts, Recording(places.sessions, new_id()))


def _by_lines(request: ChatRequest) -> int:
    """Hold a conversation with a program, or a file: a line is a message or a command."""
    from qwencode.jobs.chat.driving import drive
    from qwencode.jobs.chat.person import Nobody
    from qwencode.ui.reader import open_reader

    chat, reader = build_chat(request, Nobody()), open_reader(request.json)
    try:
        drive(chat.open(), reader.show)
        for line in iter(sys.stdin.readline, ""):
            drive(chat.take(line), reader.show)
            if isinstance(chat.trouble, Interrupted):
                raise chat.trouble
            if chat.over:
                break
    except KeyboardInterrupt:
        raise Interrupted("Interrupted.") from None
    finally:
        chat.close()
        reader.close()
    return 0


def _model_name(settings: "Settings", places: "Places") -> str:
    """Return the model to talk to. Raises ModelUnavailable when there is none that can hold a conversation."""
    from qwencode.model.choose import check_model, find_default, mends_lines, wishes

    if settings.model:
        check_model(settings.model, places)
    name = find_default(settings, places)
    if not name and sys.stdin.isatty() and sys.stdout.isatty():
        from qwencode.cli.first_run import offer_model

        offer_model(settings, places, "qwencode chat")
        name = find_default(settings, places)  # what a yes has fetched
    if not name or mends_lines(name, places):
        from qwencode.machine.outlook import advice

        raise ModelUnavailable(
            f"The built-in model mends single lines and cannot hold a conversation. {advice(places, wishes(settings))}"
        )
    return name


def _to_resume(request: ChatRequest, places: "Places", root: Path) -> Path | None:
    from qwencode.sessions import find, summaries

    if request.resume:
        return find(places.sessions, request.resume)
    if not request.last:
        return None
    here = [each for each in summaries(places.sessions) if each.job == "chat" and each.repository == str(root)]
    if not here:
        raise UsageError(f"There is no conversation in {root} that could go on; begin one with `qwencode chat`.")
    return find(places.sessions, here[0].id)


def _question(text: str) -> str:
    """Return the question, with what is piped in. Raises UsageError when there is none."""
    piped = "" if sys.stdin.isatty() or (text != "-" and not _has_come()) else _piped()
    said = piped if text == "-" else f"{text}\n\n<<< piped in\n{piped}\n>>>" if piped.strip() else text
    if not said.strip() or said == "-":
        raise UsageError("There is no question: give it as words, or pipe it in with `qwencode ask -`.")
    return said


def _has_come() -> bool:
    """Say whether something is piped in: nothing may ever come where nobody closes the standard input."""
    import select

    try:
        ready, _, _ = select.select([sys.stdin], [], [], _STDIN_SECONDS)
    except (OSError, ValueError):  # closed, or nothing that can be waited for
        return False
    if not ready:
        sys.stderr.write(f"qwencode: nothing was piped in for {_STDIN_SECONDS:.0f} s; going on without.\n")
    return bool(ready)


def _piped() -> str:
    try:
        text = sys.stdin.read(_STDIN_CHARS + 1)
    except UnicodeDecodeError as error:
        raise UsageError("What is piped in is not UTF-8 text.") from error
    if len(text) > _STDIN_CHARS:
        raise UsageError(f"What is piped in is longer than {_STDIN_CHARS:,} characters; give a part of it.")
    return text


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")
