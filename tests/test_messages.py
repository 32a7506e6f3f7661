import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode.messages import Message, Reply, ToolCall, Usage

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
calls = st.builds(
    ToolCall, st.text(), st.text(), st.dictionaries(st.text(max_size=9), json_values, max_size=3), st.text()
)
roles = st.sampled_from(["system", "user", "assistant", "tool"])
messages = st.builds(Message, roles, st.text(), st.text(), st.lists(calls, max_size=3).map(tuple), st.text())
counts = st.integers(0, 10**9)
usages = st.builds(Usage, counts, counts, counts, counts, st.integers(0, 9).map(float), st.integers(0, 9).map(float))


@given(messages)
def test_a_message_comes_back_through_json(message: Message):
    assert Message.from_dict(json.loads(json.dumps(message.to_dict()))) == message


def test_empty_fields_are_left_out():
    assert Message("user", "hello").to_dict() == {"role": "user", "content": "hello"}
    call = ToolCall("1", "read_file", MappingProxyType({"file_path": "a"}))
    assert Message("assistant", tool_calls=(call,)).to_dict() == {
        "role": "assistant",
        "tool_calls": [{"id": "1", "name": "read_file", "arguments": {"file_path": "a"}, "problem": ""}],
    }


@pytest.mark.parametrize(
    "data", [{}, {"content": "x"}, {"role": "user", "colour": "red"}, {"role": "user", "tool_calls": [{"id": "1"}]}]
)
def test_what_is_no_message_is_refused(data: dict[str, object]):
    with pytest.raises(TypeError):
        Message.from_dict(data)


@given(usages, usages, usages)
def test_usage_adds_up(a: Usage, b: Usage, c: Usage):
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Usage() == a
    assert (a + b).generated == a.generated + b.generated
    assert (a + b).decode_seconds == a.decode_seconds + b.decode_seconds


def test_values_cannot_be_changed():
    with pytest.raises(AttributeError):
        Reply(Message("assistant"), "stop").finish = "length"  # pyright: ignore[reportAttributeAccessIssue]
