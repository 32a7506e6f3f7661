import json
from dataclasses import fields, is_dataclass
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode import events
from qwencode.event_json import from_dict, to_dict, type_name
from qwencode.events import Event, RunStarted, ToolStarted
from qwencode.messages import Message, ToolCall

KINDS: list[type[Any]] = list(get_args(Event))
arguments = st.dictionaries(
    st.text(max_size=5), st.none() | st.text() | st.integers() | st.lists(st.integers()), max_size=3
)
st.register_type_strategy(
    ToolCall, st.builds(ToolCall, st.text(max_size=5), st.text(max_size=5), arguments, st.text(max_size=5))
)
st.register_type_strategy(float, st.floats(allow_nan=False))


@pytest.mark.parametrize("kind", KINDS, ids=type_name)
def test_every_event_comes_back_through_json(kind: type[Any]):
    @settings(max_examples=20, deadline=None)
    @given(st.from_type(kind))
    def check(event: Any):
        data = json.loads(json.dumps(to_dict(event)))
        assert next(iter(data)) == "type"
        assert from_dict(data) == event

    check()


def test_every_event_of_the_module_is_an_event():
    parts = {"Message", "ToolCall", "Usage", "Suspect", "TestChange"}
    defined = {name for name, value in vars(events).items() if isinstance(value, type) and is_dataclass(value)}
    assert {kind.__name__ for kind in KINDS} == defined - parts


def test_names_on_the_wire_are_unique_and_plain():
    names = [type_name(kind) for kind in KINDS]
    assert len(set(names)) == len(names)
    assert "test_command_chosen" in names
    assert all("type" not in {each.name for each in fields(kind)} for kind in KINDS)


def test_the_form_on_the_wire():
    event = ToolStarted(ToolCall("1", "edit", {"file_path": "a"}))
    call = {"id": "1", "name": "edit", "arguments": {"file_path": "a"}, "problem": ""}
    assert to_dict(event) == {"type": "tool_started", "call": call}
    assert to_dict(events.MessageAdded(Message("user", "x"))) == {
        "type": "message_added",
        "message": {"role": "user", "content": "x"},
    }


def test_fields_added_later_have_defaults():
    assert from_dict({"type": "run_started", "job": "fix", "repository": "/r", "session": "s", "version": "1"}) == (
        RunStarted("fix", "/r", "s", "1")
    )


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"type": "no_such_event"}, KeyError),
        ({}, KeyError),
        ({"type": "notice"}, TypeError),
        ({"type": "notice", "text": "x", "colour": "red"}, TypeError),
        ({"type": "reply_finished", "finish": "stop", "usage": {"pounds": 3}}, TypeError),
    ],
)
def test_what_is_no_event_is_refused(data: dict[str, Any], error: type[Exception]):
    with pytest.raises(error):
        from_dict(data)
