"""When a turn thinks: fast by default, thinking where it is hard. Pure: what came before goes in, a decision out."""

from collections.abc import Callable
from dataclasses import dataclass

from qwencode.messages import ToolCall
from qwencode.tools.protocol import ToolResult

Answers = tuple[tuple[ToolCall, ToolResult], ...]

RUNGS = (1_000, 2_000, 4_000)
"""Tokens of thinking: more the longer it goes without success, and never as much as drowns.

Published runs of this very model in another agent solved no task that took more than 3,000 tokens of thinking
(https://github.com/itayinbarr/little-coder); the last rung leaves room for one that would be the first.
"""


@dataclass(frozen=True, slots=True)
class Step:
    """What came before a turn. `number` counts the turns so far; `answers` are the last one's calls with their results.

    `missing` is what the check said when the last turn called no tool and the goal was not reached. `trouble` is why a
    guard stepped in. `edited`: files were changed between the last two test runs. `rung` counts the hard turns since
    something last succeeded.
    """

    number: int = 0
    answers: Answers = ()
    missing: str = ""
    trouble: str = ""
    edited: bool = True
    rung: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the next turn thinks, in words for the user why, and for how many tokens at most (0: no limit)."""

    on: bool
    reason: str
    budget: int = 0


ThinkingPolicy = Callable[[Step], Decision]


def on_hard_steps(step: Step) -> Decision:
    """Think on the first turn, when a guard steps in, when the goal is not reached, and when an edit mended nothing.

    Anything else is a plain step, also the one after a hard step that went well.
    """
    if reason := _hard(step):
        return Decision(True, reason, RUNGS[min(step.rung, len(RUNGS) - 1)])
    return Decision(False, "a plain step")


def _hard(step: Step) -> str:
    if step.number == 0:
        return "the first turn of the task"
    if step.trouble:
        return step.trouble
    if step.missing:
        return "the model stopped before the goal was reached"
    if step.edited and any(call.name == "run_tests" and not result.ok for call, result in step.answers):
        return "the tests still fail after an edit"
    return ""


def always(step: Step) -> Decision:
    """Think on every turn."""
    return Decision(True, "asked for by the user")


def never(step: Step) -> Decision:
    """Think on no turn."""
    return Decision(False, "switched off by the user")


POLICIES: dict[str, ThinkingPolicy] = {"auto": on_hard_steps, "always": always, "never": never}
"""What the user may choose."""
