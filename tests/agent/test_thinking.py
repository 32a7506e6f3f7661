"""When a turn thinks: a table of what came before, and how hard it has become after each turn of a run."""

import pytest

from qwencode.agent.course import Course
from qwencode.agent.thinking import POLICIES, RUNGS, Decision, Step, on_hard_steps
from qwencode.agent.turns import Turn
from qwencode.messages import ToolCall
from qwencode.tools.protocol import ToolResult


def ran(failed: int) -> tuple[ToolCall, ToolResult]:
    return ToolCall("1", "run_tests"), ToolResult("…", f"tests: {failed} failed, 3 passed", ok=not failed)


EDITED = (ToolCall("1", "edit"), ToolResult("Edited a.py.", "edited"))
READ = (ToolCall("1", "read_file"), ToolResult("1|x", "a.py: 1 line"))
REFUSED = (ToolCall("1", "edit"), ToolResult("no", "edit: no", ok=False, refused=True))


@pytest.mark.parametrize(
    ("step", "decision"),
    [
        (Step(), Decision(True, "the first turn of the task", RUNGS[0])),
        (Step(3, (READ,)), Decision(False, "a plain step")),
        (Step(3, (EDITED,)), Decision(False, "a plain step")),
        (Step(3, (REFUSED,)), Decision(False, "a plain step")),
        (Step(3, (ran(1),)), Decision(True, "the tests still fail after an edit", RUNGS[0])),
        (Step(3, (ran(1), READ), rung=1), Decision(True, "the tests still fail after an edit", RUNGS[1])),
        (Step(3, (ran(1),), edited=False), Decision(False, "a plain step")),
        (Step(3, (ran(0),), rung=2), Decision(False, "a plain step")),
        (Step(3, trouble="edits are undone", rung=9), Decision(True, "edits are undone", RUNGS[-1])),
        (Step(3, missing="test_x fails"), Decision(True, "the model stopped before the goal was reached", RUNGS[0])),
    ],
)
def test_on_hard_steps(step: Step, decision: Decision):
    assert on_hard_steps(step) == decision


@pytest.mark.parametrize("step", [Step(), Step(3, (ran(1),)), Step(3, trouble="x"), Step(3, missing="x")])
def test_the_users_choice_wins(step: Step):
    assert POLICIES["always"](step).on and not POLICIES["never"](step).on


def test_it_gets_harder_until_something_succeeds():
    course, rungs = Course("0"), list[int]()
    turns = [
        Turn(2, (READ,), "0"),
        Turn(4, (ran(2),), "0"),  # before any edit: no news that they fail
        Turn(6, (EDITED, ran(2)), "1"),
        Turn(9, (EDITED,), "2"),
        Turn(11, (ran(2),), "2"),
        Turn(13, (EDITED, ran(1)), "3"),  # one fewer fails
        Turn(16, (EDITED, ran(1)), "4"),
        Turn(19, (EDITED, ran(0)), "5"),
    ]
    for number, turn in enumerate(turns, 1):
        step = course.called(number, turn)
        rungs.append(step.rung)
        assert step.number == number and step.answers == turn.answers
        hard = step.edited and any(not result.ok for _, result in turn.answers)
        assert on_hard_steps(step).on == hard
    assert rungs == [0, 0, 1, 1, 2, 0, 1, 0]


def test_guards_and_reminders_make_it_harder():
    course = Course("0")
    assert course.called(1, Turn(2, (REFUSED,), "0"), "edit was refused 2 times in a row").rung == 1
    assert course.called(2, Turn(4, (READ,), "0"), "the same again").rung == 2
    assert course.stopped(3, "test_x still fails").rung == 3
    assert course.stopped(4).rung == 3
    assert course.called(5, Turn(9, (EDITED,), "1")).rung == 0
