"""The way back from text to a message: what well-formed replies mean, and what is forgiven."""

import itertools
import re
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from qwencode.events import CallDelta, Event, TextDelta, ThinkingDelta
from qwencode.messages import Message, ToolCall, ToolSpec
from qwencode.model.dialect.qwen import Parser, open_reply, render
from replies import merged


def spec(name: str, required: list[str], **types: dict[str, Any] | str) -> ToolSpec:
    properties = {key: {"type": kind} if isinstance(kind, str) else kind for key, kind in types.items()}
    return ToolSpec(name, name, {"type": "object", "properties": properties, "required": required})


EDIT = spec(
    "edit", ["path", "old", "new"], path="string", old="string", new="string", replace_all="boolean", times="integer"
)
PLAN = spec("plan", ["items"], items={"type": "array", "items": {"type": "string"}}, share="number", extra="object")
TOOLS = [EDIT, PLAN, spec("status", [])]


def read(text: str, thinking: bool = False, step: int = 10**6, truncated: bool = False) -> tuple[Message, list[Event]]:
    parser, events = Parser(TOOLS, thinking), list[Event]()
    for start in range(0, len(text), step):
        events += parser.feed(text[start : start + step])
    events += parser.drain()
    return parser.finish(truncated), events


def body(name: str, **values: str) -> str:
    parameters = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    return f"<function={name}>\n{parameters}</function>"


def block(name: str, **values: str) -> str:
    return f"<tool_call>\n{body(name, **values)}\n</tool_call>"


STATUS = block("status")
XML = "a\n</parameter>\n<b>\n</function>\n</think>\n<parameter=x>\n1\n</parameter>\nend"
GOOD = {"path": "a.py", "old": "x", "new": "y"}

