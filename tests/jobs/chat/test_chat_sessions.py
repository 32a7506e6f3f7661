"""A conversation on disk: gone on with, forked, cut off by a kill, held by one process at a time."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat_ground import Held, Someone, hold, places
from qwencode.errors import HistoryTooLong
from qwencode.events import Event, InputOffered, Listed, MessageAdded, ScreenCleared, TextDelta, TurnStarted
from qwencode.jobs.chat.export import markdown
from qwencode.jobs.chat.recording import Recording
from qwencode.jobs.chat.talk import Talk, folded
from qwencode.messages import Message, Reply, ToolSpec
from qwencode.model.protocol import Options
from qwencode.model.scripted import ScriptedModel, call
from qwencode.session import read
from qwencode.sessions import load, summaries

Talking = Callable[..., Held]


def test_it_goes_on_where_it_stopped(talking: Talking, repository: Path, own_directories: Path):
    held = talking(call("write_file", file_path="a.txt", content="1\n"), "Made.", "Half a story", person=Someone())
    held.say("make")
    held.say("tell", stop_at=lambda event: isinstance(event, TextDelta))
    history, turns, path = list(held.chat.talk.history), held.chat.talk.turns, held.chat.recording.path
    held.chat.close()
    again = talking("Well.", resume=path, session="other")
    assert again.chat.talk.history == history and again.chat.talk.turns == turns
    assert again.chat.recording.id == held.chat.recording.id
    again.say("go on")
    assert again.talked[-2][1] == "(The reply before this was interrupted by the user.)\n\ngo on"
    again.say("/rewind 1")
    assert again.talked == [] and not (repository / "a.txt").exists()
    assert [each.id for each in summaries(places(own_directories).sessions)] == [held.chat.recording.id]


class Smaller(ScriptedModel):
    """Reads ahead, and has room for so many messages."""

    room = 4

    def read(self, history: Sequence[Message], tools: Sequence[ToolSpec]) -> Generator[Event, None, None]:
        if len(history) > self.room:
            raise HistoryTooLong("The conversation has 9 tokens and the context holds 8: raise the setting `context`.")
        yield from ()

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        yield from self.read(history, tools)
        return (yield from super().stream(history, tools, options))


def test_it_goes_on_with_a_model_for_which_it_is_too_long(talking: Talking):
    held = talking("One.", "Two.")
    for line in ("a", "b"):
        held.say(line)
    path = held.chat.recording.path
    held.chat.close()
    again = talking(model=Smaller(["Three."]), resume=path, session="other")
    assert "raise the setting `context`. Or go on: your next message, or /compact, shortens it." in again.notices()
    again.say("c")
    assert again.talked[-1] == ("assistant", "Three.") and "No summary could be written" in again.talked[-2][1]


def test_what_was_taken_back_can_be_done_again_after_it(talking: Talking, repository: Path):
    held = talking(call("write_file", file_path="a.txt", content="1\n"), "Made.", person=Someone())
    held.say("make")
    held.say("/undo")
    path = held.chat.recording.path
    held.chat.close()
    again = talking(resume=path)
    assert again.talked == []
    again.say("/redo")
    assert again.talked[-1] == ("assistant", "Made.") and (repository / "a.txt").exists()


def test_resume_sessions_and_clear(talking: Talking):
    held = talking("One.", "Two.", person=Someone())
    held.say("/sessions")
    assert "There is no other conversation" in held.notices()
    held.say("first words")
    first = held.chat.recording.id
    held.say("/clear")
    assert held.talked == [] and held.of(ScreenCleared)
    held.say("others")
    held.say("/sessions")
    assert [row[0] for row in held.of(Listed)[-1].rows] == [first] and held.of(Listed)[-1].rows[0][2] == "first words"
    held.person.rows = [0]
    held.say("/resume")
    assert held.talked[-1] == ("assistant", "One.") and held.chat.recording.id == first
    held.say(f"/resume {first}")
    assert "This is the conversation that goes on." in held.notices()
    held.say("/resume nothing")
    assert "There is no session 'nothing'" in held.notices()


def test_a_fork_leaves_the_session_before_it_as_it_was(talking: Talking):
    held = talking("One.", "Two.")
    held.say("/fork")
    assert "Nothing was said yet" in held.notices()
    held.say("a")
    source = held.chat.recording.path
    assert source
    before = source.read_bytes()
    held.say("/fork")
    held.say("b")
    assert source.read_bytes() == before and held.chat.recording.path != source
    copy = held.chat.recording.path
    assert copy and [event.text for event in read(copy) if isinstance(event, TurnStarted)] == ["a", "b"]
    held.say("/rewind 1")
    assert held.talked == []


KILLED = """
import os, signal, sys
from pathlib import Path
from chat_ground import Someone, hold
from qwencode.events import {event}
from qwencode.model.scripted import call

