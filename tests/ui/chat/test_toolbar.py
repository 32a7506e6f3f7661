"""The toolbar fits whatever window there is, and what matters most goes last."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from qwencode.jobs.chat.status import Status
from qwencode.ui.chat.toolbar import clipped, parts, toolbar

FULL = Status("qwen3.6-35b-a3b-q4", True, "ask", "auto", 13_000, 65_536, 14.2, "feature/sums", 2)
NAMES = st.text(st.characters(categories=["L", "N", "P", "So"]), max_size=40)


def said(status: Status, width: int, queued: int = 0) -> str:
    return "".join(text for _, text in toolbar(parts(status, queued), width))


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        Status,
        model=NAMES,
        loaded=st.booleans(),
        mode=st.sampled_from(["plan", "ask", "auto"]),
        think=NAMES,
        tokens=st.integers(0, 10**7),
        size=st.integers(0, 10**7),
        speed=st.floats(0, 10**5),
        branch=NAMES,
        unsaved=st.none() | st.integers(0, 10**5),
    ),
    st.integers(0, 200),
    st.integers(0, 1000),
)
def test_the_toolbar_is_never_wider_than_it_may_be(status: Status, width: int, queued: int):
    assert get_cwidth(said(status, width, queued)) <= width


def test_everything_is_said_where_there_is_room():
    text = said(FULL, 200, 1)
    assert text == (
        "qwen3.6-35b-a3b-q4 · ask · think auto · context 13,000 of 65,536 (20%) · 14.2 tokens/s · "
        "feature/sums, 2 unsaved · 1 queued"
    )


def test_at_eighty_columns_nothing_is_missing():
    assert said(FULL, 79) == "qwen3.6-35b-a3b-q4 · ask · think auto · context 20% · 14.2/s · feature/sums +2"


def test_the_mode_and_what_waits_stay_longest():
    assert said(FULL, 15, 3) == "ask · 3 queued"
    assert said(FULL, 3, 3) == "ask"
    assert said(FULL, 2, 3) == ""


@pytest.mark.parametrize(("speed", "said_of_it"), [(9.96, "10.0/s"), (100.4, "100/s"), (4_000.0, "")])
def test_a_speed_is_said_as_exactly_as_it_is_known(speed: float, said_of_it: str):
    text = said(replace(FULL, speed=speed), 79)
    assert bool(re.search(r"\d/s", text)) is bool(said_of_it)
    assert said_of_it in text


def test_a_model_that_is_not_loaded_is_called_so():
    assert "m, not loaded yet" in said(Status("m", False, "plan", "auto", 0, 0, 0.0, "", None), 80)


@given(st.text(max_size=50), st.integers(0, 60))
def test_clipped_text_fits(text: str, width: int):
    assert get_cwidth(clipped(text, width)) <= width
    assert get_cwidth(text) > width or clipped(text, width) == text