# text, thinking -> reasoning, content, calls as (name, arguments)
CASES: dict[str, tuple[str, bool, str, str, list[tuple[str, dict[str, Any]]]]] = {
    "text": ("\nHello\n there\n", False, "", "Hello\n there", []),
    "nothing": ("", True, "", "", []),
    "thinking, text": ("hm\n</think>\n\nHello", True, "hm", "Hello", []),
    "thinking closed inline": ("hm</think>Hello", True, "hm", "Hello", []),
    "thinking closed without a line before": ("hm</think>\nHello", True, "hm", "Hello", []),
    "thinking alone": ("hm, so\n", True, "hm, so", "", []),
    "its own opening tag": ("<think>\nhm\n</think>\n\nHi", True, "hm", "Hi", []),
    "opening tag without thinking": ("<think>\nhm\n</think>\n\nHi", False, "hm", "Hi", []),
    "empty block without thinking": ("<think>\n\n</think>\n\nHi", False, "", "Hi", []),
    "reasoning without an opening tag": ("hm\n</think>\n\nHi", False, "hm", "Hi", []),
    "stray closing tag first": ("</think>\n\nHi", False, "", "Hi", []),
    "stray closing tag later": ("hm</think>\nHi\n</think>\nyou", True, "hm", "Hi\n\nyou", []),
    "a tag in a sentence": ("Write `</think>` or <think> there", False, "", "Write `</think>` or <think> there", []),
    "call": ("I see.\n</think>\n\nNow.\n\n" + STATUS, True, "I see.", "Now.", [("status", {})]),
    "call inside thinking": ("I look.\n" + STATUS, True, "I look.", "", [("status", {})]),
    "call inside thinking, then its closer": (
        "I look.\n" + STATUS + "\n</think>\n\nok",
        True,
        "I look.",
        "ok",
        [("status", {})],
    ),
    "two calls": (block("edit", **GOOD) + "\n" + STATUS, False, "", "", [("edit", GOOD), ("status", {})]),
    "two functions in one block": (
        f"<tool_call>\n{body('status')}\n{body('edit', **GOOD)}\n</tool_call>",
        False,
        "",
        "",
        [("status", {}), ("edit", GOOD)],
    ),
    "text after the call": (STATUS + "\nThat is it.", False, "", "That is it.", [("status", {})]),
    "text around calls": (f"a\n{STATUS}\n\n\nb {STATUS} c", False, "", "a\n\nb\n\nc", [("status", {})] * 2),
    "no opener": ("Now:\n" + body("status") + "\n</tool_call>", False, "", "Now:", [("status", {})]),
    "no opener, unknown tool": ("<function=foo>\n</function>", False, "", "<function=foo>\n</function>", []),
    "no opener, in a sentence": ("write <function=status> so", False, "", "write <function=status> so", []),
    "no closers": ("<tool_call>\n<function=edit>\n" + body("edit", **GOOD)[16:-11], False, "", "", [("edit", GOOD)]),
    "no </function>": (STATUS.replace("</function>\n", ""), False, "", "", [("status", {})]),
    "no </tool_call> before the next": (
        STATUS.replace("\n</tool_call>", "\n") + block("edit", **GOOD),
        False,
        "",
        "",
        [("status", {}), ("edit", GOOD)],
    ),
    "closers twice": (
        block("edit", **GOOD).replace("</parameter>", "</parameter>\n</parameter>") + "\n</function>\n</tool_call>",
        False,
        "",
        "",
        [("edit", GOOD)],
    ),
    "invented closer": (
        STATUS.replace("</tool_call>", "</function>\n</function_invocation>\n</tool_call>"),
        False,
        "",
        "",
        [("status", {})],
    ),
    "no </parameter>": (block("edit", **GOOD).replace("</parameter>\n", ""), False, "", "", [("edit", GOOD)]),
    "on one line": (
        "<tool_call><function=edit><parameter=path>a.py</parameter><parameter=old>x</parameter>"
        "<parameter=new>y</parameter></function></tool_call>",
        False,
        "",
        "",
        [("edit", GOOD)],
    ),
    "name attributes": (
        block("edit", **GOOD).replace("=edit", ' name="edit"').replace("=old", ' name="old"'),
        False,
        "",
        "",
        [("edit", GOOD)],
    ),
    "quoted names": (block("edit", **GOOD).replace("=edit", '="edit"'), False, "", "", [("edit", GOOD)]),
    "heads without >": (
        block("edit", **GOOD).replace("=edit>", "=edit").replace("=path>", "=path"),
        False,
        "",
        "",
        [("edit", GOOD)],
    ),
    "text between parameters": (
        block("edit", **GOOD).replace("<parameter=old>", "so < that\n<parameter=old>"),
        False,
        "",
        "so < that",
        [("edit", GOOD)],
    ),
    "XML in a value": (block("edit", **{**GOOD, "old": XML}), False, "", "", [("edit", {**GOOD, "old": XML})]),
    "a call in a value": (
        block("edit", **{**GOOD, "old": "<tool_call>\n<function=status>\n</tool_call> x"}),
        False,
        "",
        "",
        [("edit", {**GOOD, "old": "<tool_call>\n<function=status>\n</tool_call> x"})],
    ),
    "a value that ends with its own </parameter>": (
        block("edit", **{**GOOD, "new": "<parameter>\n1\n</parameter>"}),
        False,
        "",
        "",
        [("edit", {**GOOD, "new": "<parameter>\n1\n</parameter>"})],
    ),
    "white space in values": (
        block("edit", path=" a ", old="\n\n  x\n", new=""),
        False,
        "",
        "",
        [("edit", {"path": " a ", "old": "\n\n  x\n", "new": ""})],
    ),
    "JSON": (
        '<tool_call>\n{"name": "plan", "arguments": {"items": ["a\nb"], "share": "0.5"}}\n</tool_call>',
        False,
        "",
        "",
        [("plan", {"items": ["a\nb"], "share": 0.5})],
    ),
    "JSON that spells a closer": (
        '<tool_call>{"name": "plan", "arguments": "{\\"items\\": [\\"</tool_call>\\"]}"}</tool_call>',
        False,
        "",
        "",
        [("plan", {"items": ["</tool_call>"]})],
    ),
    "JSON without a closer": ('x <tool_call>{"name": "status"}', False, "", "x", [("status", {})]),
    "the tag in a sentence": ("use <tool_call> now", False, "", "use <tool_call> now", []),
    "the tag at the end": ("use\n<tool_call>", False, "", "use\n<tool_call>", []),
    "the tag on its own line": ("<tool_call>\nis a tag", False, "", "<tool_call>\nis a tag", []),
    "two tags on their own lines": ("<tool_call>\nand\n" + STATUS, False, "", "<tool_call>\nand", [("status", {})]),
    "the tag while thinking": ("a <tool_call> b\n</think>\nc", True, "a <tool_call> b", "c", []),
    "closers without a call": ("a\n</tool_call>\n</parameter>", False, "", "a\n</tool_call>\n</parameter>", []),
    "half a tag": ("a <tool_ca", False, "", "a <tool_ca", []),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", [1, 3, 10**6])
def test_reads(name: str, step: int):
    text, thinking, reasoning, content, calls = CASES[name]
    message, _ = read(text, thinking, step)
    assert (message.reasoning, message.content) == (reasoning, content)
    assert [(call.name, call.arguments, call.problem) for call in message.tool_calls] == [(*one, "") for one in calls]
    assert [call.id for call in message.tool_calls] == [f"call-{n}" for n in range(1, len(calls) + 1)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (block("edti", **GOOD), "There is no tool 'edti'. The tools are: edit, plan, status. Did you mean edit?"),
        (block("edit", path="a", old="b"), "edit needs new. Write the whole call again with it."),
        (block("edit", path="a"), "edit needs old and new."),
        (block("edit", **GOOD, file="x"), "edit has no parameter 'file'; it has: path, old, new, replace_all, times."),
        (block("edit", **GOOD, times="many"), "times must be a whole number, not 'many'."),
        (block("edit", **GOOD, replace_all="yes please"), "replace_all must be true or false, not 'yes please'."),
        (block("plan", items="[1, "), "items must be a JSON array, not '[1, '."),
        (block("edit", path="a").replace("</function>", body("edit", old="b")[16:]) + "x", "edit needs new."),
        ("<tool_call>\n</tool_call>", "The tool call could not be read: ''. Write it as <tool_call>, <function=NAME>"),
        ("<tool_call>\nls -la\n</tool_call>", "The tool call could not be read: 'ls -la'."),
        ('<tool_call>\n{"name": "status",\n</tool_call>', 'The tool call could not be read: \'{"name": "status",\'.'),
        ('<tool_call>\n{"tool": "status"}\n</tool_call>', "could not be read"),
        ("<tool_call>\n<parameter=path>\na\n</parameter>\n</tool_call>", "could not be read: '<parameter=path> a"),
        ("<tool_call>\n<function=edit>\n<parameter=path>\na.p", "The value of path was not closed"),
        (block("status") + "\nmore\n</parameter>\n</function>\n</tool_call>", "It is not clear where the last value"),
        (block("edit", **GOOD).replace("=new", "=old"), "The parameter old was given twice."),
    ],
)
def test_a_problem_tells_the_model_what_to_do(text: str, says: str):
    for step in (1, 10**6):
        (call,) = read(text, step=step)[0].tool_calls
        assert says in call.problem


