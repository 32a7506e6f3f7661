"""One conversation in a repository: what the user types goes in, events come out."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from qwencode import __version__
from qwencode.agent.compaction import can_be_shortened
from qwencode.context.prompts import chat_prompt
from qwencode.errors import HistoryTooLong, Interrupted, QwencodeError, ToolError, UsageError
from qwencode.events import (
    ContextFilled,
    Event,
    HistoryRewound,
    MessageAdded,
    Notice,
    PhaseStarted,
    ReplyFinished,
    RunStarted,
    SandboxReady,
    TurnEnded,
)
from qwencode.excerpt import listed
from qwencode.jobs.chat.command import Command, Completion, is_command
from qwencode.jobs.chat.commands import COMMANDS, dispatch
from qwencode.jobs.chat.completing import FileNames, completions
from qwencode.jobs.chat.custom import custom
from qwencode.jobs.chat.desk import Desk
from qwencode.jobs.chat.keeping import keep, recalled
from qwencode.jobs.chat.parts import Parts
from qwencode.jobs.chat.person import Nobody
from qwencode.jobs.chat.recording import Recording
from qwencode.jobs.chat.resuming import go_on
from qwencode.jobs.chat.status import MODES, Mode, Status, mode_of
from qwencode.jobs.chat.step import Step
from qwencode.jobs.chat.talk import Talk
from qwencode.jobs.chat.trust import known, remember, to_be_trusted
from qwencode.jobs.chat.turn import say
from qwencode.jobs.chat.work_commands import shell
from qwencode.jobs.undisturbed import undisturbed
from qwencode.model.protocol import Model, Reads
from qwencode.session import new_id
from qwencode.snapshots import change, recover
from qwencode.tools.approvals import Rules
from qwencode.tools.protocol import Tool
from qwencode.workspace import git

T = TypeVar("T")


class Chat:
    """One conversation. `open` comes first; then every line that is typed goes to `take`, one at a time.

    Both are generators of events, to be driven from one thread: `driving.drive` does it. `status`, `switch_mode` and
    `completions` may be called from any thread at any time.
    """

    def __init__(self, parts: Parts, recording: Recording):
        self.parts, self.recording, self.talk = parts, recording, Talk()
        self.trusted = parts.trusted
        self.settings = parts.settings(self.trusted)
        self.mode: Mode = mode_of(self.settings.mode)
        self.think = self.settings.think
        self.model: Model | None = None
        self.model_name = parts.model
        self.commands: Sequence[Command] = COMMANDS
        self.over = False
        self.trouble: QwencodeError | None = None
        """Why the last line did not come to a good end."""
        self.notes: list[tuple[str, str]] = []
        """What goes with the next message: title and text."""
        self.added: list[str] = []
        """Files that go with the next message."""
        self.keeping = False
        """Whether the model's memory of the conversation is kept when it ends."""
        self.step: Step | None = None
        self._desk: Desk | None = None
        self._names = FileNames(parts.workspace)
        self._status = Status(parts.model, False, self.mode, self.think, 0, 0, 0.0, "", None)

    @property
    def status(self) -> Status:
        """How things stand, as they were last seen."""
        loaded = self.model is not None
        return replace(self._status, model=self.model_name, loaded=loaded, mode=self.mode, think=self.think)

    @property
    def desk(self) -> Desk:
        """What the model works with. Raises UsageError before the conversation is open."""
        if self._desk is None:
            raise UsageError("The session could not be opened; begin again.")
        return self._desk

    @property
    def tools(self) -> Mapping[str, Tool]:
        return self.desk.tools

    @property
    def bare(self) -> bool:
        """Whether commands run without a sandbox."""
        return not self.desk.confined

    def open(self) -> Generator[Event, None, None]:
        """Load the model and let it read what there is. Raises QwencodeError for what makes a start impossible."""
        parts = self.parts
        self._look()
        yield from self._ask_for_trust()
        if recovered := recover(parts.workspace):
            yield Notice(recovered, "warning")
        sandbox = parts.open_sandbox(self.settings)
        test = lambda: self.settings.test  # noqa: E731 (the settings may change)
        rules = self._rules()
        self._desk = Desk(parts.workspace, sandbox, parts.person, parts.places.maps, rules, test, lambda: self.mode)
        yield self.begin()
        yield SandboxReady(sandbox.rung, sandbox.covers, sandbox.gaps)
        if parts.resume:
            yield from go_on(self, parts.resume)
        yield from self.ready()

    def take(self, line: str) -> Generator[Event, None, None]:
        """Do what a line says: a message, a command after `/`, or a shell command after `!`. Never raises for it."""
        yield from self._safely(self.typed(_plain(line)))

    def ask(self, text: str) -> Generator[Event, None, None]:
        """Have a text answered, whatever it begins with."""
        yield from self._safely(say(self, _plain(text)))

    def _safely(self, work: Generator[Event, None, None]) -> Generator[Event, None, None]:
        self.trouble = None
        try:
            yield from work
        except Interrupted:
            raise  # the process is to end
        except (QwencodeError, ToolError) as error:
            self.trouble = error if isinstance(error, QwencodeError) else UsageError(str(error))
            yield Notice(str(error), "error")
        except KeyboardInterrupt:
            self.trouble = Interrupted("Interrupted.")
            yield Notice("Interrupted.")
        finally:
            with suppress(KeyboardInterrupt):  # all is done by then
                self._look()

    def typed(self, line: str) -> Generator[Event, None, None]:
        """Do what a line says. Raises for what is wrong with it."""
        if not line:
            return
        if line.startswith("!"):
            keep = line.startswith("!!")
            yield from shell(self, line[1 + keep :].strip(), keep)
        elif is_command(line):
            name, _, rest = line[1:].partition(" ")
            yield from dispatch(self, name, rest.strip())
        else:
            yield from say(self, line)

    def completions(self, text: str) -> list[Completion]:
        """Return what may follow the text, which stands left of the cursor."""
        try:
            return completions(self, self._names, text)
        except QwencodeError:
            return []  # whoever asks git for the files next says what is wrong

    def switch_mode(self) -> None:
        """Go to the next mode. It holds from the next call of a tool on."""
        self.mode = MODES[(MODES.index(self.mode) + 1) % len(MODES)]

    def close(self) -> None:
        """End what runs. What is on disk stays. Idempotent."""
        if self.keeping:
            with suppress(QwencodeError, KeyboardInterrupt):
                list(keep(self, ""))
        if self.model:
            self.model.close()
            self.model = None
        if self._desk:
            self._desk.sandbox.close()
        self.recording.close()

    def ready(self) -> Generator[Event, None, None]:
        """Have the model loaded, with the conversation in its memory. Raises ModelUnavailable."""
        if self.model is None:
            yield PhaseStarted("model", f"Loading {self.model_name}")
            self.model = self.parts.open_model(self.model_name, self.settings)
            yield from self.read_again()

    def read_again(self) -> Generator[Event, None, None]:
        """Let a model in this process read the conversation now, so that a reply begins at once."""
        if isinstance(self.model, Reads):
            yield PhaseStarted("prefill", "Reading what the conversation begins with")
            specs = [tool.spec for tool in self.tools.values()]
            try:
                yield from recalled(self)
                yield from self.model.read(self.talk.history or [chat_prompt()], specs)
            except HistoryTooLong as error:
                if not can_be_shortened(self.talk.history):
                    raise
                yield Notice(f"{error} Or go on: your next message, or /compact, shortens it.", "warning")

    def change_model(self, name: str) -> Generator[Event, None, None]:
        """Go on with another model. Raises ModelUnavailable; then there is none, and the next turn tries again."""
        if self.model:
            self.model.close()  # first: both may not fit into the memory
            self.model = None
        self.model_name = name
        yield from self.ready()

    def change_to(self, recording: Recording, talk: Talk) -> None:
        """Hold another conversation from now on."""
        self.recording.close()
        self.recording, self.talk = recording, talk
        self.notes, self.added, self.keeping = [], [], False
        self._status = replace(self._status, tokens=talk.known.of(talk.history))

    def begin_anew(self) -> None:
        """Hold a new conversation from now on."""
        self.change_to(Recording(self.recording.folder, new_id()), Talk())
        self.begin()

    def begin(self) -> Event:
        """Put on record which conversation this is, and where."""
        root, session = str(self.parts.workspace.root), self.recording.id
        return self.told(RunStarted("chat", root, session, __version__, model=self.model_name))

    def told(self, event: Event) -> Event:
        """Put an event on record, and return it."""
        with undisturbed():
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

    def took(self, event: Event) -> Event:
        """Put an event on record, do to the history what it says, and return it."""
        with undisturbed():
            self.recording.record(event)
            self.talk.take(event)
        if isinstance(event, HistoryRewound | MessageAdded):
            self._status = replace(self._status, tokens=self.talk.known.of(self.talk.history))
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

    def run_names(self) -> list[str]:
        """Return the names of the runs that kept the files of this conversation's turns."""
        return [turn.state for turn in self.talk.turns]

    def session_change(self) -> tuple[str, tuple[str, ...]]:
        """Return the change that the turns of this conversation have made, as a diff, and its files."""
        return change(self.parts.workspace, self.run_names())

    def read_settings(self) -> None:
        """Take the settings as they are on disk now. Raises UsageError when they are wrong."""
        self.settings = self.parts.settings(self.trusted)
        if self._desk:
            self._desk.rules = self._rules()

    def _rules(self) -> Rules:
        now = self.settings
        return Rules(now.allow_commands, now.deny_commands, now.allow_paths, now.deny_paths)

    def _ask_for_trust(self) -> Generator[Event, None, None]:
        """Ask about a folder that was never opened, if it holds what would be used; then use it, or do not."""
        parts, workspace = self.parts, self.parts.workspace
        held = to_be_trusted(workspace)
        said = True if parts.trusted else known(parts.places, workspace.root)
        if held and said is None and not isinstance(parts.person, Nobody):
            question = (
                f"{workspace.root} was never opened here. It has {listed(held, 5)}. Do you trust it, and use them?"
            )
            said = parts.person.confirm(question)
        if said is not None:
            remember(parts.places, workspace.root, said)
        self.trusted = bool(said)
        if held and not self.trusted:
            how = "qwencode chat --trust uses them."
            yield Notice(
                f"Not used, since you have not said that you trust this folder: {listed(held, 5)}. {how}", "warning"
            )
        if self.trusted:
            self.settings = parts.settings(True)
            self.mode, self.think = mode_of(self.settings.mode), self.settings.think
        own, notices = custom(workspace, parts.places, self.trusted, COMMANDS)
        self.commands = (*COMMANDS, *own)
        yield from notices

    def _look(self) -> None:
        """Take note of the branch, and of how many files differ from the last commit."""
        with suppress(UsageError):  # no repository any more, or no git: who needs it says so
            root = self.parts.workspace.root
            rows = git(root, "status", "--porcelain", "--branch", "-z", "--no-renames").split(b"\0")
            branch = rows[0].removeprefix(b"## ").removeprefix(b"No commits yet on ").partition(b"...")[0]
            unsaved = sum(bool(row) for row in rows[1:])
            self._status = replace(self._status, branch=branch.decode(errors="replace"), unsaved=unsaved)


def _plain(text: str) -> str:
    """Return what was typed without what no file, no command and no server can hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "�").strip()
