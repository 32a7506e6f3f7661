"""What the grammar lets through is a valid call, and every valid call gets through."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.messages import Message, ToolCall, ToolSpec
from qwencode.model.dialect import qwen
from qwencode.model.llama.grammar import LONGEST_STRING, call_grammar
from qwencode.model.llama.library import Engine, Grammar
from qwencode.tools.toolbox import declarations

ITEM = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "state": {"enum": ["open", "done"]}, "rank": {"type": "integer"}},
    "required": ["text", "state"],
}
TOOLS = [
    ToolSpec(
        "edit",
        "",
        {
            "type": "object",
            "properties": {
                "file_path": {"type": "string"},
                "new": {"type": "string"},
                "all": {"type": "boolean"},
                "count": {"type": "integer"},
                "mode": {"type": "string", "enum": ["fast", 'a "quoted" one']},
            },
            "required": ["file_path", "new"],
        },
    ),
    ToolSpec("todo_write", "", {"properties": {"items": {"type": "array", "items": ITEM}}, "required": ["items"]}),
    ToolSpec("nothing", "", {"type": "object", "properties": {}}),
    ToolSpec(
        "many",
        "",
        {"properties": {f"p{number}": {"type": "number"} for number in range(9)}, "required": ["p2", "p5"]},
    ),
    ToolSpec("loose", "", {"properties": {"any": {}, "bag": {"type": "object"}, "list": {"type": "array"}}}),
]


@pytest.fixture(scope="module")
def grammar(engine: Engine) -> Grammar:
    return Grammar(engine, call_grammar(TOOLS))


def reads(engine: Engine, grammar: Grammar, text: str) -> str:
    """Return what of the text the grammar accepts; with an `!` where it could end."""
    grammar.reset()
    taken = b""
    for token in engine.tokenize(text, special=True):
        if not grammar.allows(token):
            return taken.decode("utf-8", "replace")
        grammar.accept(token)
        taken += engine.piece(token)
    end = engine.tokenize("<|im_end|>", special=True)[0]
    return taken.decode("utf-8", "replace") + ("!" if grammar.allows(end) else "")


def written(name: str, **arguments: Any) -> str:
    pieces = qwen.render(None, Message("assistant", tool_calls=(ToolCall("1", name, arguments),)))
    text = "".join(piece.text for piece in pieces)
    return text[text.index("<tool_call>") + len("<tool_call>") : text.index("</tool_call>") + len("</tool_call>")]


TAGS = ("</parameter>", "</function>", "</tool_call>", "<tool_call>", "<parameter=", "<function=")
xml = st.sampled_from(
    ["<", "</", "</p", "<b>", "</param", "<tool", "\n", "a", "#include <functional>", "<parameter>", "ü"]
)
values = st.lists(xml | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)).map(
    "".join
)


@settings(max_examples=60, deadline=None)
@given(values.filter(lambda text: not any(tag in text for tag in TAGS)), values, st.booleans(), st.integers(-999, 999))
def test_every_text_without_the_tags_can_be_written(
    engine: Engine, grammar: Grammar, text: str, other: str, all_: bool, count: int
) -> None:
    if any(tag in other for tag in TAGS):
        other = "x"
    call = written("edit", new=text, count=count, file_path=other, all=all_)
    assert reads(engine, grammar, call) == call + "!"


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_inside_a_text_is_refused(engine: Engine, grammar: Grammar, tag: str) -> None:
    call = f"\n<function=edit>\n<parameter=new>\na <b> <<{tag}"
    assert call.startswith(reads(engine, grammar, call))
    assert reads(engine, grammar, call) != call


@pytest.mark.parametrize(
    "call",
    [
        written("nothing"),
        written("todo_write", items=[]),
        written(
            "todo_write", items=[{"text": 'a \\ " \n ü', "state": "open"}, {"text": "", "state": "done", "rank": 3}]
        ),
        written("edit", mode='a "quoted" one', new="", file_path=""),
        written("many", p2=0, p5=-1.5),
        written("many", p2=0, p5=12, p0=3, p8=4),
        written("loose", any="", bag={"a": [1, None, {"b": True}]}, list=[1, "x"]),
    ],
)
def test_valid_calls(engine: Engine, grammar: Grammar, call: str) -> None:
    assert reads(engine, grammar, call) == call + "!"


@pytest.mark.parametrize(
    ("call", "until"),
    [
        (written("remove", path="x"), "\n<function="),
        ("\n<function=edit>\n<parameter=wrong>", "\n<function=edit>\n<parameter="),
        ("\n<function=edit>\n<parameter=new>\na\n</parameter>\n</function>", "\n</parameter>\n<"),
        (written("edit", new="a", file_path="b", all="maybe"), "<parameter=all>\n"),
        (written("edit", new="a", file_path="b", mode="slow"), "<parameter=mode>\n"),
        ("\n<function=edit>\n<parameter=new>\na\n</parameter>\n<parameter=new>\n", "\n<parameter="),
        (written("many", p5=1, p2=1), "<parameter=p"),
        (written("nothing") + "\n", "</tool_call>"),
        (written("todo_write", items=[{"text": "no state"}]), '"no state"'),
        ("\n<function=edit>\n<parameter=count>\n007", "<parameter=count>\n0"),
    ],
)
def test_invalid_calls_stop_where_they_go_wrong(engine: Engine, grammar: Grammar, call: str, until: str) -> None:
    taken = reads(engine, grammar, call).removesuffix("!")
    assert taken != call
    assert call.startswith(taken)
    assert until in taken or taken.endswith(until.rstrip("=\n"))


def test_the_new_text_of_an_edit_may_be_left_out_and_nothing_else(engine: Engine) -> None:
    grammar = Grammar(engine, call_grammar(declarations()))
    for more in ([], ["new_string"], ["replace_all"], ["new_string", "replace_all"]):
        arguments = {"file_path": "a.py", "old_string": "x", **dict.fromkeys(more, "true")}
        call = written("edit", **arguments)
        assert reads(engine, grammar, call) == call + "!"
    for left_out in ("file_path", "old_string"):
        arguments = {"file_path": "a.py", "old_string": "x", "new_string": "y"}
        del arguments[left_out]
        assert not reads(engine, grammar, written("edit", **arguments)).endswith("!")


def test_strings_are_counted(engine: Engine) -> None:
    grammar = Grammar(engine, call_grammar(TOOLS, string_limit=5))
    head = "\n<function=edit>\n<parameter=new>\n"
    assert reads(engine, grammar, head + "12345\n</parameter>\n") == head + "12345\n</parameter>\n"
    assert reads(engine, grammar, head + "123456") == head + "12345"


def test_what_cannot_be_a_grammar(engine: Engine) -> None:
    with pytest.raises(ValueError, match="no tool"):
        call_grammar([])
    with pytest.raises(ValueError, match="limit"):
        call_grammar(TOOLS, LONGEST_STRING + 1)
    with pytest.raises(ValueError, match="cannot read"):
        Grammar(engine, "root ::= unknown")
    Grammar(engine, call_grammar(TOOLS, LONGEST_STRING))


def test_odd_names_are_taken_literally(engine: Engine) -> None:
    tool = ToolSpec('a"b\\c[d]', "", {"properties": {"x y": {"enum": ["\n", 3, json.dumps("q")]}}})
    grammar = Grammar(engine, call_grammar([tool]))
    call = written('a"b\\c[d]', **{"x y": "3"})
    assert reads(engine, grammar, call) == call + "!"
