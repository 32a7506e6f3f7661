"""The live area keeps to its height and width."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from qwencode.ui.chat.live import Doing, Live, doing_line, live_lines, short_plan
from qwencode.ui.chat.paint import Paint

PLAN = tuple(
    (f"step {number}", state) for number, state in enumerate(["done", "done", "in_progress", *["pending"] * 6])
)


def plain(lines: list[str]) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 20), st.integers(4, 100), st.text(max_size=300), st.booleans(), st.booleans(), st.text(max_size=300)
)
def test_the_area_is_never_higher_than_it_may_be(
    height: int, width: int, rest: str, in_code: bool, open_tail: bool, tail: str
):
    live = Live(rest, in_code, Doing("thinking", 0.0, tail=tail), PLAN, open_tail)
    lines = live_lines(live, Paint(lambda: width), width, height, 5.0)
    assert len(lines) <= height
    assert "\n" not in "".join(lines)


def test_a_long_block_shows_its_end():
    live = Live("\n".join(f"- item {number}" for number in range(100)), doing=Doing("writing", 0.0))
    lines = plain(live_lines(live, Paint(lambda: 80), 80, 6, 3.0))
    assert lines[0] == "…"
    assert lines[-2].strip() == "• item 99"
    assert "writing · 3.0 s" in lines[-1]
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("width", "wanted"),
    [
        (100, "reading █████░░░░░ · 4,096 of 8,192, 1,024 from cache · 12 s · about 34 s left"),
        (79, "reading █████░░░░░ · 4,096 of 8,192, 1,024 from cache · about 34 s left"),
        (50, "reading █████░░░░░ · about 34 s left"),
        (30, "reading █████░░░░░"),
    ],
)
def test_what_is_going_on_is_said_as_far_as_it_fits(width: int, wanted: str):
    doing = Doing("reading", 0.0, 4096, 8192, "4,096 of 8,192, 1,024 from cache", 34.0)
    line = doing_line(doing, width, 12.0)
    assert line[2:] == wanted
    assert get_cwidth(line) <= width


def test_the_last_words_of_the_thinking_stand_in_the_line():
    line = doing_line(Doing("thinking", 0.0, note="40 tokens", tail="so it must be\nthe sign"), 80, 2.0)
    assert line[2:] == "thinking · 40 tokens · 2.0 s · so it must be the sign"


def test_a_plan_is_short():
    assert short_plan(PLAN) == ["  ✓ 2 of 9 done", "  ▸ step 2", "  · step 3", "  · step 4", "  … and 4 more"]
    assert short_plan(PLAN[:4]) == ["  ✓ 2 of 4 done", "  ▸ step 2", "  · step 3"]
    assert short_plan(()) == []
