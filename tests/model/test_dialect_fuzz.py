"""The parser against everything: any text, any mixture of the format's own marks, cut anywhere, any bytes.

What has to hold, whatever a model writes:

* nothing raises, and every argument is a value that JSON can hold;
* how the text was cut never matters, neither for the message nor for the joined deltas;
* nothing is lost: each character that belongs to no mark ends in exactly one place (reasoning, content, or the name or
  the arguments of a call), and those of one stretch of text are still in their order. Four things are none of it: the
  white space around paragraphs and values, the `id` and `type` beside the arguments of a call in JSON, an optional
  number, boolean or list that was left empty, and what JSON itself forgets (of a key twice in one value, the first);
* no call comes from nowhere: there is a mark that opened it, and its name was written.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qwencode.events import CallDelta, Event, TextDelta, ThinkingDelta
from qwencode.messages import Message, ToolCall, ToolSpec
from qwencode.model.dialect.arguments import build_call, decode
from qwencode.model.dialect.qwen import Parser, close_reply, open_reply, render
from replies import merged

LISTS = {"type": "array", "items": {"type": "string"}}
READ = ToolSpec(
    "read_file",
    "Read a file.",
    {
        "type": "object",
        "properties": {"file_path": {"type": "string"}, "offset": {"type": "integer"}, "limit": {"type": "integer"}},
        "required": ["file_path"],
    },
)
EDIT = ToolSpec(
    "edit",
    "Edit a file.",
    {
        "type": "object",
        "properties": {
            **{name: {"type": "string"} for name in ("file_path", "old_string", "new_string")},
            "replace_all": {"type": "boolean"},
        },
        "required": ["file_path", "old_string", "new_string"],
    },
)
PLAN = ToolSpec("todo_write", "Plan.", {"properties": {"items": LISTS, "extra": {"type": "object"}}})
TOOLS = [READ, EDIT, PLAN, ToolSpec("run_tests", "Run.", {"type": "object", "properties": {}})]
KNOWN = "|".join(tool.name for tool in TOOLS)

FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
UNIQUE = 0x4E00  # from here on each character of a text stands in it once

MARKS = [
    *("<tool_call>", "</tool_call>", "<think>", "</think>", "</parameter>", "</function>", "</function_invocation>"),
    *("<function=read_file>", "<function=edit>", "<function=run_tests>", "<function=todo_write>", "<function=\0>"),
    *("<parameter=file_path>", "<parameter=old_string>", "<parameter=new_string>", "<parameter=offset>"),
    *("<parameter=\0>", "<parameter=items>", '<function name="edit">', '<parameter name="old_string">'),
    *("<function name='\0'>", "<parameter=file_path", "<function=edit", "<parameter", "<function", "=", '"', ">"),
    *("<tool_call>\n<function=edit>\n<parameter=file_path>\n", "\n</parameter>\n<parameter=old_string>\n"),
    *("\n</parameter>\n</function>\n</tool_call>", "\n</function>\n</tool_call>\n", "\n</parameter>\n</parameter>\n"),
    *('{"name": "read_file", "arguments": {"file_path": "\0"}}', '{"name": "run_tests"}', '{"name": "\0", ', "}", "{"),
    *('{"name": "todo_write", "arguments": {"items": ["\0", "\0"]}}', '{"file_path": "\0", "name": "read_file"}'),
    *('{"name": "edit", "arguments": "{\\"new_string\\": \\"\0\\"}", "\0": 1}', "[", "]", "'", ",", "\\", "1", "0.5"),
    *('{"type": "function", "id": "1", "function": {"name": "\0", "parameters": {"\0": [{"\0": null}]}}}',),
    *("<", "</", "<t", "</tool", "<fun", "</para", "<b>", "<|im_end|>", "<|im_start|>", "true", "null", "-", "."),
    *("\n", "\n\n", " ", "\t", "\r\n", "\u200b", "\u0301", "é", "😀", "\ufeff", "\x00", "\u2028"),
]
plain = st.text(max_size=2).filter(lambda text: not unique(text))  # none of what is to be recognised again
pieces = st.lists(st.sampled_from(MARKS) | st.sampled_from(["\0", "\n", "\n"]) | plain, max_size=40)
soup = pieces.map("".join)


def marked(fragments: Sequence[str]) -> str:
    """Join the fragments; each `\\0` in them becomes a character of its own."""
    parts = "".join(fragments).split("\0")
    return parts[0] + "".join(chr(UNIQUE + number) + part for number, part in enumerate(parts[1:]))


def read(text: str, thinking: bool, cuts: Sequence[int] = (), truncated: bool = False) -> tuple[Message, list[Event]]:
    parser, events, start = Parser(TOOLS, thinking), list[Event](), 0
    for cut in sorted(cut % (len(text) + 1) for cut in cuts):
        events += parser.feed(text[start:cut])
        start = cut
    events += [*parser.feed(text[start:]), *parser.drain()]
    return parser.finish(truncated), events


def unique(text: str) -> list[str]:
    return [char for char in text if UNIQUE <= ord(char) < UNIQUE + 1000]


def places(message: Message) -> Iterator[str]:
    """Yield every text of a message that what was written can have gone to."""
    yield message.reasoning
    yield message.content
    for call in message.tool_calls:
        yield call.name
        for key, value in call.arguments.items():
            yield key
            yield value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def check(text: str, thinking: bool, cuts: Sequence[int], truncated: bool) -> None:
    """Hold one text against all that has to hold."""
    message, events = read(text, thinking, truncated=truncated)
    assert read(text, thinking, cuts, truncated)[0] == message
    assert merged(read(text, thinking, cuts)[1]) == merged(read(text, thinking)[1]) == merged(events)
    found = [char for place in places(message) for char in unique(place)]
    assert sorted(found) == sorted(unique(text)), message
    for place in places(message):
        assert unique(place) == sorted(unique(place))
    spoken = "".join(event.text for event in events if isinstance(event, TextDelta))
    thought = "".join(event.text for event in events if isinstance(event, ThinkingDelta))
    assert thought + spoken in (message.reasoning + message.content, message.content + message.reasoning) or (
        spoken == message.reasoning + message.content
    )
    check_calls(text, message)


BEGUN = r"(?:^|</think>)(?:\s|</?\w+>)*"  # a line, or what follows the reasoning
OPENING = re.compile(rf"<tool_call>|{BEGUN}<function(?:=|\s+name\s*=)[\s\"']*(?:{KNOWN})", re.MULTILINE)


def check_calls(text: str, message: Message) -> None:
    assert bool(message.tool_calls) <= bool(OPENING.search(text))
    assert len(message.tool_calls) <= text.count("<tool_call>") + text.count("<function")
    for number, call in enumerate(message.tool_calls, 1):
        assert call.id == f"call-{number}"
        assert call.name in text.replace("\\", "") or "\\" in text
        assert call.name or call.problem
        again = json.loads(json.dumps(dict(call.arguments), allow_nan=False, ensure_ascii=False).encode())
        assert again == call.arguments
        if not call.problem:
            assert call.name in [tool.name for tool in TOOLS]


cuts = st.lists(st.integers(0, 10_000), max_size=12)


@FEW
@given(pieces, st.booleans(), cuts, st.booleans())
@example(["<tool_call>\n<function=edit>\n<parameter=file_path>\n", "\0", "<parameter=file_path>\n\0"], False, [], False)
@example(["<tool_call>\n", "{", "\0" * 500, "\n</tool_call>"], False, [], False)
def test_whatever_is_written(fragments: list[str], thinking: bool, cuts: list[int], truncated: bool) -> None:
    check(marked(fragments), thinking, cuts, truncated)


@pytest.mark.slow
@pytest.mark.timeout(900)
@MANY
@given(pieces, st.booleans(), cuts, st.booleans())
def test_whatever_is_written_at_length(fragments: list[str], thinking: bool, cuts: list[int], truncated: bool) -> None:
    check(marked(fragments), thinking, cuts, truncated)


@FEW
@given(st.text() | soup, st.booleans(), cuts, st.booleans())
def test_any_text_at_all(text: str, thinking: bool, cuts: list[int], truncated: bool) -> None:
    """Also with characters that no file can hold, and with the marks' own letters."""
    message, events = read(text, thinking, truncated=truncated)
    assert read(text, thinking, cuts, truncated)[0] == message
    assert merged(read(text, thinking, cuts)[1]) == merged(events)
    check_calls(text, message)
    if "<" not in text:
        assert (message.reasoning if thinking else message.content) == text.strip()