lines = [call("write_file", file_path="a.txt", content="1\\n"), "Made.",
         call("edit", file_path="a.txt", old_string="1", new_string="2"), "A long story."]
held = hold(Path(sys.argv[1]), Path(sys.argv[2]), lines, person=Someone())
held.say("make")
seen = []
def stop(event):
    seen.append(event)
    if isinstance(event, {event}):
        os.kill(os.getpid(), signal.SIGKILL)
    return False
held.say("change", stop_at=stop)
"""


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "event",
    [
        "ToolFinished",
        pytest.param("TurnStarted", marks=SLOW),
        pytest.param("ToolStarted", marks=SLOW),
        pytest.param("TextDelta", marks=SLOW),
    ],
)
def test_killed_in_a_turn_it_goes_on_after_the_last_whole_one(
    talking: Talking, repository: Path, own_directories: Path, event: str
):
    ground = Path(__file__).parents[2] / "ground"
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(event=event), repository, own_directories],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ground), *sys.path])},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    (kept,) = summaries(places(own_directories).sessions)
    path = places(own_directories).sessions / f"{kept.id}.jsonl"
    with path.open("ab") as file:
        file.write(b'{"type": "notice", "te')
    again = talking("Well.", resume=path, session="other", person=Someone())
    assert (repository / "a.txt").read_text() == "1\n"
    assert again.talked[-1] == ("assistant", "Made.") and len(again.chat.talk.turns) == 1
    assert [each.text for each in again.of(InputOffered)] == ["change"]
    assert "half written" in again.notices() and "Turn 2 was cut off" in again.notices()
    again.say("go on")
    again.say("/undo")
    again.say("/undo")
    assert again.talked == [] and not (repository / "a.txt").exists()


class Stopping(Recording):
    """A recording with a Ctrl-C in the moment in which the words of the model have just been written."""

    def record(self, event: Event) -> None:
        super().record(event)
        if isinstance(event, MessageAdded) and event.message.role == "assistant":
            os.kill(os.getpid(), signal.SIGINT)


def test_stopped_while_it_is_recorded_a_message_is_on_disk_once(talking: Talking, own_directories: Path):
    held = talking("One.", "Two.")
    held.chat.change_to(Stopping(places(own_directories).sessions, "2"), Talk())
    held.chat.begin()
    for line in ("first", "second"):
        held.say(line)
    path = held.chat.recording.path
    assert path is not None and folded(read(path)).history == held.chat.talk.history
    assert [text for role, text in held.talked if role == "assistant"] == ["One.", "Two."]


WRONG: list[Any] = [-5, 10**9, "x", None, [], {}, True, 1.5, [1]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The lines of a conversation in which much was taken back and done again."""
    root, home = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("home")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    held = hold(root, home, [call("write_file", file_path="a.txt", content="1\n"), *"abcd"], person=Someone())
    for line in ("one", "two", "/undo", "/redo", "/rewind 2 files", "three", "/undo"):
        held.say(line)
    held.chat.close()
    path = held.chat.recording.path
    assert path is not None
    return path.read_bytes().splitlines()


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_session_never_ends_in_an_error_of_ours(recorded: list[bytes], tmp_path: Path, data: st.DataObject):
    lines = list(recorded)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["without", "nonsense", "deep", "other", "moved"])):
            case "without":
                del lines[at]
            case "nonsense":
                lines[at] = b"nonsense"
            case "deep":
                lines[at] = b"[" * 100_000
            case "moved":
                lines.insert(data.draw(st.integers(0, len(lines) - 1)), lines.pop(at))
            case _ if lines[at].startswith(b"{"):
                fields = json.loads(lines[at])
                fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(st.sampled_from(WRONG))
                lines[at] = json.dumps(fields).encode()
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    summaries(tmp_path)
    talk = folded(load(path).events)
    assert [turn.number for turn in talk.turns] == list(range(1, len(talk.turns) + 1))
    assert all(isinstance(turn.text, str) for turn in talk.turns)
    markdown(talk.history, "title")
