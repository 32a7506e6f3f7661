"""The model with written replies, which other rooms rely on in their tests."""

from collections.abc import Sequence

import pytest

from qwencode.errors import ModelUnavailable
from qwencode.events import CallDelta, Event, TextDelta, ThinkingDelta
from qwencode.messages import Message, Reply, ToolSpec, Usage
from qwencode.model.protocol import Options
from qwencode.model.scripted import Line, ScriptedModel, call
from replies import drive

USER = Message("user", "Go.")


def turn(model: ScriptedModel, *history: Message) -> tuple[Reply, list[Event]]:
    return drive(model.stream(history, [], Options()))


def count(history: Sequence[Message]) -> str:
    return f"{len(history)} messages"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("Hello", Reply(Message("assistant", "Hello"), "stop")),
        (Message("assistant", "a", "b"), Reply(Message("assistant", "a", "b"), "stop")),
        (call("edit", path="x"), Reply(call("edit", path="x"), "tool_calls")),
        (Reply(Message("assistant"), "length", Usage(1)), Reply(Message("assistant"), "length", Usage(1))),
        (count, Reply(Message("assistant", "1 messages"), "stop")),
    ],
)
def test_lines(line: Line, reply: Reply):
    assert turn(ScriptedModel([line]), USER)[0] == reply


def test_in_order_and_no_further():
    model = ScriptedModel(["one", "two"])
    assert [turn(model, USER)[0].message.content for _ in range(2)] == ["one", "two"]
    with pytest.raises(ModelUnavailable, match="no line left after 2 replies"):
        turn(model, USER)


def test_it_streams_and_keeps_what_it_was_asked():
    model, tool, options = (
        ScriptedModel([Message("assistant", "a", "b")]),
        ToolSpec("t", "", {}),
        Options(thinking=True),
    )
    history = [USER]
    assert list(model.stream(history, [tool], options)) == [ThinkingDelta("b"), TextDelta("a")]
    history.append(USER)
    assert model.requests == [((USER,), (tool,), options)]
    model.close()


def test_calls_stream_in_as_they_do_from_a_model():
    message = Message(
        "assistant", tool_calls=(*call("run", n=2, s="", deep=["é"]).tool_calls, *call("stop").tool_calls)
    )
    assert list(ScriptedModel([message]).stream([USER], [], Options())) == [
        CallDelta("run"),
        CallDelta("run", "n"),
        CallDelta("run", "n", "2"),
        CallDelta("run", "s"),
        CallDelta("run", "deep"),
        CallDelta("run", "deep", '["é"]'),
        CallDelta("stop"),
    ]


def test_calls_of_one_script_differ_only_in_what_they_ask():
    assert call("edit", path="x") == call("edit", path="x")
    assert call("edit").tool_calls[0].id == "call-edit"
