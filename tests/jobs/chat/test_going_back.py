"""Undo, redo, rewind, retry: the talk and the files, and what the user has done in between."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat_ground import Held, Pressing, Someone
from qwencode.errors import Interrupted
from qwencode.events import (
    Event,
    InputOffered,
    Listed,
    Notice,
    TextDelta,
    ToolFinished,
    TreeChanged,
    TurnEnded,
    TurnStarted,
    TurnsUndone,
)
from qwencode.jobs.chat.person import Answer, Question
from qwencode.model.scripted import ScriptedModel, call

Talking = Callable[..., Held]


def write(name: str, text: str):
    return call("write_file", file_path=name, content=text)


def edit(name: str, old: str, new: str):
    return call("edit", file_path=name, old_string=old, new_string=new)


def said(held: Held) -> list[str]:
    return [text for role, text in held.talked if role == "user"]


@pytest.fixture
def three(talking: Talking, repository: Path) -> Held:
    """A conversation of three turns: the first makes a.txt, the second says something, the third changes it."""
    person = Someone()
    lines = [write("a.txt", "1\n"), "Made.", "Hello.", edit("a.txt", "1", "2"), "Changed.", "Again.", "And again."]
    held = talking(*lines, person=person)
    for line in ("make", "hello", "change"):
        held.say(line)
    assert (repository / "a.txt").read_text() == "2\n"
    return held


def test_undo_takes_turn_after_turn_and_redo_brings_them_back(three: Held, repository: Path):
    whole, file = list(three.talked), repository / "a.txt"
    three.say("/undo")
    assert said(three) == ["make", "hello"] and file.read_text() == "1\n"
    three.say("/undo")
    three.say("/undo")
    assert three.talked == [] and not file.exists()
    three.say("/undo")
    assert "Nothing was said yet." in three.notices()
    for _ in range(3):
        three.say("/redo")
    assert three.talked == whole and file.read_text() == "2\n"
    three.say("/redo")
    assert "There is nothing that was taken back" in three.notices()


def test_after_a_new_turn_there_is_nothing_to_redo(three: Held, repository: Path):
    three.say("/undo")
    three.say("something else")
    three.say("/redo")
    assert "something else was said since" in three.notices()
    assert said(three) == ["make", "hello", "something else"]


@pytest.mark.parametrize(
    ("scope", "talk", "text"),
    [("both", ["make"], "1\n"), ("talk", ["make"], "2\n"), ("files", ["make", "hello", "change"], "1\n")],
)
def test_rewind_to_any_turn(three: Held, repository: Path, scope: str, talk: list[str], text: str):
    three.say(f"/rewind 2 {scope}")
    assert said(three) == talk and (repository / "a.txt").read_text() == text
    offered = [event.text for event in three.of(InputOffered)]
    assert offered == ([] if scope == "files" else ["hello"])
    three.say("/redo")
    assert said(three) == ["make", "hello", "change"] and (repository / "a.txt").read_text() == "2\n"


def test_the_model_is_told_that_files_went_back(three: Held):
    three.say("/rewind 3 files")
    three.say("go on")
    assert "The user has put these files back to an earlier state: a.txt." in said(three)[-1]


def test_rewind_lists_and_lets_choose(three: Held):
    three.say("/rewind")
    (table,) = three.of(Listed)
    assert [row[:2] for row in table.rows] == [("1", "make"), ("2", "hello"), ("3", "change")]
    three.person.rows = [1]
    three.say("/rewind")
    assert said(three) == ["make"]
    for wrong in ("/rewind 7", "/rewind 0", "/rewind files now"):
        three.say(wrong)
    assert "There is no turn 7" in three.notices() and "Say which turn" in three.notices()


def test_what_the_user_has_changed_is_not_overwritten_unasked(three: Held, repository: Path):
    (repository / "a.txt").write_text("mine\n")
    three.say("/undo")
    assert three.person.questions == [
        "You have changed a.txt since. Overwrite? What is there now is kept under a ref of git."
    ]
    assert (repository / "a.txt").read_text() == "mine\n" and said(three)[-1] == "change"
    three.person.yes = [True]
    three.say("/undo")
    assert (repository / "a.txt").read_text() == "1\n" and said(three)[-1] == "hello"
    assert "is kept:\ngit show refs/qwencode/" in three.notices()


def test_a_ctrl_c_while_something_is_taken_back_is_heard_afterwards(three: Held, repository: Path):
    pressing: Any = Pressing(three.chat.recording, TurnsUndone)
    three.chat.recording = pressing
    three.say("/undo")
    assert (repository / "a.txt").read_text() == "1\n" and said(three)[-1] == "hello"
    assert [event.text for event in three.of(Notice)[-2:]] == ["Took back turn 3: a.txt as before.", "Interrupted."]
    assert isinstance(three.chat.trouble, Interrupted)


def test_a_ctrl_c_while_a_turn_is_closed_is_heard_afterwards(three: Held):
    pressing: Any = Pressing(three.chat.recording, TurnEnded)
    three.chat.recording = pressing
    three.say("And?")
    assert three.of(TurnEnded)[-1].reason == "answered" and three.notices().endswith("Interrupted.")
    assert isinstance(three.chat.trouble, Interrupted)
    three.say("Well?")
    assert three.of(TurnEnded)[-1].reason == "answered" and three.chat.trouble is None


def test_retry_asks_with_the_very_same_messages(three: Held, repository: Path):
    model = three.model
    assert isinstance(model, ScriptedModel)
    before = model.requests[-2][0]
    three.say("/retry")
    assert model.requests[-1][0] == before
    assert three.talked[-1] == ("assistant", "Again.") and (repository / "a.txt").read_text() == "1\n"
    three.say("/retry think")
    assert model.requests[-1][0] == before and model.requests[-1][2].thinking
    assert three.talked[-1] == ("assistant", "And again.")
    three.say("/retry harder")
    assert "It is /retry, or /retry think." in three.notices()


def test_retry_of_a_command_does_it_again(three: Held, repository: Path):
    three.say("/run cat a.txt; echo more >> a.txt")
    three.say("/retry")
    assert (repository / "a.txt").read_text() == "2\nmore\n" and len(three.chat.talk.turns) == 4


def test_retry_of_what_nobody_heard(three: Held):
    three.say("well?", stop_at=lambda event: isinstance(event, TurnStarted))
    assert said(three)[-1] == "change"
    three.say("/retry")
    assert three.talked[-2:] == [("user", "well?"), ("assistant", "Again.")]


def test_the_last_words_are_offered_to_be_changed(three: Held, repository: Path):
    three.say("/edit-last")
    assert [event.text for event in three.of(InputOffered)] == ["change"]
    assert said(three) == ["make", "hello"] and (repository / "a.txt").read_text() == "1\n"


def test_an_interrupted_turn_can_be_taken_back(talking: Talking, repository: Path):
    held = talking(write("a.txt", "1\n"), "A long story.", "Well.", person=Someone())
    held.say("make", stop_at=lambda event: isinstance(event, TextDelta))
    assert (repository / "a.txt").exists()
    held.say("/undo")
    assert held.talked == [] and not (repository / "a.txt").exists()


def test_after_compaction_the_turns_before_it_are_there(three: Held):
    whole = list(three.talked)
    three.say("/compact")
    assert (
        len(three.talked) < len(whole)
        and "What you wrote down:" in three.talked[-1][1]
        and "Again." in three.talked[-1][1]
    )
    three.say("/undo")
    assert three.talked == whole
    three.say("/rewind 2 talk")
    assert said(three) == ["make"]


def test_what_the_user_does_while_a_turn_runs_is_no_part_of_it(talking: Talking, repository: Path):
    (repository / "b.txt").write_text("b\n")

    class Busy(Someone):
        def allow(self, question: Question) -> Answer:
            (repository / "b.txt").write_text("mine\n")
            (repository / "c.txt").write_text("mine\n")
            return super().allow(question)

    held = talking(write("a.txt", "1\n"), edit("a.txt", "1", "2"), "Done.", person=Busy())
    held.say("make")
    assert held.of(TurnEnded)[-1].files == ("a.txt",)
    held.say("/diff")
    assert held.of(TreeChanged)[-1].files == ("a.txt",)
    held.say("/undo")
    found = {path.name: path.read_text() for path in repository.iterdir() if path.is_file()}
    assert found == {"b.txt": "mine\n", "c.txt": "mine\n"}
    held.say("/redo")
    assert (repository / "a.txt").read_text() == "2\n" and (repository / "b.txt").read_text() == "mine\n"


def test_what_the_user_changes_in_the_same_file_afterwards_is_asked_about(talking: Talking, repository: Path):
    person = Someone()
    held = talking(write("a.txt", "1\n"), "Done.", person=person)

    def mine(event: object) -> bool:
        if isinstance(event, TextDelta):
            (repository / "a.txt").write_text("mine\n")
        return False

    held.say("make", stop_at=mine)
    held.say("/undo")
    assert "You have changed a.txt since" in person.questions[0] and (repository / "a.txt").read_text() == "mine\n"


def test_a_turn_in_which_only_the_user_changed_something_changes_nothing(talking: Talking, repository: Path):
    def mine(event: object) -> bool:
        if isinstance(event, TextDelta):
            (repository / "c.txt").write_text("mine\n")
        return False

    held = talking(call("run_shell_command", command="true"), "Done.", person=Someone())
    held.say("run", stop_at=mine)
    held.say("/undo")
    assert (repository / "c.txt").read_text() == "mine\n" and not held.talked


def test_files_that_are_no_longer_kept_are_told_of(three: Held, repository: Path):
    shutil.rmtree(repository / ".git" / "qwencode" / "runs")
    three.say("/rewind 1")
    assert "before turn 1, 3 are no longer kept" in three.notices()
    assert three.talked == [] and (repository / "a.txt").read_text() == "2\n"


@pytest.mark.parametrize("text", ["/run touch b", "!touch b", "/config mode auto"])
@pytest.mark.parametrize("cut", [True, False])
def test_what_was_said_to_the_model_is_no_command_when_it_is_said_again(
    talking: Talking, repository: Path, own_directories: Path, text: str, cut: bool
):
    (repository / ".qwencode" / "commands").mkdir(parents=True)
    (repository / ".qwencode" / "commands" / "x.md").write_text(f"{text}\n")
    held = talking("One.", "Two.", "Three.", person=Someone())
    held.say("/x", stop_at=lambda event: cut and isinstance(event, TurnStarted))
    held.say("/retry")
    assert not (repository / "b").exists() and not (own_directories / "config" / "config.toml").exists()
    assert held.talked[1][1].startswith(text) or text in held.talked[1][1]


def saving(file: Path, text: str) -> Callable[[Event], bool]:
    """Return what stops nothing, and adds a line to a file when a tool has ended and the file holds this text."""

    def save(event: Event) -> bool:
        if isinstance(event, ToolFinished) and file.read_text() == text:
            file.write_text(f"{text}mine\n")
        return False

    return save


def test_undo_asks_before_it_takes_back_what_was_saved_between_two_edits(talking: Talking, repository: Path):
    person, file = Someone(), repository / "a.txt"
    held = talking(
        write("a.txt", "1\n"), "Made.", edit("a.txt", "1", "2"), edit("a.txt", "2", "3"), "Done.", person=person
    )
    held.say("make")
    held.say("change", stop_at=saving(file, "2\n"))
    assert file.read_text() == "3\nmine\n"
    held.say("/undo")
    assert "a.txt" in person.questions[0] and file.read_text() == "3\nmine\n"


def test_undo_leaves_what_was_saved_in_a_file_before_the_turn_changed_it(talking: Talking, repository: Path):
    file = repository / "b.txt"
    file.write_text("b\n")
    held = talking(write("a.txt", "1\n"), edit("b.txt", "b", "c"), "Done.", person=Someone())
    held.say("change", stop_at=saving(file, "b\n"))
    assert file.read_text() == "c\nmine\n"
    held.say("/undo")
    assert file.read_text() == "b\nmine\n" and not (repository / "a.txt").exists()