def closed(text: str, thinking: bool) -> None:
    """Whatever a reply was when it was cut off, what closes it ends it: no think block and no call stays open."""
    tail = "".join(piece.text for piece in close_reply(text, thinking))
    assert tail.endswith("<|im_end|>\n") or text.endswith("<|im_end|>")
    parser = Parser(TOOLS, thinking)
    parser.feed(text + tail.removesuffix("<|im_end|>\n"))
    assert not parser.thinking or text.endswith("<|im_end|>"), tail


@FEW
@given(soup, st.booleans())
def test_a_reply_that_was_cut_off_is_closed(text: str, thinking: bool) -> None:
    closed(text, thinking)


@pytest.mark.slow
@MANY
@given(soup, st.booleans())
def test_a_reply_that_was_cut_off_is_closed_at_length(text: str, thinking: bool) -> None:
    closed(text, thinking)


# What comes back from a rendered message.

inner = ["<tool_call>", "<function=edit>", "<think>", "</think>", "<parameter=other>", "<b>", "</b>", "</para", "<T>"]
inner += [
    "\n",
    "\n\n",
    " ",
    "\t",
    "<",
    ">",
    "</",
    "x",
    "&lt;",
    "{",
    "}",
    '"',
    "\\",
    "😀",
    "\u0301",
    "\u200b",
    "\r\n",
    "0",
]
inner += ["<|im_end|>", "<function_invocation>", "vector<int>", "#include <functional>", "<parameter", "true", "[]"]
legal = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
values = st.lists(st.sampled_from(inner) | legal, max_size=8).map("".join)
prose = st.lists(st.sampled_from(["x", "\n", " ", "<b>", "< ", "é", "`<T>`", "&"]) | legal, max_size=8).map("".join)
sound = prose.map(str.strip).filter(lambda text: not re.search(r"</?(?:t|f|p)|<$", text))
numbers = st.integers(-(2**63) + 1, 2**63 - 1)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | values
structures = st.recursive(
    plain, lambda x: st.lists(x, max_size=3) | st.dictionaries(values, x, max_size=3), max_leaves=5
)
calls = st.one_of(
    st.fixed_dictionaries({"file_path": values}, optional={"offset": numbers, "limit": numbers}).map(
        lambda arguments: ToolCall("", "read_file", arguments)
    ),
    st.fixed_dictionaries(
        {"file_path": values, "old_string": values, "new_string": values}, optional={"replace_all": st.booleans()}
    ).map(lambda arguments: ToolCall("", "edit", arguments)),
    st.fixed_dictionaries(
        {"items": st.lists(values, max_size=4)}, optional={"extra": st.dictionaries(values, structures, max_size=3)}
    ).map(lambda arguments: ToolCall("", "todo_write", arguments)),
    st.just(ToolCall("", "run_tests")),
)