@pytest.mark.parametrize("cut", [30, 60, 75, 95, 100])
def test_a_truncated_call_is_never_carried_out(cut: int):
    text = block("edit", **GOOD)[:cut]
    (call,) = read(text, truncated=True)[0].tool_calls
    assert call.problem.startswith("The reply reached its length limit inside this call")


def test_a_call_that_was_complete_before_the_cut_stands():
    message, _ = read(STATUS + "\n<tool_call>\n<function=edit>\n<para", truncated=True)
    assert [bool(call.problem) for call in message.tool_calls] == [False, True]


@pytest.mark.parametrize(
    ("written", "value"),
    [("TRUE", True), ("false\n", False), (" 3 ", None), ("3.0", None)],
)
def test_booleans_and_numbers(written: str, value: bool | None):
    name = "times" if value is None else "replace_all"
    (call,) = read(block("edit", **GOOD, **{name: written}))[0].tool_calls
    assert (call.arguments[name], call.problem) == (3 if value is None else value, "")
    assert type(call.arguments[name]) is (int if value is None else bool)


@pytest.mark.parametrize(
    ("written", "items"),
    [('["a", "b"]', ["a", "b"]), ("['a', 'b']", ["a", "b"]), ("a\n\nb\n", ["a", "b"]), ("[]", [])],
)
def test_arrays(written: str, items: list[str]):
    (call,) = read(block("plan", items=written))[0].tool_calls
    assert (call.arguments["items"], call.problem) == (items, "")


