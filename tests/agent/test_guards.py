"""What guards see in the turns of a run: tables of turns, and what comes of them."""

import string
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode.agent.guards import FRUITLESS, IDLE, PATIENCE, REPEATED, Guards, Trouble, nudge
from qwencode.agent.turns import Turn
from qwencode.messages import Finish, Message, Reply, ToolCall
from qwencode.tools.protocol import ToolResult

REFUSAL = ToolResult("old_string is not in a.py. The closest lines are:\n3|x = 1", "edit: no", ok=False, refused=True)


def read(name: str = "a.py", text: str = "1|x") -> tuple[ToolCall, ToolResult]:
    return ToolCall("1", "read_file", {"file_path": name}), ToolResult(text, f"{name}: 1 line")


def edit(text: str = "y") -> tuple[ToolCall, ToolResult]:
    return ToolCall("1", "edit", {"file_path": "a.py", "new_string": text}), ToolResult(f"Edited to {text}", "edited")


def refused() -> tuple[ToolCall, ToolResult]:
    return ToolCall("1", "edit", {"file_path": "a.py", "old_string": "x"}), REFUSAL


def ran(failed: int, seconds: float = 0.1) -> tuple[ToolCall, ToolResult]:
    said = f"{failed} failed, 3 passed"
    return ToolCall("1", "run_tests"), ToolResult(f"{said} in {seconds} s.", f"tests: {said}", ok=not failed)


Made = tuple[tuple[ToolCall, ToolResult], str]  # one call with its result, and the state of the files after it


def watch(turns: Sequence[Made], guards: Guards | None = None) -> list[Trouble | None]:
    """Let the guards see turns of one call each; every turn takes two messages, after a system and a user message."""
    guards = guards or Guards("0")
    return [guards.after(Turn(2 + 2 * n, (made,), state)) for n, (made, state) in enumerate(turns)]


def kinds(turns: Sequence[Made]) -> list[str]:
    return ["" if found is None else found.kind + "!" * found.final for found in watch(turns)]


def test_ordinary_work_is_left_alone():
    turns = [
        (read("a.py"), "0"),
        (read("b.py"), "0"),
        (ran(2), "0"),
        (refused(), "0"),
        (read("a.py"), "0"),
        (edit("y"), "1"),
        (ran(1), "1"),
        (refused(), "1"),
        (edit("z"), "2"),
        (ran(0), "2"),
    ]
    assert kinds(turns) == [""] * len(turns)


def test_what_is_no_longer_in_the_history_is_not_gone_back_to():
    guards = Guards("0")
    assert watch([(read(), "0")] * 2 + [(refused(), "0")], guards) == [None] * 3
    guards.forget()
    assert watch([(refused(), "0"), (read(), "0"), (read(), "0")], guards) == [None] * 3, "it may be read again"
    found = watch([(read(), "0")], guards)[-1]
    assert found and found.kind == "repeated" and found.back == 6


def test_what_was_done_to_the_files_is_not_forgotten():
    guards = Guards("0")
    assert watch([(edit(), str(n)) for n in range(1, REPEATED)], guards) == [None] * (REPEATED - 1)
    guards.forget()
    found = watch([(edit(), "9")], guards)[-1]
    assert found and found.kind == "again"


class TestRefusals:
    def test_two_in_a_row_go_back_to_before_the_first(self):
        found = watch([(read(), "0"), (refused(), "0"), (refused(), "0")])[-1]
        assert found and found.kind == "refused" and found.back == 4
        assert "edit was refused 2 times in a row" in found.reason
        assert "3|x = 1" in found.lesson, "what helps is kept"

    def test_a_turn_in_which_one_call_worked_is_no_refusal(self):
        guards = Guards("0")
        both = (refused(), read())
        assert guards.after(Turn(2, both, "0")) is None
        assert guards.after(Turn(5, both, "0")) is None

    def test_it_ends_when_nothing_else_happens(self):
        assert kinds([(refused(), "0")] * 6) == ["", "refused", "", "refused", "", "refused!"]

    def test_a_change_of_the_files_is_a_new_start(self):
        row = [(refused(), "0")] * 4 + [(edit(), "1")] + [(refused(), "1")] * 4
        assert kinds(row)[-1] == "refused"


class TestRepetition:
    def test_the_third_time_goes_back_to_before_the_second(self):
        found = watch([(read(), "0")] * 3)
        assert found[:2] == [None, None] and found[2]
        assert (found[2].kind, found[2].back) == ("repeated", 4)
        assert 'read_file with {"file_path": "a.py"}' in found[2].lesson

    def test_circles_of_several_calls(self):
        circle = [(read("a.py"), "0"), (read("b.py"), "0"), (read("c.py"), "0")]
        found = watch(circle * 3)
        assert [each.kind if each else "" for each in found[:7]] == [""] * 6 + ["repeated"]
        assert found[6] and found[6].back == 2 + 2 * 3, "before the second round"

    def test_successful_calls_count_as_well(self):
        shell = (ToolCall("1", "run_shell_command", {"command": "true"}), ToolResult("Exit code 0.", "exit 0"))
        assert kinds([(shell, "0")] * REPEATED)[-1] == "repeated"

    def test_another_result_is_no_repetition(self):
        assert kinds([(read(text=f"{n}|x"), "0") for n in range(9)]) == [""] * 9

    def test_the_same_result_in_another_state_of_the_files_is_no_repetition(self):
        assert "repeated" not in kinds([(read(), str(n)) for n in range(5)])

    def test_durations_do_not_hide_it(self):
        assert kinds([(ran(1, seconds), "0") for seconds in (0.1, 0.2, 0.35)])[-1] == "repeated"

    def test_it_ends_when_it_goes_on(self):
        found = kinds([(read(), "0")] * 9)
        assert found[2:5] == ["repeated", "repeated", "repeated!"]

    def test_after_going_back_only_the_new_turn_is_taken_out(self):
        guards = Guards("0")
        watch([(read(), "0")] * 3, guards)
        again = guards.after(Turn(5, (read(),), "0"))  # the history is shorter now: system, user, call, answer, lesson
        assert again and again.back == 5


