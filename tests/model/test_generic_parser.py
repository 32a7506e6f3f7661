"""What models of other families write: marks as text and as tokens, calls in JSON in every usual shape."""

import json
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.events import CallDelta, Event, TextDelta, ThinkingDelta
from qwencode.messages import Message, ToolSpec
from qwencode.model.dialect.generic_parser import MARKS, Parser
from replies import merged

PATH = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
READ, RUN = ToolSpec("read_file", "Read.", PATH), ToolSpec("run_tests", "Run.", {"type": "object", "properties": {}})
TOOLS = (READ, RUN)
CALL = '{"name": "read_file", "arguments": {"path": "a.py"}}'
LLAMA = '{"name": "read_file", "parameters": {"path": "a.py"}}'
TAGGED = f"<tool_call>\n{CALL}\n</tool_call>"


def read(text: str, thinking: bool = False, tools: Sequence[ToolSpec] = TOOLS, truncated: bool = False) -> Message:
    parser = Parser(tools, thinking)
    parser.feed(text, quoted=True)
    return parser.finish(truncated)


def calls(message: Message) -> list[tuple[str, dict[str, object]]]:
    assert not any(call.problem for call in message.tool_calls)
    return [(call.name, dict(call.arguments)) for call in message.tool_calls]


ONE = [("read_file", {"path": "a.py"})]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (TAGGED, ""),
        (f"I look.\n\n{TAGGED}", "I look."),
        (f"I look.\n{TAGGED}\n", "I look."),
        (f"  {TAGGED}", ""),
        (f"<tool_call>{CALL}</tool_call>", ""),
        (f"<tool_call> {CALL} </tool_call>", ""),
        (f"<tool_call>\n{LLAMA}\n</tool_call>", ""),
        (f"<tool_call>\n{CALL}", ""),
        (f"{TAGGED}\nDone.", "Done."),
        ("<tool_call>\n<function=read_file>\n<parameter=path>\na.py\n</parameter>\n</function>\n</tool_call>", ""),
        ("<tool_call><function=read_file>\n<parameter=path>\na.py\n</parameter>\n</function>\n</tool_call>", ""),
        (LLAMA, ""),
        (f"\n {LLAMA}\n", ""),
        (f"<|python_tag|>{LLAMA}", ""),
        (f"```json\n{LLAMA}\n```", ""),
        (f"```\n{CALL}\n```\n", ""),
        (f"[{CALL}]", ""),
        (f"```json\n[{CALL}]\n```", ""),
        ('{"type": "function", "function": {"name": "read_file", "arguments": "{\\"path\\": \\"a.py\\"}"}}', ""),
        ('{"type": "function", "name": "read_file", "parameters": {"path": "a.py"}}', ""),
        ('{"parameters": {"path": "a.py"}, "name": "read_file"}', ""),
        ('{\n  "name": "read_file",\n  "parameters": {\n    "path": "a.py"\n  }\n}', ""),
        ("Here is a fence:\n```\nx\n```\n" + TAGGED, "Here is a fence:\n```\nx\n```"),
    ],
)
def test_one_call(text: str, content: str) -> None:
    message = read(text)
    assert calls(message) == ONE
    assert message.content == content


@pytest.mark.parametrize("text", [f"{TAGGED}\n{TAGGED}", f"{LLAMA}; {LLAMA}", f"{CALL}\n{CALL}", f"[{CALL}, {LLAMA}]"])
def test_several_calls(text: str) -> None:
    message = read(text)
    assert calls(message) == ONE * 2
    assert [call.id for call in message.tool_calls] == ["call-1", "call-2"]
    assert not message.content


