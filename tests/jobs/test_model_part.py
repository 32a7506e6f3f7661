"""What a model may report of a change, in which order it is asked, and that its history only grows."""

import math
from collections.abc import Generator, Sequence

import pytest

from qwencode.errors import HistoryTooLong, ModelUnavailable
from qwencode.events import CheckFinished, Event, FindingReported
from qwencode.jobs.model_part import ModelPart, beginning
from qwencode.messages import Message, Reply, ToolCall, ToolSpec, Usage
from qwencode.model.protocol import Options
from qwencode.model.scripted import Line, ScriptedModel, call
from qwencode.review.change import FileChange, hunks_of

BEFORE = "def last(rows):\n    if not rows:\n        raise ValueError\n    return rows[-1]\n\n\nNAME = 1\n"
AFTER = "def last(rows):\n    return rows[len(rows)]\n\n\nNAME = 2\n"


def changed(before: str, after: str, path: str = "rows.py") -> FileChange:
    hunks = tuple(hunks_of(before, after))
    return FileChange(path, path, before, after, hunks, frozenset(line for hunk in hunks for line in hunk.new))


def reviewed(
    model: ScriptedModel, files: Sequence[FileChange], left: float = math.inf, needed: float = 0.0
) -> list[Event]:
    return list(ModelPart(files, lambda: model, lambda tokens: needed, lambda: left).work())


def found(events: Sequence[Event]) -> list[tuple[str, int, str]]:
    return [(event.file, event.line, event.what) for event in events if isinstance(event, FindingReported)]


def ended(events: Sequence[Event]) -> CheckFinished:
    (end,) = (event for event in events if isinstance(event, CheckFinished))
    return end


def report(line: int, what: str = "The index is beyond the last row.", **others: object) -> Message:
    return call("report_finding", **{"file_path": "rows.py", "line": line, "severity": "error", "what": what, **others})


def test_a_finding_at_a_changed_line_is_reported():
    model = ScriptedModel([report(2, suggestion="rows[-1]"), "ok"])
    events = reviewed(model, [changed(BEFORE, AFTER)])
    assert found(events) == [("rows.py", 2, "The index is beyond the last row.")]
    assert ended(events).status == "done"
    (first, tools, _), (second, again, _) = model.requests
    assert second[: len(first)] == first
    assert second[len(first) + 1] == Message("tool", "Reported.", answers="call-report_finding")
    assert tools == again
    assert [tool.name for tool in tools] == ["report_finding"]


def test_the_most_suspicious_place_comes_first_with_its_definition():
    model = ScriptedModel(["ok", "ok"])
    reviewed(model, [changed(BEFORE, AFTER)])
    question = model.requests[0][0][-1].content
    assert question.startswith("rows.py in last, lines 1 to 2:")
    assert "-    |        raise ValueError" in question
    assert "+   2|    return rows[len(rows)]" in question
    assert "+   5|NAME = 2" in model.requests[1][0][-1].content


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (report(1), "Line 1 is not one that the change touches"),
        (report(5), "Line 5 is not one that the change touches"),
        (report(99), "Line 99 is not one that the change touches"),
        (report(2, "Bad."), "Say in a sentence"),
        (report(2, severity="fatal"), "A severity is one of"),
        (report(2, file_path="other.py"), "The place is in rows.py"),
        (call("report_finding", line="two"), "needs the parameter"),
        (call("run_shell_command", command="ls"), "There is no tool"),
        (Message("assistant", tool_calls=(ToolCall("1", "report_finding", {}, "it is not closed"),)), "not closed"),
    ],
)
def test_what_names_no_changed_line_or_no_mistake_is_dropped(reply: Message, said: str):
    model = ScriptedModel([reply, "ok"])
    events = reviewed(model, [changed(BEFORE, AFTER)])
    assert found(events) == []
    assert said in model.requests[1][0][-2].content
    assert ended(events).status == "done"


def test_one_place_is_told_once():
    twice = Message(
        "assistant",
        tool_calls=tuple(ToolCall(str(at), "report_finding", report(2).tool_calls[0].arguments) for at in range(2)),
    )
    events = reviewed(ScriptedModel([twice, "ok"]), [changed(BEFORE, AFTER)])
    assert len(found(events)) == 1


def test_a_model_that_cannot_be_used_is_said_and_nothing_is_lost():
    def fails(history: Sequence[Message]) -> Message:
        raise ModelUnavailable("It fell over.")

    events = reviewed(ScriptedModel([report(2), fails]), [changed(BEFORE, AFTER)])
    assert len(found(events)) == 1
    assert (ended(events).status, ended(events).reason) == ("skipped", "It fell over.")


class Small(ScriptedModel):
    """Has room for so many characters."""

    def __init__(self, lines: Sequence[Line], room: int):
        super().__init__(lines)
        self.room = room

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        if sum(len(message.content) for message in history) > self.room:
            raise HistoryTooLong("It does not fit.")
        return (yield from super().stream(history, tools, options))


def test_a_large_deletion_is_shown_in_part_and_what_comes_after_it_is_read():
    gone = "".join(f"    raise ValueError({number})\n" for number in range(5_000))
    large = changed(f"def f():\n    x = 1\n{gone}    return x\n", "def f():\n    x = 1\n    return x\n", "large.py")
    model = Small([report(2), "ok", "ok"], room=8_000)
    events = reviewed(model, [large, changed(BEFORE, AFTER)])
    assert ended(events).status == "done" and len(model.requests) == 3
    assert "… 4,940 more lines were there before" in model.requests[0][0][-1].content


def test_only_the_place_that_does_not_fit_is_skipped():
    wide = changed("def f():\n    return 1\n", f"def f():\n    return {'(1 + 2), ' * 40}\n", "wide.py")
    start = len(beginning()[0].content)
    model = Small([report(2), "ok"], room=start + 200)
    events = reviewed(model, [wide, changed(BEFORE, AFTER)])
    assert found(events) == [("rows.py", 2, "The index is beyond the last row.")]
    assert (ended(events).status, ended(events).reason) == (
        "skipped",
        "too large for the context of the model, not read: wide.py:1",
    )
    assert [len(history) for history, _, _ in model.requests] == [2, 2], "with the first question there was no room"


def test_no_model_is_loaded_where_the_time_is_too_short_for_it():
    model = ScriptedModel([])
    events = reviewed(model, [changed(BEFORE, AFTER)], left=10, needed=25)
    assert ended(events).reason == "to load it and to read the first place takes about 25 s, and 10 s are left"
    assert not model.requests


def test_the_clock_is_looked_at_before_each_question():
    times = iter([30.0, 30.0, 0.5])
    part = ModelPart([changed(BEFORE, AFTER)], lambda: ScriptedModel(["ok"]), lambda tokens: 1.0, lambda: next(times))
    assert ended(list(part.work())).reason == "the time was up after 1 of 2 places"


def test_a_full_context_begins_anew():
    model = ScriptedModel([Reply(Message("assistant", "ok"), "stop", Usage(prompt=900)), "ok"])
    model.context_length = 1000
    reviewed(model, [changed(BEFORE, AFTER)])
    assert [len(history) for history, _, _ in model.requests] == [2, 2]


def test_documents_and_blank_changes_are_not_asked_about():
    model = ScriptedModel([])
    files = [changed("a\n", "b\n", "README.md"), changed("x = 1\n", "x = 1\n\n# Note.\n")]
    assert ended(reviewed(model, files)).status == "done"
    assert not model.requests
