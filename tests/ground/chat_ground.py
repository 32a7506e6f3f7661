"""A conversation in a repository, with a model and a person who were told beforehand what to say."""

import os
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any

from qwencode.events import Event, Notice
from qwencode.jobs.chat.chat import Chat
from qwencode.jobs.chat.driving import drive
from qwencode.jobs.chat.parts import Parts
from qwencode.jobs.chat.person import Answer, Nobody, Question
from qwencode.jobs.chat.recording import Recording
from qwencode.model.protocol import Model
from qwencode.model.scripted import Line, ScriptedModel
from qwencode.sandbox.ladder import open_sandbox
from qwencode.settings import Places, Settings
from qwencode.workspace import Workspace

YES = Answer(True)
ALWAYS = Answer(True, lasting=True)


@dataclass
class Someone:
    """Answers what it is asked from lists, and keeps the questions. An empty list: yes to calls, no to the rest."""

    answers: list[Answer | type[BaseException]] = field(default_factory=list[Any])
    yes: list[bool] = field(default_factory=list[bool])
    rows: list[int | None] = field(default_factory=list[Any])
    texts: list[str | None] = field(default_factory=list[Any])
    asked: list[Question] = field(default_factory=list[Question])
    questions: list[str] = field(default_factory=list[str])
    shown: list[Sequence[str]] = field(default_factory=list[Any])

    def allow(self, question: Question) -> Answer:
        self.asked.append(question)
        answer = self.answers.pop(0) if self.answers else YES
        if not isinstance(answer, Answer):
            raise answer
        return answer

    def confirm(self, question: str) -> bool:
        self.questions.append(question)
        return self.yes.pop(0) if self.yes else False

    def choose(self, title: str, rows: Sequence[str]) -> int | None:
        self.shown.append(rows)
        return self.rows.pop(0) if self.rows else None

    def edit(self, text: str, name: str) -> str | None:
        self.shown.append([text])
        return self.texts.pop(0) if self.texts else text


@dataclass
class Held:
    """A conversation that a test holds."""

    chat: Chat
    model: Model
    person: Any
    events: list[Event] = field(default_factory=list[Event])

    def say(self, line: str, stop_at: Callable[[Event], bool] = lambda event: False) -> list[Event]:
        """Give it a line, and return what happened. A Ctrl-C comes at the first event at which to stop."""
        since, stopped = len(self.events), False

        def show(event: Event) -> None:
            nonlocal stopped
            self.events.append(event)
            if not stopped and stop_at(event):
                stopped = True
                raise KeyboardInterrupt

        drive(self.chat.take(line), show)
        return self.events[since:]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def notices(self) -> str:
        return "\n".join(event.text for event in self.of(Notice))

    @property
    def talked(self) -> list[tuple[str, str]]:
        """The history as (role, content)."""
        return [(message.role, message.content) for message in self.chat.talk.history]


class Pressing:
    """A recording during which Ctrl-C is pressed, once, when an event of this kind is put on record."""

    def __init__(self, recording: Recording, kind: type[Any]):
        self._recording, self._kind = recording, kind

    def record(self, event: Event) -> None:
        self._recording.record(event)
        if isinstance(event, self._kind):
            self._kind = NoneType
            os.kill(os.getpid(), signal.SIGINT)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recording, name)


class Renamed:
    """A sandbox that says of itself that it is on another rung."""

    def __init__(self, sandbox: Any, rung: str):
        self._sandbox, self.rung = sandbox, rung

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sandbox, name)


def places(home: Path) -> Places:
    return Places(home / "config", home / "data", home / "state", home / "cache")


def hold(
    root: Path,
    home: Path,
    lines: Iterable[Line] = (),
    *,
    model: Model | None = None,
    person: Any = None,
    settings: Settings | None = None,
    session: str = "20260101-000000-0000",
    rung: str = "",
    trusted: bool = True,
    resume: Path | None = None,
) -> Held:
    """Open a conversation in a repository; `rung` is what the sandbox says of itself."""
    model = model or ScriptedModel(lines)
    person = person or Nobody()

    def sandbox(chosen: Settings) -> Any:
        opened = open_sandbox(root, allow_none=True)
        return Renamed(opened, rung) if rung else opened

    parts = Parts(
        Workspace.find(root),
        places(home),
        person,
        lambda trusted: settings or Settings(),
        sandbox,
        lambda name, chosen: model,
        "scripted",
        trusted,
        resume,
    )
    held = Held(Chat(parts, Recording(places(home).sessions, session)), model, person)
    drive(held.chat.open(), held.events.append)
    return held