def round_trip(reasoning: str, content: str, calls: Sequence[ToolCall], cuts: Sequence[int]) -> None:
    named = tuple(ToolCall(f"call-{number}", call.name, call.arguments) for number, call in enumerate(calls, 1))
    message, user = Message("assistant", content, reasoning, named), Message("user", "go")
    prompt = "".join(piece.text for piece in open_reply(user, True))
    rendered = "".join(piece.text for piece in render(user, message)).removeprefix(prompt).removesuffix("<|im_end|>\n")
    again, events = read(rendered, True, cuts)
    assert again == message
    shown: list[tuple[str, str, str]] = [
        (e.name, e.parameter, e.text) for e in merged(events) if isinstance(e, CallDelta)
    ]
    wanted = [
        (c.name, key, value) for c in calls for key, value in c.arguments.items() if isinstance(value, str) and value
    ]
    assert not Counter(wanted) - Counter(shown)


@FEW
@given(sound, sound, st.lists(calls, max_size=3), cuts)
def test_what_was_rendered_is_read_back(reasoning: str, content: str, calls: list[ToolCall], cuts: list[int]) -> None:
    round_trip(reasoning, content, calls, cuts)


@pytest.mark.slow
@pytest.mark.timeout(900)
@MANY
@given(sound, sound, st.lists(calls, max_size=3), cuts)
def test_what_was_rendered_is_read_back_at_length(
    reasoning: str, content: str, calls: list[ToolCall], cuts: list[int]
) -> None:
    round_trip(reasoning, content, calls, cuts)