class TestEdits:
    def test_edits_that_undo_each_other(self):
        turns = [(edit("1"), "1"), (edit("0"), "0"), (edit("1b"), "1"), (edit("0b"), "0"), (edit("1c"), "1")]
        assert kinds(turns) == ["", "", "", "returned", "returned"]
        assert watch(turns)[3].back is None, "the files have changed: the model must know"

    def test_the_same_edit_that_changes_the_files_each_time(self):
        turns = [(edit("y"), str(n)) for n in range(1, 10)]
        assert kinds(turns) == ["", "", "again", "", "", "again", "", "", "again!"]
        assert "done already" in watch(turns)[2].lesson

    def test_edits_that_change_nothing_in_what_tests_say(self):
        turns = [(ran(1), "0")]
        for n in range(FRUITLESS):
            turns += [(edit(str(n)), f"s{n}"), (ran(1), f"s{n}")]
        assert [found for found in kinds(turns) if found] == ["fruitless"]

    def test_another_number_of_failures_is_news(self):
        turns: list[Made] = []
        for n in range(2 * FRUITLESS):
            turns += [(edit(str(n)), f"s{n}"), (ran(1 + n % 2), f"s{n}")]
        assert "fruitless" not in kinds(turns)

    def test_nothing_changes_for_long(self):
        turns = [(read(f"{n}.py"), "0") for n in range(2 * IDLE)]
        assert [n for n, found in enumerate(kinds(turns), 1) if found == "idle"] == [IDLE, 2 * IDLE]
        turns[IDLE - 1] = (edit(), "1")
        assert "idle" not in kinds([*turns[: IDLE - 1], *[(made, "1") for made, _ in turns[IDLE - 1 : -1]]])


CALLS = st.sampled_from([read("a.py"), read("b.py"), refused(), edit("y"), edit("z"), ran(1), ran(2), ran(0)])


@given(st.lists(st.tuples(CALLS, st.sampled_from("012")), max_size=60))
def test_whatever_happens_it_goes_back_in_the_history_and_stops_what_goes_on(turns: list[Made]):
    guards, at = Guards("0"), 2
    seen: dict[str, int] = {}
    for made, state in turns:
        found = guards.after(Turn(at, (made,), state))
        at += 2
        if found is None:
            continue
        seen[found.kind] = seen.get(found.kind, 0) + 1
        if found.final:
            assert seen[found.kind] > PATIENCE
            break
        assert found.lesson and found.reason
        if found.back is not None:
            assert 2 <= found.back < at
            at = found.back
        at += 1  # the lesson


@given(st.sampled_from([read(), refused(), ran(1), ran(0)]), st.integers(40, 80))
def test_one_thing_for_ever_is_ended_soon(made: tuple[ToolCall, ToolResult], length: int):
    found = kinds([(made, "0")] * length)
    assert any(kind.endswith("!") for kind in found[:10])


@pytest.mark.parametrize(
    "text",
    [
        "Let me look at the file.",
        "The bug is in total. Now I'll fix it.",
        "I found it:\n\nNext, I will edit total.py:",
        "Okay, let's run the tests…",
        "The function lacks a guard. I need to add one:",
        "I'm going to change the loop",
    ],
)
def test_an_announcement_is_nudged(text: str):
    assert "called no tool" in nudge(Reply(Message("assistant", text), "stop"))


@pytest.mark.parametrize(
    "text",
    [
        "Done: the loop added where it should subtract.",
        "Fixed. Let me know if you want more.",
        "The tests pass now. I changed `-=` to `+=` in total.",
        "I will not change the tests; the specification and the code agree, and nothing is to be done.",
        "All 3 tests pass. I'll leave the style as it is. Nothing else is needed.",
    ],
)
def test_a_last_word_is_not(text: str):
    said = nudge(Reply(Message("assistant", text), "stop"))
    assert said == ""


@pytest.mark.parametrize(("finish", "text", "said"), [("length", "so", "cut off"), ("stop", " \n", "neither text")])
def test_cut_and_empty_replies(finish: Finish, text: str, said: str):
    assert said in nudge(Reply(Message("assistant", text), finish))


@given(st.text(alphabet=string.printable, max_size=4_000))
def test_nudge_is_quick_on_any_text(text: str):
    nudge(Reply(Message("assistant", text), "stop"))
