import pytest

from inkwell import clip, pad, width


@pytest.mark.parametrize(("text", "cells"), [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1)])
def test_width(text, cells):
    assert width(text) == cells


def test_pad_each_way():
    assert [pad("ab", 5, align) for align in "lrc"] == ["ab   ", "   ab", " ab  "]


def test_pad_never_cuts():
    assert pad("abcdef", 3) == "abcdef"


def test_pad_counts_cells():
    assert pad("日本", 6, "r") == "  日本"


def test_pad_refuses_an_unknown_alignment():
    with pytest.raises(ValueError):
        pad("a", 3, "x")


def test_clip():
    assert clip("abcdef", 6) == "abcdef"
    assert clip("abcdef", 4) == "abc…"
    assert clip("abcdef", 0) == ""


def test_clip_does_not_halve_a_wide_character():
    assert clip("日本語", 4) == "日…"