# The shapes that these models are known to write.


def body(name: str, **values: str) -> str:
    parameters = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    return f"<function={name}>\n{parameters}</function>"


def block(name: str, **values: str) -> str:
    return f"<tool_call>\n{body(name, **values)}\n</tool_call>"


A = {"file_path": "a.py"}
TESTS = block("run_tests")
SHAPES: dict[str, tuple[str, bool, str, str, list[tuple[str, dict[str, Any]]]]] = {
    "call inside thinking, never closed": ("I look.\n" + TESTS, True, "I look.", "", [("run_tests", {})]),
    "call inside thinking, then closed": (
        f"I look.\n{TESTS}\n</think>\n\nSo.",
        True,
        "I look.",
        "So.",
        [("run_tests", {})],
    ),
    "thinking closed without a line before": ("hm</think>\nSo.", True, "hm", "So.", []),
    "thinking and nothing else": (
        "I will call run_tests now.\n</think>\n\n",
        True,
        "I will call run_tests now.",
        "",
        [],
    ),
    "closed twice": ("hm\n</think>\n\n</think>\n\nSo.", True, "hm", "So.", []),
    "</parameter> twice": (
        block("read_file", **A).replace("</parameter>", "</parameter>\n</parameter>"),
        False,
        "",
        "",
        [("read_file", A)],
    ),
    "optional before required": (
        block("read_file", limit="5", offset="1", **A),
        False,
        "",
        "",
        [("read_file", {"limit": 5, "offset": 1, **A})],
    ),
    "text before, between and after": (
        f"One.\n\n{TESTS}\nTwo.\n{TESTS}\nThree.",
        False,
        "",
        "One.\n\nTwo.\n\nThree.",
        [("run_tests", {})] * 2,
    ),
    "parallel in one block": (
        f"<tool_call>\n{body('run_tests')}\n{body('read_file', **A)}\n</tool_call>",
        False,
        "",
        "",
        [("run_tests", {}), ("read_file", A)],
    ),
    "array of texts in JSON": (
        block("todo_write", items='["one", "two"]'),
        False,
        "",
        "",
        [("todo_write", {"items": ["one", "two"]})],
    ),
    "array in Python": (
        block("todo_write", items="['it\\'s', \"two\\d\"]", extra="{'a': (1, None, True)}"),
        False,
        "",
        "",
        [("todo_write", {"items": ["it's", "two\\d"], "extra": {"a": [1, None, True]}})],
    ),
    "drift to <function_invocation>": (
        TESTS.replace("</function>", "</function_invocation>").replace("\n</tool_call>", "\n</function_invocation>"),
        False,
        "",
        "",
        [("run_tests", {})],
    ),
    "arguments in JSON, as a text": (
        '<tool_call>\n{"name": "read_file", "arguments": "{\\"file_path\\": \\"a.py\\"}"}\n</tool_call>',
        False,
        "",
        "",
        [("read_file", A)],
    ),
    "arguments beside the name": (
        '<tool_call>\n{"name": "read_file", "file_path": "a.py"}\n</tool_call>',
        False,
        "",
        "",
        [("read_file", A)],
    ),
    "as a server would say it": (
        '<tool_call>{"type": "function", "id": "1", '
        '"function": {"name": "read_file", "arguments": {"file_path": "a.py"}}}',
        False,
        "",
        "",
        [("read_file", A)],
    ),
    "booleans of Python": (
        block("edit", old_string="x", new_string="y", replace_all="True", **A),
        False,
        "",
        "",
        [("edit", {**A, "old_string": "x", "new_string": "y", "replace_all": True})],
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_known_shapes(name: str) -> None:
    text, thinking, reasoning, content, calls = SHAPES[name]
    for cuts in ([], range(len(text))):
        message, _ = read(text, thinking, cuts)
        assert (message.reasoning, message.content) == (reasoning, content)
        found = [(call.name, call.arguments, call.problem) for call in message.tool_calls]
        assert [(one, dict(two), three) for one, two, three in found] == [(*call, "") for call in calls]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (block("edit", **A), "edit needs old_string and new_string. Write the whole call again"),
        (block("todo_write", items="[" * 5000), "items must be a JSON array"),
        (block("todo_write", items="[" * 300 + "]" * 300), "items must be a JSON array"),
        (block("todo_write", items="[b'x']"), "items must be a JSON array"),
        (block("todo_write", items="[{1, 2}]"), "items must be a JSON array"),
        (block("todo_write", items="[1e999]"), "items must be a JSON array"),
        (block("todo_write", items="[]", extra="{(1, 2): 3}"), "extra must be a JSON object"),
        (
            '<tool_call>\n{"name": "todo_write", "arguments": {"items": ' + "[" * 700 + "]" * 700 + "}}</tool_call>",
            "not be read",
        ),
        ('<tool_call>\n{"name": "todo_write", "arguments": {"items": [1e999]}}\n</tool_call>', "not be read"),
        (
            '<tool_call>\n{"name": "edit", "arguments": {"new_string": "a", "new_string": "b"}}</tool_call>',
            "not be read",
        ),
        ('<tool_call>\n{"name": "read_file", "why": "b", "arguments": {"file_path": "a"}}', "no parameter 'why'"),
    ],
)
def test_what_cannot_be_carried_out_says_why(text: str, says: str) -> None:
    (call,) = read(text, False)[0].tool_calls
    assert says in call.problem
    json.dumps(dict(call.arguments), allow_nan=False).encode()


