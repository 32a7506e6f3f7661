"""Blocks are cut the same way whatever the pieces, and nothing is lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.ui.chat.blocks import MOST_CHARS, Block, Blocks

LINES = st.sampled_from(
    [
        "",
        "  ",
        "A sentence.",
        "# Heading",
        "- item",
        "  more of it",
        "    indented",
        "2. second",
        "> quoted",
        "```python",
        "```",
        "   ```",
        "- ```sh",
        "  ```",
        "~~~",
        "````",
        "| a | b |",
        "|---|---|",
        "x = `y`",
        "\ttab",
        "漢字 🙂",
    ]
)
TEXTS = st.lists(LINES, max_size=25).map("\n".join)


def cut(text: str, sizes: list[int]) -> tuple[list[Block], str]:
    blocks, found, at = Blocks(), list[Block](), 0
    for size in [*sizes, len(text)]:
        found += blocks.feed(text[at : at + size])
        at += size
    assert "".join(block.text for block in found) + blocks.rest == text
    return found + blocks.finish(), blocks.rest


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.lists(st.integers(1, 30), max_size=40))
def test_the_blocks_joined_are_the_text_however_it_came(text: str, sizes: list[int]):
    found, rest = cut(text, sizes)
    assert rest == ""
    assert "".join(block.text for block in found) == text
    assert found == cut(text, [])[0]


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200), st.lists(st.integers(1, 9), max_size=40))
def test_any_text_comes_out_whole(text: str, sizes: list[int]):
    found, _ = cut(text, sizes)
    assert "".join(block.text for block in found) == text


def kinds(text: str) -> list[tuple[str, str]]:
    return [(block.kind, block.text.strip("\n")) for block in cut(text, [])[0] if block.kind != "gap"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("one\ntwo\n\nthree", [("prose", "one\ntwo"), ("prose", "three")]),
        ("# Title\ntext", [("prose", "# Title"), ("prose", "text")]),
        ("- a\n- b\n\nend", [("prose", "- a\n- b"), ("prose", "end")]),
        ("1. a\n\n   more\n\n2. b", [("prose", "1. a\n\n   more"), ("prose", "2. b")]),
        ("say:\n```py\nx\n\n```\nend",
         [("prose", "say:"), ("open", "```py"), ("code", "x"), ("code", ""), ("close", "```"), ("prose", "end")]),
        ("````\n```\n````", [("open", "````"), ("code", "```"), ("close", "````")]),
        ("- ```sh\n  ls\n  ```\nend", [("open", "- ```sh"), ("code", "  ls"), ("close", "  ```"), ("prose", "end")]),
        ("> ```\n> x\n> ```", [("open", "> ```"), ("code", "> x"), ("close", "> ```")]),
        ("```\nnever closed", [("open", "```"), ("code", "never closed")]),
        ("a `span` ```inline``` b", [("prose", "a `span` ```inline``` b")]),
        ("|a|\n|-|\n|1|\n\nend", [("prose", "|a|\n|-|\n|1|"), ("prose", "end")]),
    ],
)  # fmt: skip
def test_where_blocks_end(text: str, wanted: list[tuple[str, str]]):
    assert kinds(text) == wanted


def test_the_language_of_a_fence_goes_with_its_lines():
    found = cut("``` python title=x\na = 1\n```\n", [])[0]
    assert [(block.kind, block.language) for block in found] == [("open", "python"), ("code", "python"), ("close", "")]


def test_a_block_without_an_end_is_cut():
    text = "words and words\n" * 3_000
    found, _ = cut(text, [100] * 200)
    assert max(len(block.text) for block in found) <= MOST_CHARS + 20
