"""One conversation in a repository: what the user types goes in, events come out."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from qwencode import __version__
from qwencode.context.prompts import chat_prompt
from qwencode.errors import QwencodeError, ToolError
from qwencode.events import (
    ContextFilled,
    Event,
    Notice,
    PhaseStarted,
    ReplyFinished,
    RunStarted,
    SandboxReady,
    TurnEnded,
)
from qwencode.jobs.chat.command import Command, Completion
from qwencode.jobs.chat.commands import COMMANDS, dispatch
from qwencode.jobs.chat.completing import FileNames, completions
from qwencode.jobs.chat.desk import Desk
from qwencode.jobs.chat.parts import Parts
from qwencode.jobs.chat.recording import Recording
from qwencode.jobs.chat.status import Mode, Status
from qwencode.jobs.chat.step import Step
from qwencode.jobs.chat.talk import Talk
from qwencode.jobs.chat.turn import say
from qwencode.model.protocol import Model, Reads
from qwencode.snapshots import recover
from qwencode.tools.approvals import Rules
from qwencode.tools.protocol import Tool
from qwencode.workspace import GitError, git

T = TypeVar("T")


class Chat:
    """One conversation. `open` comes first; then every line that is typed goes to `take`, one at a time.

    Both are generators of events, to be driven from one thread: `driving.drive` does it. `status` and `completions` may
    be asked from any thread at any time.
    """

    def __init__(self, parts: Parts, recording: Recording, talk: Talk | None = None):
        self.parts, self.recording, self.talk = parts, recording, talk or Talk()
        self.trusted = parts.trusted
        self.settings = parts.settings(self.trusted)
        self.think = self.settings.think
        self.model_name, self.model = parts.model, None
        self.commands: Sequence[Command] = COMMANDS
        self.over = False
        self.notes: list[tuple[str, str]] = []
        """What goes with the next message: title and text."""
        self.added: list[str] = []
        """Files that go with the next message."""
        self.step: Step | None = None
        self.model: Model | None = None
        self._mode: Mode = "ask"
        self._desk: Desk | None = None
        self._names = FileNames(parts.workspace)
        self._status = Status(parts.model, False, "ask", self.think, 0, 0, 0.0, "", None)

    @property
    def status(self) -> Status:
        return replace(self._status, model=self.model_name, loaded=self.model is not None, mode=self._mode)

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if self._desk:
            self._desk.mode = mode

    @property
    def desk(self) -> Desk:
        """What the model works with. Raises QwencodeError before the conversation is open."""
        if self._desk is None:
            raise QwencodeError("The session is not open yet.")
        return self._desk

    @property
    def tools(self) -> Mapping[str, Tool]:
        return self.desk.tools

    def open(self) -> Generator[Event, None, None]:
        """Load the model and let it read what there is. Raises QwencodeError for what makes a start impossible."""
        parts = self.parts
        self._look()
        if recovered := recover(parts.workspace):
            yield Notice(recovered, "warning")
        sandbox = parts.open_sandbox(self.settings)
        self._desk = Desk(
            parts.workspace, sandbox, parts.person, parts.places.maps, Rules(), lambda: self.settings.test
        )
        self._desk.mode = self._mode
        root, session = str(parts.workspace.root), self.recording.id
        yield self.told(RunStarted("chat", root, session, __version__, model=self.model_name))
        yield SandboxReady(sandbox.rung, sandbox.covers, sandbox.gaps)
        yield from self.ready()

    def take(self, line: str) -> Generator[Event, None, None]:
        """Do what a line says: a message, a command after `/`, or a shell command after `!`."""
        try:
            yield from self._taken(line.strip())
        except (QwencodeError, ToolError) as error:
            yield Notice(str(error), "error")
        except KeyboardInterrupt:
            yield Notice("Interrupted.")
        finally:
            self._look()

    def completions(self, text: str) -> list[Completion]:
        """Return what may follow the text, which stands left of the cursor."""
        return completions(self, self._names, text)

    def close(self) -> None:
        """End what runs. What is on disk stays. Idempotent."""
        if self.model:
            self.model.close()
            self.model = None
        if self._desk:
            self._desk.sandbox.close()
        self.recording.close()

    def ready(self) -> Generator[Event, None, None]:
        """Have the model loaded, with the conversation in its memory. Raises ModelUnavailable."""
        if self.model is not None:
            return
        yield PhaseStarted("model", f"Loading {self.model_name}")
        self.model = self.parts.open_model(self.model_name, self.settings)
        if isinstance(self.model, Reads):
            yield PhaseStarted("prefill", "Reading what the conversation begins with")
            specs = [tool.spec for tool in self.tools.values()]
            yield from self.model.read(self.talk.history or [chat_prompt()], specs)

    def told(self, event: Event) -> Event:
        """Put an event on record, and return it."""
        self.recording.record(event)
        self.talk.heard(event)
        match event:
            case ContextFilled(tokens, size):
                self._status = replace(self._status, tokens=tokens, size=size)
            case ReplyFinished(_, usage) if usage.decode_seconds > 0:
                self._status = replace(self._status, speed=usage.generated / usage.decode_seconds)
            case _:
                pass
        return event

    def recorded(self, work: Generator[Event, None, T]) -> Generator[Event, None, T]:
        """Put the events of some work on record while they pass."""
        try:
            while True:
                try:
                    event = next(work)
                except StopIteration as end:
                    return end.value
                yield self.told(event)
        finally:
            work.close()

    def begin_step(self) -> Step:
        """Return what keeps the files of the turn that begins now."""
        name = f"{self.recording.id}-{self.talk.states + 1:04}"
        self.step = self.desk.step = Step(self.parts.workspace, self.recording.id, name)
        return self.step

    def settle(self, number: int, reason: str) -> list[Event]:
        """Close a turn: its files, its messages, its end are put on record. Returns the events."""
        step, self.step, self.desk.step = self.step, None, None
        events, files = self.talk.untold(), ()
        try:
            files = step.finish() if step else ()
        except QwencodeError as error:
            events.append(Notice(str(error), "error"))
        return [self.told(event) for event in [*events, TurnEnded(number, reason, files)]]

    def _taken(self, line: str) -> Generator[Event, None, None]:
        name, _, rest = line[1:].partition(" ")
        if not line:
            return
        if line.startswith("/") and "/" not in name and name:
            yield from dispatch(self, name, rest.strip())
        else:
            yield from say(self, line)

    def _look(self) -> None:
        """Take note of the branch, and of how many files differ from the last commit."""
        with suppress(GitError):
            root = self.parts.workspace.root
            rows = git(root, "status", "--porcelain", "--branch", "-z", "--no-renames").split(b"\0")
            branch = rows[0].removeprefix(b"## ").removeprefix(b"No commits yet on ").partition(b"...")[0]
            unsaved = sum(bool(row) for row in rows[1:])
            self._status = replace(self._status, branch=branch.decode(errors="replace"), unsaved=unsaved)
