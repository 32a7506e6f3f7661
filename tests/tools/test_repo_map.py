"""The tool `repo_map`: what the model reads when it asks for the map, and what it costs to know of it."""

import math
from collections.abc import Callable

import pytest

from qwencode.messages import ToolCall
from qwencode.model.dialect.qwen import render_prefix
from qwencode.tools.calls import carry_out
from qwencode.tools.protocol import ToolResult
from qwencode.tools.repo_map import repo_map_tool
from qwencode.tools.toolbox import declarations

CHARS_PER_TOKEN = 3.2
DECLARATION_TOKENS = 69
"""By the careful estimate of 3.2 characters a token; a vocabulary of the model's kind makes fewer than 60 of it."""


def ask(look: Callable[[str], str], **arguments: str) -> ToolResult:
    return carry_out({"repo_map": repo_map_tool(look)}, ToolCall("1", "repo_map", arguments))


def test_the_map_comes_with_a_line_that_explains_it():
    asked: list[str] = []

    def look(focus: str) -> str:
        asked.append(focus)
        return "a.py:\n1|def f() …"

    result = ask(look, focus="round half up")
    assert result.ok and asked == ["round half up"]
    assert result.text == "LINE|DEFINITION by file; … stands for others.\na.py:\n1|def f() …"
    assert result.summary == "map around 'round half up'"


def test_without_a_focus_it_is_the_map_of_all():
    result = ask(lambda focus: f"a.py: {focus!r}")
    assert result.text.endswith("a.py: ''") and result.summary == "map"


@pytest.mark.parametrize(
    ("focus", "said"),
    [
        ("Frobnicator", "Nothing is named like 'Frobnicator'. Call repo_map without focus, or use grep_search."),
        ("a\nb\x1b[31m", "Nothing is named like 'a b\\x1b[31m'."),
        ("x" * 5_000, "… [+4,940 characters]'. Call"),
        ("", "There are no files here that could be mapped."),
        (" \n", "There are no files here that could be mapped."),
    ],
)
def test_nothing_to_show_says_what_to_do_instead(focus: str, said: str):
    result = ask(lambda focus: "", focus=focus)
    assert not result.ok and said in result.text and "\n" not in result.summary


def test_the_declaration_is_short():
    every = declarations()
    others = [spec for spec in every if spec.name != "repo_map"]
    longer, shorter = ("".join(piece.text for piece in render_prefix("", specs)) for specs in (every, others))
    assert math.ceil((len(longer) - len(shorter)) / CHARS_PER_TOKEN) <= DECLARATION_TOKENS
