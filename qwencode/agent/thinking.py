"""When a turn thinks: fast by default, thinking where it is hard."""

from collections.abc import Callable
from dataclasses import dataclass

from qwencode.messages import ToolCall
from qwencode.tools.protocol import ToolResult

Answers = tuple[tuple[ToolCall, ToolResult], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What came before a turn. `number` counts the turns so far; `answers` are the last one's calls with their results.

    `missing` is what the check said when the last turn called no tool and the goal was not reached.
    """

    number: int = 0
    answers: Answers = ()
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the next turn thinks, and why, in words for the user."""

    on: bool
    reason: str


ThinkingPolicy = Callable[[Step], Decision]


def on_hard_steps(step: Step) -> Decision:
    """Think on the first turn, after a test run that failed, and when the goal turned out not to be reached."""
    if step.number == 0:
        return Decision(True, "the first turn of the task")
    if step.missing:
        return Decision(True, "the model stopped before the goal was reached")
    if any(call.name == "run_tests" and not result.ok for call, result in step.answers):
        return Decision(True, "the tests still fail")
    return Decision(False, "a plain step")


def always(step: Step) -> Decision:
    """Think on every turn."""
    return Decision(True, "asked for by the user")


def never(step: Step) -> Decision:
    """Think on no turn."""
    return Decision(False, "switched off by the user")