def test_an_optional_number_left_empty_was_not_given():
    (call,) = read(block("edit", **GOOD, times=""))[0].tool_calls
    assert (call.arguments, call.problem) == (GOOD, "")


def test_an_earlier_value_is_complete_before_the_next_one_begins():
    """So that a search text can be checked before its replacement is generated."""
    text, parser, seen = block("edit", path="a.py", old="one\ntwo", new="three"), Parser(TOOLS, False), list[Event]()
    for letter in text[: text.index("<parameter=new>") + len("<parameter=new>")]:
        seen += parser.feed(letter)
    assert merged(seen) == [
        CallDelta("edit"),
        CallDelta("edit", "path", "a.py"),
        CallDelta("edit", "old", "one\ntwo"),
        CallDelta("edit", "new"),
    ]


def test_text_streams_as_it_comes():
    parser = Parser(TOOLS, True)
    assert parser.feed("I th") == [ThinkingDelta("I th")]
    assert parser.thinking
    assert parser.feed("ink </thi") == [ThinkingDelta("ink")]
    assert parser.feed("nk> So") == [TextDelta("So")]
    assert not parser.thinking
    parser.feed("\n<tool_call>\n<function=edit>\n<parameter=old>\n")
    assert parser.calling
    assert merged(parser.feed("a < b\n</p")) == [CallDelta("edit", "old", "a < b")]
    assert merged(parser.feed(">")) == [CallDelta("edit", "old", "\n</p>")]


def test_calls_are_counted_on():
    parser = Parser(TOOLS, False, first_call=7)
    parser.feed(STATUS + STATUS)
    assert [call.id for call in parser.finish().tool_calls] == ["call-7", "call-8"]


# Invariants.

MARKS = ["<tool_call>", "</tool_call>", "<function=edit>", "<function=nope>", "</function>", "<parameter=old>", "<"]
MARKS += ["<parameter=path>", "<parameter=odd>", "</parameter>", "<think>", "</think>", "</function_invocation>", "\n"]
MARKS += ["\n", "\n", " ", "<parameter name=", "<function name=", '"', ">", '{"name": "status"}', '{"name": ', "}", "é"]
MARKS += ["<tool_call>\n<function=edit>\n<parameter=old>\n", "\n</parameter>\n<parameter=path>\n"]
MARKS += ["\n</parameter>\n</function>\n</tool_call>", "\n</function>\n</tool_call>", "\n</parameter>\n</parameter>"]
soup = st.lists(st.sampled_from(MARKS) | st.integers(0, 99).map("w{:02}".format), max_size=30).map("".join)


@settings(deadline=None)
@given(soup, st.booleans(), st.lists(st.integers(1, 12), min_size=1), st.booleans())
@example("<tool_call>\n<function=edit>\n<parameter=old>\n</parameter>\n\n</parameter>\n", False, [1], False)
def test_chunking_never_matters(text: str, thinking: bool, lengths: list[int], truncated: bool):
    whole, at_once = read(text, thinking, truncated=truncated)
    parser, events, position = Parser(TOOLS, thinking), list[Event](), 0
    for length in itertools.cycle(lengths):
        if position >= len(text):
            break
        events += parser.feed(text[position : position + length])
        position += length
    events += parser.drain()
    assert parser.finish(truncated) == whole
    assert merged(events) == merged(at_once)


@settings(deadline=None)
@given(st.text(), st.booleans(), st.booleans())
def test_any_text_without_tags_is_the_text(text: str, thinking: bool, truncated: bool):
    assume("<" not in text)
    message, events = read(text, thinking, truncated=truncated)
    field = "reasoning" if thinking else "content"
    assert message == Message("assistant", **{field: text.strip()})
    assert "".join(event.text for event in events if isinstance(event, ThinkingDelta | TextDelta)) == text.strip()


