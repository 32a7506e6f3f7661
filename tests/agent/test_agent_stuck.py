"""A model that gets stuck in the loop: it goes back with a lesson, thinks, and is stopped when that does not help."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from qwencode.agent.budget import Budget
from qwencode.agent.loop import Agent, Tree
from qwencode.agent.outcome import Outcome
from qwencode.agent.thinking import RUNGS
from qwencode.errors import ToolError
from qwencode.events import Event, HistoryRewound, MessageAdded, ThinkingDecided
from qwencode.messages import Message
from qwencode.model.protocol import Options
from qwencode.model.replay import ReplayModel
from qwencode.model.scripted import Line, ScriptedModel, call
from qwencode.tools.protocol import ToolResult
from qwencode.tools.schema import tool


class Desk:
    """One file that can be read and edited, and tests that pass when it says `right`."""

    def __init__(self, text: str = "wrong"):
        self.text, self.first = text, text

    def tools(self):
        def read_file() -> ToolResult:
            """Read."""
            return ToolResult(self.text, f"read {len(self.text)} characters")

        def edit(old: str, new: str) -> ToolResult:
            """Edit."""
            if old not in self.text:
                raise ToolError(f"{old!r} is not in the file. It reads: {self.text}")
            self.text = self.text.replace(old, new)
            return ToolResult("Edited.", "edited")

        def run_tests() -> ToolResult:
            """Test."""
            ok = self.text == "right"
            return ToolResult("passed" if ok else "E wrong", f"tests: {int(not ok)} failed", ok)

        return {made.spec.name: made for made in map(tool, (read_file, edit, run_tests))}

    def tree(self) -> Tree:
        return Tree(lambda: self.text, lambda: "" if self.text == self.first else f"+{self.text}")


def run(
    lines: Sequence[Line] | ReplayModel, desk: Desk | None = None, check: Callable[[], str] | None = None
) -> tuple[list[Event], Outcome, list[Message]]:
    desk = desk or Desk()
    model = lines if isinstance(lines, ReplayModel) else ScriptedModel(lines)
    history = [Message("system", "s"), Message("user", "mend it")]
    given = {"check": check} if check else {}
    agent = Agent(model, desk.tools(), Options(), Budget(30), tree=desk.tree(), **given)
    events: list[Event] = [*map(MessageAdded, history)]
    going = agent.run(history)
    while True:
        try:
            events.append(next(going))
        except StopIteration as end:
            return events, end.value, history


BAD = call("edit", old="worng", new="right")
GOOD = call("edit", old="wrong", new="right")


def test_refusals_are_taken_out_of_the_history_and_a_lesson_stays():
    events, outcome, history = run([call("read_file"), BAD, BAD, GOOD, call("run_tests"), "Done."])
    assert outcome.ended == "done"
    assert BAD not in history, "the model does not read its own mistakes again"
    lesson = history[4]
    assert lesson.role == "user" and "'worng' is not in the file. It reads: wrong" in lesson.content
    assert history[5] == GOOD
    assert [event for event in events if isinstance(event, HistoryRewound)] == [
        HistoryRewound(4, "edit was refused 2 times in a row")
    ]
    decided = [(event.on, event.reason, event.budget) for event in events if isinstance(event, ThinkingDecided)]
    assert decided[3] == (True, "edit was refused 2 times in a row", RUNGS[1])
    assert [on for on, _, _ in decided] == [True, False, False, True, False, False], "and after success fast again"


def test_it_is_replayed_from_its_trace():
    lines = [call("read_file"), BAD, BAD, call("read_file"), call("read_file"), GOOD, "Done."]
    events, _, history = run(lines)
    assert sum(isinstance(event, HistoryRewound) for event in events) == 2
    again, _, later = run(ReplayModel(events))
    assert later == history and [e for e in again if isinstance(e, MessageAdded)] == [
        e for e in events if isinstance(e, MessageAdded)
    ]


def test_the_same_call_for_ever_is_stopped():
    events, outcome, history = run([call("read_file")] * 30)
    assert outcome.ended == "stuck" and outcome.steps == 5
    assert "read_file is called again and again" in outcome.reason
    assert len(history) < 10
    assert sum(isinstance(event, HistoryRewound) for event in events) == 2


def test_edits_back_and_forth_are_stopped():
    there, back = GOOD, call("edit", old="right", new="wrong")
    _, outcome, _ = run([there, back] * 15)
    assert outcome.ended == "stuck" and "undone" in outcome.reason


def test_edits_that_never_help_are_stopped_by_what_the_tests_say():
    texts = ["wrong", *(f"wrong{n}" for n in range(40))]
    lines = [line for old, new in pairwise(texts) for line in (call("edit", old=old, new=new), call("run_tests"))]
    _, outcome, history = run(lines)
    assert outcome.ended == "stuck" and "did not change what the tests say" in outcome.reason
    assert sum("have not changed what the tests say" in message.content for message in history) == 2


def test_narration_gets_one_nudge_and_then_counts_as_the_last_word():
    asked: list[str] = []

    def check() -> str:
        asked.append("asked")
        return "" if len(asked) > 1 else "test_x still fails"

    _, outcome, history = run(["Let me edit the file.", "Now I'll edit the file.", "I mended it."], check=check)
    said = [message.content for message in history if message.role == "user"][1:]
    assert "called no tool" in said[0] and said[1] == "test_x still fails"
    assert len(asked) == 2 and outcome.ended == "done"


def test_the_user_is_told_why_it_thinks():
    events, _, _ = run([call("run_tests"), GOOD, call("run_tests"), "Done."], Desk("wrong"))
    reasons = [event.reason for event in events if isinstance(event, ThinkingDecided)]
    assert reasons == ["the first turn of the task", "a plain step", "a plain step", "a plain step"]