@pytest.mark.parametrize(
    "text",
    [
        f"A call is written as {TAGGED} in a line.",
        f"It is `<tool_call>{CALL}</tool_call>`, as you know.",
        f"```\n{TAGGED}\n```",
        f"Like this:\n\n```xml\n{TAGGED}\n```\n\nThat is all.",
        "<tool_call> is the mark that opens a call.",
        "<tool_call>",
        "Write\n<tool_call> first.",
        "</tool_call>",
        "A line\n</tool_call>\nand another",
        "I will think.\n<think>\nNo.",
        "No reasoning.\n</think>\nNone.",
        CALL.replace("read_file", "other_tool"),
        '{"name": "read_file", "path": "a.py"}',
        '{"name": "read_file"}',
        f"{CALL} is how it is called.",
        f"This calls it: {CALL}",
        '{"name": "read_file", "arguments": {"path": "a',
        '{"name": "read_file", "arguments": {"path": "a"}, "name": "run_tests"}',
        "[]",
        "{}",
        "[1, 2]",
        '{"a": 1}',
        f'[{CALL}, "x"]',
        '{"name": "read_file", "arguments": {"path": NaN}}',
        "```python\nprint(1)\n```",
        "```json\n{}\n```",
        "``",
        "<",
        "<tool_cal",
        "<|python_tag|>",
        "[" * 5000,
    ],
)
def test_what_is_no_call_stays_as_it_is(text: str) -> None:
    message = read(text)
    assert not message.tool_calls
    assert not message.reasoning
    assert message.content == text.strip()


def test_without_tools_json_is_text() -> None:
    assert read(LLAMA, tools=()).content == LLAMA


def test_a_broken_call_is_said_with_the_form_that_is_wanted() -> None:
    (call,) = read("<tool_call>\nread_file(a.py)\n</tool_call>").tool_calls
    assert '{"name": NAME, "arguments": {…}}' in call.problem
    assert call.arguments["text"] == "read_file(a.py)"


@pytest.mark.parametrize("size", [3, 12, 40, len(CALL) - 1])
def test_a_call_that_ends_in_the_middle_is_said(size: int) -> None:
    text = f"I look.\n<tool_call>\n{CALL[:size]}"
    message = read(text)
    if size < 12:  # nobody can know
        assert message.content == text
        return
    (call,) = message.tool_calls
    assert message.content == "I look."
    assert call.arguments["text"] == CALL[:size]
    assert "could not be read" in call.problem
    (call,) = read(text, truncated=True).tool_calls
    assert call.problem.startswith("The reply reached its length limit")


def test_values_are_checked() -> None:
    (call,) = read('<tool_call>\n{"name": "read_file", "arguments": {"paths": 1}}\n</tool_call>').tool_calls
    assert "has no parameter 'paths'" in call.problem


def test_a_value_may_hold_every_mark() -> None:
    value = "x</tool_call>\n<tool_call>\n```\n</think><think><function=run_tests>"
    body = json.dumps({"name": "read_file", "arguments": {"path": value}})
    for text in (f"<tool_call>\n{body}\n</tool_call>", body):
        assert calls(read(text)) == [("read_file", {"path": value})]


@pytest.mark.parametrize(
    ("text", "thinking"),
    [(f"<think>\nHm.\n</think>\n\nI look.\n{TAGGED}", False), (f"Hm.\n</think>\n\nI look.\n{TAGGED}", True)],
)
def test_reasoning_is_read_where_it_is_written_as_text(text: str, thinking: bool) -> None:
    message = read(text, thinking)
    assert (message.reasoning, message.content) == ("Hm.", "I look.")
    assert calls(message) == ONE


def test_json_after_reasoning_is_a_call() -> None:
    assert calls(read(f"<think>\n```\nHm.\n</think>\n\n{LLAMA}")) == ONE
    assert calls(read(f"<think>Hm.\n{TAGGED}")) == ONE  # nobody closed it


def test_where_the_marks_are_tokens_the_text_opens_nothing() -> None:
    parser = Parser(TOOLS, thinking=False, special=MARKS)
    parser.feed(f"I quote:\n{TAGGED}\n<think>\n", quoted=True)
    assert not parser.calling
    parser.feed("<tool_call>")
    assert parser.calling
    assert parser.opened
    parser.feed("\n", quoted=True)
    assert parser.opened
    parser.feed(CALL, quoted=True)
    assert not parser.opened
    parser.feed("</tool_call>")
    assert not parser.calling
    message = parser.finish()
    assert calls(message) == ONE
    assert message.content == f"I quote:\n{TAGGED}\n<think>"