def test_a_call_that_cannot_be_read_is_kept_whole() -> None:
    written = "{'name': " + "x" * 1000
    (call,) = read(f"<tool_call>\n{written}\n</tool_call>", False)[0].tool_calls
    assert call.arguments == {"text": written}
    assert len(call.problem) < 700


def test_a_value_that_was_given_twice_is_kept_twice() -> None:
    text = block("read_file", **A).replace("</function>", "<parameter=file_path>\nb.py\n</parameter>\n</function>")
    (call,) = read(text, False)[0].tool_calls
    assert "given twice" in call.problem
    again = Message("assistant", "", "", (call,))
    assert text in "".join(piece.text for piece in render(None, again))


def test_halves_of_surrogate_pairs_are_replaced_inside_json_too() -> None:
    (call,) = read(block("todo_write", items='["\\ud83d", "\\ud83d\\ude00"]'), False)[0].tool_calls
    assert call.arguments == {"items": ["\ufffd", "😀"]}


def test_choices_that_are_no_texts_are_read_as_what_they_are() -> None:
    tools = {"t": ToolSpec("t", "", {"properties": {"x": {"enum": [1, "1x", None, True, "true story", 2.5]}}})}
    for choice in (1, "1x", None, True, "true story", 2.5):
        call = build_call("1", "t", {"x": choice if isinstance(choice, str) else json.dumps(choice)}, tools)
        assert (call.arguments["x"], call.problem) == (choice, "")
    assert build_call("1", "t", {"x": "2"}, tools).problem


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a": NaN}', "[1e400]", "1" * 5000, ""])
def test_json_that_cannot_be_kept_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        decode(text)
