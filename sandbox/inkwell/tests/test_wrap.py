import pytest

from inkwell import justify, width, wrap

TEXT = "The quick brown fox jumps over the lazy dog and runs away from it"


def test_short_text_is_one_line():
    assert wrap("hello world", 20) == ["hello world"]


def test_blanks_between_words_collapse():
    assert wrap("  hello \n  world ", 20) == ["hello world"]


def test_empty_text_has_no_lines():
    assert wrap("   ", 10) == []


def test_words_go_to_the_next_line():
    assert wrap("one two three", 9) == ["one two", "three"]


def test_a_line_may_be_exactly_full():
    assert wrap("one two six", 7) == ["one two", "six"]


def test_a_long_word_has_a_line_of_its_own():
    assert wrap("an incomprehensible word", 8) == ["an", "incomprehensible", "word"]


@pytest.mark.parametrize("limit", [12, 25, 30])
def test_no_line_is_too_long(limit):
    assert max(width(line) for line in wrap(TEXT, limit)) <= limit


@pytest.mark.parametrize("limit", [5, 9, 16, 40])
def test_no_word_is_lost(limit):
    assert " ".join(wrap(TEXT, limit)).split() == TEXT.split()


def test_lines_are_filled_greedily():
    assert wrap("aaa bb cc ddddd", 6) == ["aaa bb", "cc", "ddddd"]


def test_paragraphs_stay_apart():
    assert wrap("one two\n\nthree", 20) == ["one two", "", "three"]


def test_indent_counts():
    assert wrap("one two three", 9, indent="  ") == ["  one two", "  three"]


def test_hanging_indent():
    assert wrap("one two three four", 11, indent="* ", hang="    ") == ["* one two", "    three", "    four"]


def test_wide_characters_count_two():
    assert wrap("日本 語文 字", 9) == ["日本 語文", "字"]


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError):
        wrap("a", 0)


def test_justify_fills_all_but_the_last_line():
    assert justify("one two three four", 9) == ["one   two", "three", "four"]


def test_justify_puts_spare_blanks_to_the_left():
    assert justify("a b c dddddddd", 8) == ["a   b  c", "dddddddd"]


def test_justify_ends_each_paragraph_ragged():
    assert justify("a bb\n\ncc d eeee", 6) == ["a bb", "", "cc   d", "eeee"]