def test_when_a_call_was_opened() -> None:
    parser = Parser(TOOLS, thinking=False)
    seen = list[tuple[bool, bool]]()
    for piece in ("Now:\n", "<tool_call", ">", " ", "\n", "{", '"name"'):
        parser.feed(piece, quoted=True)
        seen.append((parser.opened, parser.calling))
    assert seen == [(False, False), (False, False), *[(True, True)] * 3, *[(False, True)] * 2]


fragments = st.sampled_from(
    [
        *MARKS,
        *(CALL, LLAMA, TAGGED, "<|python_tag|>", "```", "```json\n", "\n", "\n\n", " ", "{", "}", "[", "]", ",", ";"),
        *("<tool_", "call>", "</", "<", "`", "``", '{"name": "read_file", ', '"arguments": {"path": "', '"}}', "text"),
        *("<function=read_file>", "<parameter=path>", "</parameter>", "</function>", "word", ".", "\ud800", "é"),
    ]
)


def cut(text: str, chance: random.Random) -> list[str]:
    places = sorted(chance.randrange(len(text) + 1) for _ in range(chance.randrange(len(text) + 1)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


def told(pieces: Sequence[tuple[str, bool]], thinking: bool, special: Sequence[str]) -> tuple[list[Event], Message]:
    parser = Parser(TOOLS, thinking, special=special)
    events = [event for text, quoted in pieces for event in parser.feed(text, quoted)]
    return merged([*events, *parser.drain()]), parser.finish()


def split_is_nothing(parts: list[str], thinking: bool, tokens: bool, chance: int) -> None:
    """Read a text whole, and cut at random places (by the seed `chance`)."""
    special = MARKS if tokens else ()
    stretches, pieces = list[tuple[str, bool]](), list[tuple[str, bool]]()
    for part in parts:
        if tokens and part in MARKS:
            stretches.append((part, False))
        elif stretches and stretches[-1][1]:
            stretches[-1] = (stretches[-1][0] + part, True)
        else:
            stretches.append((part, True))
    for text, quoted in stretches:
        pieces += [(piece, True) for piece in cut(text, random.Random(chance))] if quoted else [(text, False)]
    events, message = told(stretches, thinking, special)
    assert told(pieces, thinking, special) == (events, message)
    said = [event.text for event in events if isinstance(event, TextDelta | ThinkingDelta)]
    assert "".join(said) == message.reasoning + message.content  # text before a closer turns out to be reasoning
    assert len([e for e in events if isinstance(e, CallDelta) and not e.parameter]) == len(message.tool_calls)


@settings(max_examples=200, deadline=None)
@given(st.lists(fragments, max_size=12), st.booleans(), st.booleans(), st.integers(0, 1 << 20))
def test_how_it_is_cut_never_matters(parts: list[str], thinking: bool, tokens: bool, chance: int) -> None:
    split_is_nothing(parts, thinking, tokens, chance)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=10_000, deadline=None)
@given(st.lists(fragments, max_size=20), st.booleans(), st.booleans(), st.integers(0, 1 << 20))
def test_how_it_is_cut_never_matters_at_length(parts: list[str], thinking: bool, tokens: bool, chance: int) -> None:
    split_is_nothing(parts, thinking, tokens, chance)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["alpha", "beta\n", "<tool_call>", "</think>", "```", "\n", "gamma."]), max_size=10))
def test_no_text_is_lost(parts: list[str]) -> None:
    text = "".join(parts)
    message = read(text)
    kept = message.content + message.reasoning + "".join(str(call.arguments) for call in message.tool_calls)
    assert all(kept.count(word) == text.count(word) for word in ("alpha", "beta", "gamma."))
