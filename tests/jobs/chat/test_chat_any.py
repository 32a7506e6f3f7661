"""Whatever is said and taken back in whatever order: the history is well formed, and files are where they should be."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chat_ground import Held, Someone, hold
from qwencode.events import Event, MessageAdded, TextDelta, ToolFinished, ToolStarted
from qwencode.jobs.chat.talk import folded
from qwencode.messages import Message
from qwencode.model.scripted import ScriptedModel, call
from qwencode.session import read

STOPS: dict[str, type[Event]] = {
    "text": TextDelta,
    "started": ToolStarted,
    "finished": ToolFinished,
    "added": MessageAdded,
}
NAMES = ("a.txt", "b.txt")


def well_formed(history: Sequence[Message]) -> bool:
    """Say whether every call is answered, in order, before anything else is said."""
    waiting: list[str] = []
    for number, message in enumerate(history):
        if message.role == "tool":
            if not waiting or message.answers != waiting.pop(0):
                return False
        elif waiting or (message.role == "system") != (number == 0):
            return False
        waiting += [asked.id for asked in message.tool_calls]
    return not waiting


class Conversation(RuleBasedStateMachine):
    """What should be: for each turn the talk and the files before it, and a stack of what was taken back."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.root, self.home = self.folder / "r", self.folder / "home"
        self.root.mkdir()
        subprocess.run(["git", "init", "-q", self.root], check=True)
        self.sessions = 0
        self.texts = 0
        self.before: list[tuple[list[Message], dict[str, str]]] = []
        self.undone: list[tuple[list[tuple[list[Message], dict[str, str]]], list[Message], dict[str, str]]] = []
        self.model = ScriptedModel([])
        self.held: Held = hold(self.root, self.home, model=self.model, person=Someone())

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.root.iterdir() if path.is_file()}

    def line(self, name: str) -> Message:
        """Return a call that writes something new into a file."""
        self.texts += 1
        if (path := self.root / name).exists():
            return call("edit", file_path=name, old_string=path.read_text(), new_string=f"{self.texts}\n")
        return call("write_file", file_path=name, content=f"{self.texts}\n")

    @rule(name=st.sampled_from([*NAMES, ""]), stop=st.sampled_from([*STOPS, "", "", ""]))
    def say(self, name: str, stop: str):
        self.before.append((list(self.held.chat.talk.history), self.files()))
        self.undone.clear()
        self.model.lines = [self.line(name), "Done."] if name else ["Yes."]
        self.held.say("go", stop_at=lambda event: bool(stop) and isinstance(event, STOPS[stop]))

    @precondition(lambda self: self.before)
    @rule(back=st.integers(1, 3))
    def rewind(self, back: int):
        number = max(1, len(self.before) - back + 1)
        self.undone.append((self.before[number - 1 :], list(self.held.chat.talk.history), self.files()))
        history, files = self.before[number - 1]
        del self.before[number - 1 :]
        self.held.say(f"/rewind {number}")
        assert self.held.chat.talk.history == history and self.files() == files

    @precondition(lambda self: self.undone)
    @rule()
    def redo(self):
        turns, history, files = self.undone.pop()
        self.before += turns
        self.held.say("/redo")
        assert self.held.chat.talk.history == history and self.files() == files

    @precondition(lambda self: self.before)
    @rule()
    def retry(self):
        history, files = self.before[-1]
        self.undone.clear()
        self.model.lines = ["Otherwise."]
        self.held.say("/retry")
        assert self.held.chat.talk.history[: len(history)] == history and self.files() == files
        assert self.held.chat.talk.history[-1].content == "Otherwise."

    @rule()
    def leave_and_go_on(self):
        path = self.held.chat.recording.path
        self.held.chat.close()
        self.sessions += 1
        name = f"20260101-000000-{self.sessions:04x}"
        self.held = hold(self.root, self.home, model=self.model, person=Someone(), resume=path, session=name)

    @invariant()
    def the_history_is_well_formed_and_on_disk(self):
        if not hasattr(self, "held"):
            return
        talk = self.held.chat.talk
        assert well_formed(talk.history) and len(talk.turns) == len(self.before)
        if path := self.held.chat.recording.path:
            on_disk = folded(read(path))
            assert on_disk.history == talk.history and on_disk.turns == talk.turns

    def teardown(self):
        if hasattr(self, "held"):
            self.held.chat.close()
            shutil.rmtree(self.folder)


TestAnyConversation = Conversation.TestCase
TestAnyConversation.settings = settings(
    max_examples=3, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)


class LongConversation(Conversation):
    pass


TestAnyLongConversation = pytest.mark.slow(pytest.mark.timeout(600)(LongConversation.TestCase))
TestAnyLongConversation.settings = settings(
    max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
