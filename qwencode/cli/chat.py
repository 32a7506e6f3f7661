"""`chat` and `ask`: building a conversation, and holding it at a terminal, line by line, or for one question."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwencode.errors import Interrupted, ModelUnavailable
from qwencode.jobs.chat.chat import Chat
from qwencode.jobs.chat.driving import drive
from qwencode.jobs.chat.parts import Parts
from qwencode.jobs.chat.person import Nobody, Person
from qwencode.jobs.chat.recording import Recording
from qwencode.model.choose import check_model, find_default, mends_lines, open_model, wishes
from qwencode.sandbox.ladder import open_sandbox
from qwencode.session import new_id
from qwencode.settings import Places, Settings, load
from qwencode.ui.reader import open_reader
from qwencode.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the command line asked for. `flags` are those that override settings; None was not given."""

    path: str
    flags: Mapping[str, Any]
    json: bool = False


def run_chat(request: ChatRequest) -> int:
    """Hold a conversation to its end and return the exit code. Raises QwencodeError as `fix` does."""
    if sys.stdin.isatty() and sys.stdout.isatty() and not request.json:
        from qwencode.ui.chat.app import talk

        return talk(lambda person: build_chat(request, person))
    chat, reader = build_chat(request, Nobody()), open_reader(request.json)
    try:
        drive(chat.open(), reader.show)
        for line in _lines():
            drive(chat.take(line), reader.show)
            if chat.over:
                break
    except KeyboardInterrupt:
        raise Interrupted("Interrupted.") from None
    finally:
        chat.close()
        reader.close()
    return 0


def build_chat(request: ChatRequest, person: Person) -> Chat:
    """Return a conversation that is not open yet. Raises QwencodeError for what is known without loading a model."""
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
    )
    return Chat(parts, Recording(places.sessions, new_id()))


def _model_name(settings: Settings, places: Places) -> str:
    """Return the model to talk to. Raises ModelUnavailable when there is none that can hold a conversation."""
    if settings.model:
        check_model(settings.model, places)
    name = find_default(settings, places)
    if not name or mends_lines(name, places):
        from qwencode.machine.outlook import advice

        raise ModelUnavailable(
            f"The built-in model mends single lines and cannot hold a conversation. {advice(places, wishes(settings))}"
        )
    return name


def _lines() -> Iterator[str]:
    """Yield the lines of the standard input, as they come."""
    for line in iter(sys.stdin.readline, ""):
        yield line.rstrip("\n")
