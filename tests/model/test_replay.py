"""A recorded session, said again."""

from pathlib import Path
from typing import Any

import pytest

from qwencode.errors import ModelUnavailable, UsageError
from qwencode.events import (
    CallDelta,
    Event,
    HistoryRewound,
    MessageAdded,
    Notice,
    ReplyFinished,
    TextDelta,
    ThinkingDelta,
)
from qwencode.messages import Message, Reply, ToolCall, Usage
from qwencode.model.protocol import Model, Options
from qwencode.model.replay import ReplayModel
from qwencode.session import Session
from replies import drive

USER = Message("user", "Mend it.")
CALL = Message("assistant", "I run them.", "hm", (ToolCall("call-1", "run_tests", {"selection": "a"}),))
RESULT = Message("tool", "1 failed in 0.53s under /tmp/run-1/x at 0x7f00aa11 on 2026-01-02 03:04:05", answers="call-1")
LATER = Message(
    "tool", "1 failed in 12 s under /tmp/run-22/y/z at 0x7f99bb22 on 2026-11-23T10:11:12.5", answers="call-1"
)
DONE = Message("assistant", "Done.")
EVENTS: list[Event] = [
    MessageAdded(USER),
    ReplyFinished("tool_calls", Usage(10, 0, 10, 5)),
    MessageAdded(CALL),
    Notice("unrelated"),
    MessageAdded(RESULT),
    ReplyFinished("stop", Usage(30, 15, 15, 2)),
    MessageAdded(DONE),
]


def ask(model: Model, *history: Message) -> Reply:
    return drive(model.stream(history, [], Options()))[0]


def test_replies_come_again():
    model = ReplayModel(EVENTS)
    reply, seen = drive(model.stream([USER], [], Options()))
    assert reply == Reply(CALL, "tool_calls", Usage(10, 0, 10, 5))
    assert seen == [
        ThinkingDelta("hm"),
        TextDelta("I run them."),
        CallDelta("run_tests"),
        CallDelta("run_tests", "selection"),
        CallDelta("run_tests", "selection", "a"),
    ]
    assert ask(model, USER, CALL, RESULT) == Reply(DONE, "stop", Usage(30, 15, 15, 2))
    with pytest.raises(ModelUnavailable, match="no reply left after 2"):
        ask(model, USER, CALL, RESULT, DONE, USER)


def test_from_a_trace_on_disk(tmp_path: Path):
    with Session(tmp_path, "one") as session:
        for event in EVENTS:
            session.record(event)
    model = ReplayModel(session.path)
    assert ask(model, USER).message == CALL
    assert ask(model, USER, CALL, RESULT).message == DONE
    model.close()
    with pytest.raises(UsageError, match="cannot be read"):
        ReplayModel(tmp_path / "missing.jsonl")


def test_what_differs_from_run_to_run_does_not_count():
    model = ReplayModel(EVENTS)
    ask(model, USER)
    assert ask(model, USER, CALL, LATER).message == DONE


PARTED: list[tuple[list[Message], str]] = [
    ([Message("user", "Mend that."), CALL, RESULT], r"message 1 \(user\) differs in its content: it was 'Mend it\.'"),
    (
        [USER, CALL, Message("tool", RESULT.content.replace("1 failed", "2 failed"), answers="call-1")],
        r"message 3 \(tool\) differs in its content: it was '1 failed.*, and is '2 failed",
    ),
    ([USER, CALL, Message("tool", RESULT.content, answers="call-2")], r"message 3 \(tool\) differs in its answers"),
    ([USER, DONE, RESULT], r"message 2 \(assistant\) differs in its content"),
    ([USER, CALL], r"the history had 3 messages, and has 2\."),
    ([USER, CALL, RESULT, USER], r"the history had 3 messages, and has 4\."),
]


@pytest.mark.parametrize(("history", "says"), PARTED)
def test_it_says_where_they_part(history: list[Message], says: str):
    model = ReplayModel(EVENTS)
    ask(model, USER)
    with pytest.raises(ModelUnavailable, match="The replay parts from the recorded session before reply 2: " + says):
        ask(model, *history)
    assert ask(model, USER, CALL, RESULT).message == DONE, "a refused history does not use up the reply"


def test_a_difference_far_inside_is_shown():
    long = Message("user", "x" * 500 + "A" + "y" * 500)
    model = ReplayModel([MessageAdded(long), ReplyFinished("stop", Usage()), MessageAdded(DONE)])
    with pytest.raises(ModelUnavailable) as caught:
        ask(model, Message("user", long.content.replace("A", "B")))
    assert f"it was '…{'x' * 20}Ayyy" in str(caught.value)
    assert f"is '…{'x' * 20}Byyy" in str(caught.value)


def test_rewound_turns_are_replayed_on_the_history_of_their_time():
    second = Message("assistant", "Better.")
    events: list[Any] = [*EVENTS, HistoryRewound(3, "retry"), ReplyFinished("stop", Usage()), MessageAdded(second)]
    model = ReplayModel(events)
    ask(model, USER)
    assert ask(model, USER, CALL, RESULT).message == DONE
    assert ask(model, USER, CALL, RESULT).message == second


def test_messages_that_no_model_wrote_are_not_replies():
    """Such as an assistant message that a job puts into the history."""
    events: list[Any] = [MessageAdded(USER), MessageAdded(DONE), MessageAdded(USER), *EVENTS[1:3]]
    assert ask(ReplayModel(events), USER, DONE, USER).message == CALL
