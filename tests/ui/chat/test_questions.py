"""Questions: which key is which answer, and that none is given by accident."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from qwencode.jobs.chat.person import Answer, Question
from qwencode.messages import ToolCall
from qwencode.ui.chat.questions import Allowing, Choosing, Confirming, Editing, command_rows, is_long
from qwencode.ui.text import spelled

COMMAND = Question(ToolCall("c", "run_shell_command"), "Run a command", command="pytest -q", always="pytest …")
EDIT = Question(ToolCall("c", "edit"), "edit of a.py", diff="--- a\n")


def shown(asking: Allowing | Choosing | Confirming | Editing, text: str = "", height: int = 20) -> list[str]:
    return ["".join(piece for _, piece in line) for line in asking.lines(text, 80, height)]


def test_the_keys_are_named_and_what_always_means():
    assert shown(Allowing(COMMAND)) == [
        "Run a command?",
        "  $ pytest -q",
        "y yes · a always: pytest … · n no, and why · e edit it · Ctrl-C stop",
    ]
    assert shown(Allowing(EDIT))[-1] == "y yes · n no, and why · Ctrl-C stop"


@pytest.mark.parametrize(
    ("question", "key", "wanted"),
    [
        (COMMAND, "y", Answer(True)),
        (COMMAND, "a", Answer(True, lasting=True)),
        (EDIT, "y", Answer(True)),
    ],
)
def test_a_key_answers(question: Question, key: str, wanted: Answer):
    asking = Allowing(question)
    asking.press(key)
    assert asking.wait() == wanted


@given(st.lists(st.text(max_size=3).filter(lambda key: key not in ("y", "a"))))
def test_no_other_key_allows_anything(keys: list[str]):
    asking = Allowing(EDIT)
    for key in ["a", *keys]:
        asking.press(key)
    assert not asking.over


def test_a_no_goes_with_its_reason():
    asking = Allowing(COMMAND)
    asking.press("n")
    assert asking.field and asking.field.label == "why not: "
    asking.entered(" use make ")
    assert asking.wait() == Answer(False, reason="use make")


def test_a_command_can_be_changed_and_escape_goes_back():
    asking = Allowing(COMMAND)
    asking.press("e")
    assert asking.field and asking.field.text == "pytest -q"
    asking.left()
    assert asking.field is None
    asking.press("e")
    asking.entered("  ")
    assert not asking.over
    asking.entered("pytest -x")
    assert asking.wait() == Answer(True, command="pytest -x")


def test_a_command_that_was_not_changed_is_a_yes():
    asking = Allowing(COMMAND)
    asking.press("e")
    asking.entered("pytest -q")
    assert asking.wait() == Answer(True)


def test_an_interrupted_question_raises_and_stays_so():
    asking = Confirming("Sure?")
    asking.interrupt()
    asking.answer(True)
    with pytest.raises(KeyboardInterrupt):
        asking.wait()


def test_the_first_answer_counts():
    asking = Confirming("Sure?")
    asking.press("n")
    asking.press("y")
    asking.interrupt()
    assert asking.wait() is False


def test_rows_are_narrowed_down_by_what_is_typed():
    asking = Choosing("Go back to", ["turn 1: add", "turn 2: sub", "turn 3: ADD more"])
    assert shown(asking, "add") == [
        "Go back to",
        "▸ turn 1: add",
        "  turn 3: ADD more",
        "↑ ↓ 2 of 3 · Enter takes it · Esc none",
    ]
    asking.move(1)
    asking.move(1)
    assert "▸ turn 3: ADD more" in shown(asking, "add")
    asking.entered("add")
    assert asking.wait() == 2


def test_nothing_that_fits_is_no_answer():
    asking = Choosing("Go back to", ["turn 1"])
    assert "  nothing fits" in shown(asking, "x")
    asking.entered("x")
    assert not asking.over
    asking.left()
    assert asking.wait() == -1


@given(st.integers(1, 60), st.integers(0, 80), st.integers(1, 30))
def test_the_chosen_row_is_always_in_sight(rows: int, moves: int, height: int):
    asking = Choosing("Which", [f"row {number}" for number in range(rows)])
    for _ in range(moves):
        asking.move(1)
        lines = shown(asking, "", height)
        assert len(lines) <= height
    if height >= 3:
        assert f"▸ row {min(moves, rows - 1)}" in shown(asking, "", height)


def test_an_edit_is_a_text_or_given_up():
    asking = Editing("Mend it", "COMMIT_EDITMSG")
    assert asking.field and asking.field.editor and asking.field.file == "COMMIT_EDITMSG"
    assert "Ctrl-J new line" in shown(asking)[-1], "Alt-Enter does nothing with vi's keys"
    asking.entered("Mend the sign")
    assert asking.wait() == "Mend the sign"
    asking = Editing("Mend it", "COMMIT_EDITMSG")
    asking.left()
    assert asking.wait() is False


@given(st.integers(12, 120))
def test_no_key_is_broken_at_the_end_of_a_line(width: int):
    lines = ["".join(text for _, text in line) for line in Allowing(COMMAND).lines("", width, 20)]
    keys = lines[1 + len(command_rows(COMMAND.command, width)) :]
    assert all(len(line) <= width for line in keys)
    assert {part.split(" ")[0] for line in keys for part in line.split(" · ")} == {"y", "a", "n", "e", "Ctrl-C"}


def test_marks_that_turn_the_text_around_are_shown():
    asked = Question(ToolCall("c", "run_shell_command"), "a command", command="echo \u202etxt.exe")
    assert "  $ echo \\u202etxt.exe" in shown(Allowing(asked))


def test_a_long_command_is_printed_before_it_is_asked_about():
    assert is_long("a\nb\nc\nd", 80, 20)
    assert is_long("x" * 240, 80, 20)
    assert is_long("漢" * 120, 80, 20) and not is_long("漢" * 100, 80, 20)
    assert not is_long("pytest -q", 80, 20)
    assert is_long("pytest -q", 80, 5), "there the keys fill the screen"


@given(st.text(), st.integers(8, 100))
def test_every_character_of_a_command_is_seen(command: str, width: int):
    rows = command_rows(command, width)
    assert all(get_cwidth(row) <= width for row in rows)
    assert "".join(row[4:] for row in rows) == spelled(command).replace("\n", "")
    assert all(row.isprintable() for row in rows)


@given(st.text(min_size=1), st.integers(8, 100))
def test_the_beginning_and_the_end_of_a_command_are_in_the_question(command: str, width: int):
    question = Question(ToolCall("", "run_shell_command", {}), "Run a command", command=command)
    lines = ["".join(text for _, text in line) for line in Allowing(question).lines("", width, 20)]
    rows = command_rows(command, width)
    assert rows[0] in lines and rows[-1] in lines
    assert is_long(command, width, 20) or all(row in lines for row in rows)


@pytest.mark.parametrize("command", ["echo " + "b " * 3000 + "; rm x", "echo " + "漢" * 400, ("x" * 300 + "\n") * 3])
def test_a_long_command_leaves_room_for_the_keys(command: str):
    question = Question(ToolCall("", "run_shell_command", {}), "Run a command", command=command)
    lines = ["".join(text for _, text in line) for line in Allowing(question).lines("", 79, 20)]
    assert is_long(command, 79, 20) and "y yes" in lines[-1] and all(get_cwidth(line) <= 79 for line in lines)
    assert lines[2].endswith("more rows …")
