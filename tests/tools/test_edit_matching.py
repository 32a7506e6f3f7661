"""The edit engine as a table: text, old, new, and what stands there afterwards or how many places there were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode.tools.edit import edited
from qwencode.tools.matching import apart, places

FUNCTION = "def f(x):\n    if x:\n        return 1\n    return 2\n"
METHOD = "class A:\n    def f(self):\n        if self.x:\n            return 1\n\n        return 2\n"
TABS = "def f(x):\n\tif x:\n\t\treturn 1\n\treturn 2\n"

EDITED = [
    # exact
    ("one word", "a b c", "b", "B", "a B c"),
    ("first", "abc", "a", "A", "Abc"),
    ("last", "abc", "c", "C", "abC"),
    ("whole text", "abc", "abc", "x", "x"),
    ("deletion", "abc", "b", "", "ac"),
    ("deletion of all", "abc", "abc", "", ""),
    ("lines", FUNCTION, "    if x:\n        return 1", "    if not x:\n        return 1",
     FUNCTION.replace("if x", "if not x")),
    ("line grows to two", "a\nb\nc\n", "b", "b1\nb2", "a\nb1\nb2\nc\n"),
    ("two lines to one", "a\nb\nc\nd\n", "b\nc", "x", "a\nx\nd\n"),
    ("insertion before", "a\nb\n", "b\n", "x\nb\n", "a\nx\nb\n"),
    ("insertion after", "a\nb\n", "a\n", "a\nx\n", "a\nx\nb\n"),
    ("a line with its break", "a\nb\nc\n", "b\n", "", "a\nc\n"),
    ("starts in the middle of a line", "x = f(1,\n      2)\n", "f(1,\n      2)", "g()", "x = g()\n"),
    ("blank line", "a\n\nb\n", "a\n\nb", "a\nb", "a\nb\n"),
    ("only white space", "a  b", "  ", " ", "a b"),
    ("only line breaks", "a\n\n\nb", "\n\n\n", "\n\n", "a\n\nb"),
    ("regular expression characters", "x = a[0] + (b*c)?\n", "a[0] + (b*c)?", "1", "x = 1\n"),
    ("backslashes in new", r"p = 'x'", "'x'", r"'\1\g<0>\n'", r"p = '\1\g<0>\n'"),
    ("unicode", "naïve = '☃'\n", "'☃'", "'☀'", "naïve = '☀'\n"),
    ("combining characters stay", "e\u0301 x", "x", "y", "e\u0301 y"),
    ("other line separators are text", "a\x0cb\u2028c\n", "b\u2028c", "d", "a\x0cd\n"),
    ("no final newline stays so", "a\nb", "b", "c", "a\nc"),
    ("final newline stays", "a\nb\n", "b", "c", "a\nc\n"),
    ("tabs", TABS, "\tif x:\n\t\treturn 1", "\tif not x:\n\t\treturn 1", TABS.replace("if x", "if not x")),
    # line endings
    ("CRLF, one line", "a\r\nb\r\nc\r\n", "b", "B", "a\r\nB\r\nc\r\n"),
    ("CRLF, new lines", "a\r\nb\r\nc\r\n", "b", "b\nB", "a\r\nb\r\nB\r\nc\r\n"),
    ("CRLF, old over two lines", "a\r\nb\r\nc\r\n", "a\nb", "x\ny", "x\r\ny\r\nc\r\n"),
    ("CRLF, old ends with a break", "a\r\nb\r\nc\r\n", "b\n", "x\n", "a\r\nx\r\nc\r\n"),
    ("CRLF given as CRLF", "a\r\nb\r\n", "a\r\nb\r\n", "x\r\ny\r\n", "x\r\ny\r\n"),
    ("CRLF given, file has LF", "a\nb\n", "a\r\nb\r\n", "x\r\ny\r\n", "x\ny\n"),
    ("CRLF in new only", "a\nb\n", "b", "b\r\nc", "a\nb\nc\n"),
    ("CRLF deletion", "a\r\nb\r\nc\r\n", "a\nb\n", "", "c\r\n"),
    ("CRLF insertion after the last line", "a\r\nb", "b", "b\nc", "a\r\nb\r\nc"),
    ("mixed endings: the place decides", "a\nb\nc\r\nd\r\ne\n", "c\nd", "c\nx\nd", "a\nb\nc\r\nx\r\nd\r\ne\n"),
    ("mixed endings: context lines keep theirs", "a\r\nb\nc\r\n", "a\nb\nc", "a\nB\nc", "a\r\nB\r\nc\r\n"),
    ("lone CR is text", "a\rb\n", "b", "c", "a\rc\n"),
    ("lone CR is text to the end", "a\rb\rc", "b\r", "x\r", "a\rx\rc"),
    ("CRLF, old begins with a break", "a\r\nb\r\n", "\nb", "\nx\nb", "a\r\nx\r\nb\r\n"),
    ("CRLF, a break at the beginning goes", "a\r\nb\r\n", "\nb", "b", "ab\r\n"),
    ("CRLF, the break alone goes", "a\r\nb", "\n", "", "ab"),
    ("CRLF, two breaks to one", "a\r\n\r\nb\r\n", "\n\n", "\n", "a\r\nb\r\n"),
    ("CRLF, old ends in half a break", "a\r\nb\r\n", "b\r", "x", "a\r\nx\r\n"),
    ("CRLF, both end in half a break", "a\r\nb\r\n", "a\r\nb\r", "x\r\ny\r", "x\r\ny\r\n"),
    ("CRLF, new ends in half a break", "a\r\nb\r\n", "b", "x\r", "a\r\nx\r\n"),
    ("CRLF, new ends in half a break at the end", "a\r\nb", "b", "x\r", "a\r\nx"),
    ("LF, new ends in half a break", "a\nb\n", "a", "x\r", "x\nb\n"),
    # white space at line ends
    ("the file has trailing blanks", "a  \nb\nc\n", "a\nb", "x\ny", "x\ny\nc\n"),
    ("old has trailing blanks", "a\nb\nc\n", "a  \nb", "x\ny", "x\ny\nc\n"),
    ("old ends in blanks", "a\nb\nc\n", "a\nb \t", "x\ny", "x\ny\nc\n"),
    ("trailing tab", "a\t\nb\n", "a\nb\n", "x\nb\n", "x\nb\n"),
    ("blank line with blanks", "a\n    \nb\n", "a\n\nb", "a\nx\nb", "a\nx\nb\n"),
    ("context keeps its trailing blanks", "a  \nb\nc  \n", "a\nb\nc\n", "a\nB\nc\n", "a  \nB\nc  \n"),
    ("old has a final break, the file does not", "a\nb", "b\n", "c\n", "a\nc"),
    ("the last line goes", "a\nb", "b\n", "", "a\n"),
    ("old has a final break, new does not", "a\nb", "a\nb\n", "c", "c"),
    ("trailing blanks are removed", "a  \nb\n", "a  \nb", "a\nb", "a\nb\n"),
    # one indentation
    ("too little", METHOD, "def f(self):\n    if self.x:\n        return 1",
     "def f(self):\n    if not self.x:\n        return 1",
     METHOD.replace("if self", "if not self")),
    ("too much", FUNCTION, "        if x:\n            return 1", "        if x > 0:\n            return 1",
     FUNCTION.replace("if x", "if x > 0")),
    ("blank lines stay blank", METHOD, "if self.x:\n    return 1\n\nreturn 2", "if self.y:\n    return 1\n\nreturn 3",
     METHOD.replace("self.x", "self.y").replace("return 2", "return 3")),
    ("tabs shifted by a tab", TABS, "if x:\n\treturn 1", "if x:\n\treturn 3", TABS.replace("return 1", "return 3")),
    ("shift with CRLF", FUNCTION.replace("\n", "\r\n"), "if x:\n    return 1\n", "if x:\n    y()\n    return 1\n",
     FUNCTION.replace("    if x:\n", "    if x:\n        y()\n").replace("\n", "\r\n")),
    ("shift at the end without newline", "if a:\n    b\n    c", "b\nc\n", "d\ne\n", "if a:\n    d\n    e"),
    ("shift with a line more", FUNCTION, "if x:\n    return 1\n", "if x:\n    y()\n    return 1\n",
     FUNCTION.replace("    if x:\n", "    if x:\n        y()\n")),
]  # fmt: skip

FOUND = [
    ("nowhere", "abc", "x", 0),
    ("empty text", "", "x", 0),
    ("old longer than the text", "a", "a\nb\nc", 0),
    ("twice", "a b a", "a", 2),
    ("overlapping", "aaa", "aa", 2),
    ("twice over lines", "a\nb\na\nb\n", "a\nb", 2),
    ("twice by trailing blanks", "a \nb\na  \nb\n", "a\nb", 2),
    ("twice by indentation", "if x:\n    a\n    b\nif y:\n        a\n        b\n", "a\nb", 2),
    ("exact wins over loose", "a\nb\na \nb\n", "a\nb", 1),
    ("case is not ignored", "Return 1", "return 1", 0),
    ("blanks inside a line count", "a = 1", "a  =  1", 0),
    ("blank lines count", "a\n\n\nb", "a\n\nb", 0),
    ("indentation must shift as one", "  a\n    b\n", "a\nb", 0),
    ("indentation must not shrink and grow", "    a\nb\n", "a\n    b", 0),
    ("tabs are not blanks", TABS, "    if x:\n        return 1", 0),
    ("look-alike quotes differ", "s = ‘x’", "s = 'x'", 0),
    ("no-break space differs", "a\u00a0b", "a b", 0),
    ("composed and decomposed differ", "caf\u00e9", "cafe\u0301", 0),
    ("ellipsis is not a wildcard", "a\nb\nc\n", "a\n...\nc", 0),
    ("white space alone is exact", "a\n  \nb", "\n\n\n", 0),
    ("a part of a line is not shifted", "    ab\n    cd\n", "a\ncd", 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "old", "new", "after"), [case[1:] for case in EDITED], ids=[case[0] for case in EDITED]
)
def test_accepted_edits(text: str, old: str, new: str, after: str):
    found = places(text, old, new)
    assert len(found) == 1
    assert edited(text, found, old, new)[0] == after


@pytest.mark.parametrize(("text", "old", "count"), [case[1:] for case in FOUND], ids=[case[0] for case in FOUND])
def test_places(text: str, old: str, count: int):
    assert len(places(text, old, "new")) == count


def test_the_table_is_big_enough():
    assert len(EDITED) + len(FOUND) >= 60


def test_a_shift_to_the_left_needs_a_new_text_that_can_follow():
    text = "if x:\n    a\n    b\n"
    old = "            a\n            b"
    assert len(places(text, old, "            c\n            d")) == 1
    assert places(text, old, "c\nd") == []


def test_replace_all_leaves_out_overlaps():
    found = apart(places("aaaa", "aa", "b"))
    assert edited("aaaa", found, "aa", "b")[0] == "bb"


def test_spans_say_where_the_new_text_is():
    text = "a x a x\r\na"
    found = apart(places(text, "a", "long\n"))
    after, spans = edited(text, found, "a", "long\n")
    assert [after[start:end] for start, end in spans] == ["long\r\n"] * 3


def test_long_runs_of_blanks_take_linear_time():
    text = "x = 1\n" + " " * 300_000 + "y\n"
    assert places(text, "\n\nz", "") == []
    assert places(text, "x = 1\n   \nq", "") == []


LINES = st.lists(st.sampled_from(["a", "b", "  a", "    b", "x = 1", "", "\tt", "c  "]), min_size=1, max_size=8)
BREAKS = st.sampled_from(["\n", "\r\n"])


@given(st.text("ab \n", max_size=30), st.text("ab \n", min_size=1, max_size=6), st.text("cd\n ", max_size=6))
def test_an_exact_edit_changes_the_span_and_nothing_else(text: str, old: str, new: str):
    found = places(text, old, new)
    if old in text:
        assert [place.start for place in found] == [i for i in range(len(text)) if text.startswith(old, i)]
        start = text.index(old)
        assert edited(text, found[:1], old, new)[0] == text[:start] + new + text[start + len(old) :]


@given(before=LINES, body=LINES, after=LINES, new=LINES, ending=BREAKS, indent=st.sampled_from(["", "    ", "\t"]))
def test_an_accepted_edit_keeps_what_is_around_it(
    before: list[str], body: list[str], after: list[str], new: list[str], ending: str, indent: str
):
    marked = ["<begin>", *body, "<end>"]
    shifted = [indent + line if line.strip() else line for line in marked]
    text = ending.join([*before, *shifted, *after]) + ending
    old, fresh = "\n".join(marked), ["<begin>", *new, "<fresh>"]
    (place,) = places(text, old, "\n".join(fresh))
    result, ((start, end),) = edited(text, [place], old, "\n".join(fresh))
    head = ending.join([*before, ""])
    tail = ending + ending.join(after) + ending
    assert result.startswith(head) and result.endswith(tail)
    assert (result[:start] + text[place.start : place.end] + result[end:]) == text
    middle = result[len(head) : len(result) - len(tail)].split(ending)
    assert [line.strip() for line in middle] == [line.strip() for line in fresh]
    assert all(line.startswith(indent) for line in middle if line.strip())


SPANS = st.tuples(st.integers(0, 20), st.integers(1, 20))
PIECES = st.lists(st.sampled_from(["a", "b", " ", "\n", "\r\n", "    a"]), max_size=6).map("".join)
HALF = st.sampled_from(["", "\r"])


@given(lines=LINES, span=SPANS, given_as=st.sampled_from(["\n", "\r\n"]), half=HALF, new=PIECES, new_half=HALF)
def test_a_file_of_one_line_ending_keeps_it(
    lines: list[str], span: tuple[int, int], given_as: str, half: str, new: str, new_half: str
):
    for ending in ("\n", "\r\n"):
        text = ending.join([*lines, ""])
        for source in (text, text.replace(ending, given_as)):
            old = source[span[0] : sum(span)] + half
            found = apart(places(text, old, new)) if old else []
            rest = edited(text, found, old, new + new_half)[0].replace(ending, "")
            assert "\n" not in rest and "\r" not in rest


@given(LINES, LINES, BREAKS)
def test_replacing_a_text_by_itself_changes_nothing(lines: list[str], wanted: list[str], ending: str):
    text, old = ending.join(lines), "\n".join(wanted)
    for place in places(text, old, old) if old else []:
        assert edited(text, [place], old, old)[0] == text