@settings(deadline=None)
@given(soup, st.booleans())
def test_no_word_is_lost(text: str, thinking: bool):
    message, _ = read(text, thinking)
    kept = f"{message.reasoning} {message.content} {message.tool_calls!r}"
    assume("given twice" not in kept)
    for word in re.findall(r"w\d\d", text):
        assert text.count(word) <= kept.count(word)


@settings(deadline=None)
@given(soup, st.booleans())
def test_no_call_comes_from_nowhere(text: str, thinking: bool):
    message, _ = read(text, thinking)
    openings = text.count("<tool_call>") + text.count("<function")
    assert len(message.tool_calls) <= openings
    if "<function" not in text and "{" not in text:
        assert all(call.problem for call in message.tool_calls)


@settings(deadline=None)
@given(soup, st.booleans())
def test_deltas_are_the_message(text: str, thinking: bool):
    message, events = read(text, thinking)
    spoken = "".join(event.text for event in events if isinstance(event, TextDelta))
    thought = "".join(event.text for event in events if isinstance(event, ThinkingDelta))
    assert (thought, spoken) == (message.reasoning, message.content) or spoken.startswith(message.reasoning)


prose = st.text(st.sampled_from("ab \n/>{}é"), max_size=20).map(str.strip)
value = st.text(st.sampled_from("ab \n/>{}é<"), max_size=20) | st.sampled_from([XML, "</think>", "<tool_call>\nx"])
json_value = st.lists(value, max_size=3)
whole = st.integers(-(2**63) + 1, 2**63 - 1)  # larger numbers are refused
good_calls = st.one_of(
    st.fixed_dictionaries(
        {"path": value, "old": value, "new": value}, optional={"replace_all": st.booleans(), "times": whole}
    ).map(lambda arguments: ToolCall("", "edit", arguments)),
    st.fixed_dictionaries(
        {"items": json_value},
        optional={
            "share": st.floats(-(2.0**62), 2.0**62) | whole,
            "extra": st.dictionaries(value, value | st.none() | whole, max_size=2),
        },
    ).map(lambda arguments: ToolCall("", "plan", arguments)),
    st.just(ToolCall("", "status")),
)


@settings(deadline=None)
@given(prose, prose, st.lists(good_calls, max_size=3), st.booleans(), st.integers(1, 9))
def test_what_was_rendered_is_read_back(reasoning: str, content: str, calls: list[ToolCall], thinking: bool, step: int):
    reasoning = reasoning if thinking else ""
    named = tuple(ToolCall(f"call-{n}", call.name, call.arguments) for n, call in enumerate(calls, 1))
    message = Message("assistant", content, reasoning, named)
    user = Message("user", "go")
    rendered = "".join(piece.text for piece in render(user, message))
    prompt = "".join(piece.text for piece in open_reply(user, thinking))
    assert rendered.startswith(prompt)
    assert read(rendered.removeprefix(prompt).removesuffix("<|im_end|>\n"), thinking, step)[0] == message


def test_what_is_quoted_spells_no_mark():
    quoted = "So </think> and\n<tool_call>\n<function=edit>\n</function>\n</tool_call> it says; a < b"
    parser = Parser(TOOLS, True)
    events = [event for part in ("<", quoted[3:9], quoted) for event in parser.feed(part, quoted=True)]
    assert parser.thinking
    events += [*parser.feed("</think>\n\n"), *parser.feed(quoted, quoted=True), *parser.drain()]
    message = parser.finish()
    assert message.tool_calls == ()
    assert message.reasoning == f"<{quoted[3:9]}{quoted}"
    assert message.content == quoted
    assert merged(events) == [ThinkingDelta(message.reasoning), TextDelta(quoted)]


def test_inside_a_call_nothing_is_quoted():
    parser = Parser(TOOLS, False)
    parser.feed("<tool_call>")
    parser.feed("\n<function=status>\n</function>\n", quoted=True)
    parser.feed("</tool_call>")
    assert [call.name for call in parser.finish().tool_calls] == ["status"]
