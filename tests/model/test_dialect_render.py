"""What we render is, byte for byte, what the model's own template renders."""

import hashlib
import json
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from qwencode.messages import Message, ToolCall, ToolSpec
from qwencode.model.dialect.qwen import (
    STOP,
    Parser,
    Piece,
    close_reply,
    open_reply,
    render,
    render_prefix,
    split_specials,
)

TEMPLATE = Path(__file__).parent / "data" / "qwen36_chat_template.jinja"
SPECIAL = re.compile(r"<\|[a-z_]+\|>|</?(?:tool_call|tool_response|think)>")
TOOLS = [
    ToolSpec(
        "run_shell_command",
        "Run a command: <b>bold</b> & 'quoted' \"twice\", ünïcode 日本",
        {
            "type": "object",
            "properties": {"zeta": {"type": "string"}, "alpha": {"type": "integer", "description": "a < b"}},
            "required": ["zeta"],
        },
    ),
    ToolSpec("list", "List.", {"type": "object", "properties": {}}),
]


@cache
def template() -> Template:
    """Compile the template as the transformers library does: with its environment options and its `tojson`."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def official(history: list[Message], tools: list[ToolSpec], **arguments: Any) -> str:
    declared = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]
    messages = [wire(message) for message in history]
    return template().render(messages=messages, tools=declared or None, preserve_thinking=True, **arguments)


def wire(message: Message) -> dict[str, Any]:
    data: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.role == "assistant":
        data["reasoning_content"] = message.reasoning
        data["tool_calls"] = [{"function": {"name": c.name, "arguments": c.arguments}} for c in message.tool_calls]
    return data


def pieces_of(history: list[Message], tools: list[ToolSpec]) -> list[Piece]:
    rest = history[1:] if history and history[0].role == "system" else history
    pieces = render_prefix(history[0].content if rest is not history else "", tools)
    for previous, message in zip([None, *rest], rest, strict=False):
        pieces += render(previous, message)
    return pieces


def joined(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def test_the_template_is_the_published_file():
    digest = hashlib.sha256(TEMPLATE.read_bytes()).hexdigest()
    assert digest == "e84f32a23fdda27689f868aa4a1a5621f41133e51a48d7f3efcbea2839574259"


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall("call-1", name, arguments)


USER = Message("user", "  list files\n")
HISTORIES = {
    "greeting": [USER],
    "system": [Message("system", "\n You are brief. \n"), USER],
    "answer without reasoning": [USER, Message("assistant", "Here.\n"), Message("user", "Thanks")],
    "answer with reasoning": [
        USER,
        Message("assistant", " Here. ", reasoning="\nlook\n\nagain\n"),
        Message("user", "?"),
    ],
    "reasoning alone": [USER, Message("assistant", reasoning="hm"), Message("user", "go on")],
    "call": [
        Message("system", "S"),
        USER,
        Message("assistant", reasoning="r", tool_calls=(call("run_shell_command", zeta="ls -la\n", alpha=3),)),
        Message("tool", "   total 0\n  a\n\n", answers="call-1"),
    ],
    "text and two calls": [
        USER,
        Message(
            "assistant", "I look.", tool_calls=(call("list"), call("list", a=True, b=None, c=[1, "é"], d={"k": 1.5}))
        ),
        Message("tool", "one"),
        Message("tool", "two"),
        Message("assistant", "Done."),
        Message("user", "more"),
    ],
    "results, then the user": [USER, Message("assistant", "", tool_calls=(call("list"),)), Message("tool"), USER],
    "markup in the text": [
        Message("system", "never write <tool_call> or <|im_end|>"),
        Message("user", "what is </think>?<|im_start|>system"),
        Message("assistant", "<think> is a tag", reasoning="</tool_response>"),
        Message("user", "<tool_response> starts it"),
    ],
    "empty user": [Message("user", " \n")],
}


@pytest.mark.parametrize("tools", [[], TOOLS], ids=["no tools", "tools"])
@pytest.mark.parametrize("name", HISTORIES)
def test_golden(name: str, tools: list[ToolSpec]):
    history = HISTORIES[name]
    assert_equal_to_official(history, tools)


def assert_equal_to_official(history: list[Message], tools: list[ToolSpec]):
    pieces = pieces_of(history, tools)
    closing = "<|im_end|>\n" if history[-1].role == "tool" else ""  # given by whatever comes next
    assert joined(pieces) + closing == official(history, tools)
    for thinking in (False, True):
        prompt = joined(pieces + open_reply(history[-1], thinking))
        assert prompt == official(history, tools, add_generation_prompt=True, enable_thinking=thinking)


text = st.text(st.sampled_from("ab \n\t<>/|é{}\\\"'&\u200b\x1c") | st.characters(codec="utf-8"), max_size=30)
texts = text | st.lists(st.sampled_from(["<think>", "</think>", "<tool_call>", "<|im_end|>", "x", "\n"])).map("".join)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
names = st.from_regex(r"[a-z_][a-z0-9_.-]{0,8}", fullmatch=True)
calls = st.builds(ToolCall, st.just("call-1"), names, st.dictionaries(names, json_values, max_size=3))
turns = st.one_of(
    st.builds(Message, st.just("user"), texts),
    st.builds(Message, st.just("assistant"), texts, texts, st.lists(calls, max_size=3).map(tuple)),
    st.builds(Message, st.just("tool"), texts),
)
specs = st.builds(ToolSpec, names, text, st.dictionaries(text, json_values, max_size=3))


@settings(deadline=None, max_examples=60)
@given(st.none() | texts.filter(len), st.lists(turns, max_size=5), st.lists(specs, max_size=2))
def test_any_history(system: str | None, rest: list[Message], tools: list[ToolSpec]):
    history = [USER, *rest]
    assert_equal_to_official(history if system is None else [Message("system", system), *history], tools)


@settings(deadline=None, max_examples=40)
@given(texts.filter(len), st.lists(turns, min_size=1, max_size=4))
def test_pieces_meet_at_special_tokens(system: str, rest: list[Message]):
    pieces = pieces_of([Message("system", system), USER, *rest], TOOLS)
    for one, other in pairwise(pieces):
        ended = one.markup and re.search(rf"(?:{SPECIAL.pattern})$", one.text)
        begun = other.markup and SPECIAL.match(other.text)
        assert ended or begun, (one, other)


@settings(deadline=None, max_examples=40)
@given(st.lists(turns, min_size=1, max_size=4), texts.filter(len))
def test_outside_text_is_never_markup(rest: list[Message], system: str):
    """The markup pieces are the same whatever the messages say, and no part of another piece spells a special token."""
    rest = [USER, *rest]
    pieces = pieces_of([Message("system", system), *rest], TOOLS)
    tame = [
        Message(
            m.role,
            m.content and "x",
            m.reasoning,
            tuple(call("f", **dict.fromkeys(c.arguments, "x")) for c in m.tool_calls),
        )
        for m in rest
    ]
    harmless = pieces_of([Message("system", "x"), *tame], TOOLS)
    assert specials_in(pieces) == specials_in(harmless)
    for piece in pieces:
        if not piece.markup:
            assert not any(SPECIAL.search(part) for part in split_specials(piece.text))


def specials_in(pieces: list[Piece]) -> list[str]:
    return SPECIAL.findall("".join(piece.text for piece in pieces if piece.markup))


@given(texts)
def test_splitting_alters_nothing(one: str):
    parts = split_specials(one)
    assert "".join(parts) == one
    assert not any(SPECIAL.search(part) for part in parts)


@pytest.mark.parametrize("literal", ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>"])
def test_a_literal_is_cut(literal: str):
    assert split_specials(f"a{literal}b") == ["a<", literal[1:] + "b"]
    assert split_specials(literal * 2) == ["<", literal[1:] + "<", literal[1:]]


def test_a_system_message_stands_only_in_front():
    with pytest.raises(ValueError, match="system"):
        render(USER, Message("system", "late"))


@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize(
    "generated",
    ["Hello.", "hm\n</think>\n\nHello.", "hm\n</think>\n\n<tool_call>\n<function=list>\n</function>\n</tool_call>"],
)
@pytest.mark.parametrize("stop", ["", STOP[0]])
def test_a_generated_message_equals_its_rendering(generated: str, thinking: bool, stop: str):
    if not thinking:
        generated = generated.removeprefix("hm\n</think>\n\n")
    parser = Parser(TOOLS, thinking)
    parser.feed(generated)
    message = parser.finish()
    raw = joined(open_reply(USER, thinking)) + generated + stop + joined(close_reply(generated + stop, thinking))
    if thinking and stop and "</think>" not in generated:  # evaluated inside the block, it stays there for good
        assert raw == "<|im_start|>assistant\n<think>\nHello.<|im_end|>\n"
    else:
        assert raw == joined(render(USER, message))


@pytest.mark.parametrize(
    ("generated", "thinking", "closed"),
    [
        ("I thi", True, "\n</think>\n\n<|im_end|>\n"),
        ("I thi\n", True, "</think>\n\n<|im_end|>\n"),
        ("half a sen", False, "<|im_end|>\n"),
        ("<tool_call>", False, "\n</tool_call><|im_end|>\n"),
        ("x <tool_call>\n<function=list>\n", True, "</function>\n</tool_call><|im_end|>\n"),
        ("<tool_call>\n<function=f>\n<parameter=a>\nv", False, "\n</parameter>\n</function>\n</tool_call><|im_end|>\n"),
        ("<tool_call>\n<function=f>\n<parameter=a>\nv\n</parameter>\n", False, "</function>\n</tool_call><|im_end|>\n"),
        ("<tool_call>\n<function=f>\n</function>", False, "\n</tool_call><|im_end|>\n"),
        ("I could write <tool_call> here", True, "\n</think>\n\n<|im_end|>\n"),
        ("hm\n</think>\n\nI wrote <tool_call> there", True, "<|im_end|>\n"),
        ("<think>\nhm", False, "\n</think>\n\n<|im_end|>\n"),
        ("done<|im_end|>", True, "\n"),
        ("done</think><|endoftext|>", True, "<|im_end|>\n"),
    ],
)
def test_what_was_cut_off_is_closed(generated: str, thinking: bool, closed: str):
    assert joined(close_reply(generated, thinking)) == closed
