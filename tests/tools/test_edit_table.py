"""`edit` on real bytes: what a file holds before, what is asked, and what it holds afterwards or what is answered."""

import codecs
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.messages import ToolCall
from qwencode.tools.calls import carry_out, refusal
from qwencode.tools.edit import KEPT, REPEATED, edit_tool
from qwencode.tools.files import Files
from qwencode.tools.matching import places
from qwencode.workspace import Workspace

BOM = codecs.BOM_UTF8
UTF_16, UTF_16_BE = "a\r\nold é\r\n".encode("utf-16"), codecs.BOM_UTF16_BE + "a\nold é\n".encode("utf-16-be")
SHIFT_JIS = "# -*- coding: shift_jis -*-\nname = '日本 old'\n".encode("shift_jis")
CODE = b"def f(x):\n    if x:\n        return 1\n    return 2\n"
BIG = b"".join(b"line %d\n" % number for number in range(200_000))
LONG = b"x = '" + b"ab" * 400_000 + b"'\n"

CHANGED = [
    # unique
    ("a word", b"a b c\n", "b", "B", b"a B c\n"),
    ("the whole file", b"old\n", "old\n", "new\n", b"new\n"),
    ("a line is deleted", b"a\nold\nb\n", "old\n", "", b"a\nb\n"),
    ("everything is deleted", b"old", "old", "", b""),
    ("lines before", b"a\nb\n", "b\n", "x\ny\nb\n", b"a\nx\ny\nb\n"),
    ("lines behind", CODE, "    return 2\n", "    return 2\n\n\nY = 1\n", CODE + b"\n\nY = 1\n"),
    ("regular expressions and groups", b"a.*(b)\\1\n", ".*(b)\\1", "\\g<0>$1", b"a\\g<0>$1\n"),
    ("format characters", b"x = '%s {} %%'\n", "%s {} %%", "{0} %d", b"x = '{0} %d'\n"),
    ("the first of two with its neighbour", b"a\nold\nb\nold\n", "a\nold", "a\nnew", b"a\nnew\nb\nold\n"),
    ("unique only with its indentation", b"if x:\n  y\n    y\n", "    y", "    z", b"if x:\n  y\n    z\n"),
    # line endings
    ("CRLF, one line", b"a\r\nold\r\nb\r\n", "old", "new", b"a\r\nnew\r\nb\r\n"),
    ("CRLF, a line more", b"a\r\nold\r\nb\r\n", "old", "new\nnewer", b"a\r\nnew\r\nnewer\r\nb\r\n"),
    ("CRLF, over two lines", b"a\r\nold\r\nb\r\n", "a\nold\n", "a\nnew\n", b"a\r\nnew\r\nb\r\n"),
    ("CRLF asked, LF there", b"a\nold\nb\n", "a\r\nold\r\n", "a\r\nnew\r\n", b"a\nnew\nb\n"),
    ("CRLF, the last line without an end", b"a\r\nold", "old", "new\nb", b"a\r\nnew\r\nb"),
    ("mixed, in the LF part", b"a\r\nb\nold\nc\n", "b\nold", "b\nnew\nx", b"a\r\nb\nnew\nx\nc\n"),
    ("mixed, in the CRLF part", b"a\nb\nc\r\nold\r\n", "c\nold", "c\nnew\nx", b"a\nb\nc\r\nnew\r\nx\r\n"),
    ("mixed, context keeps its own", b"a\r\nold\nb\r\n", "a\nold\nb", "a\nnew\nb", b"a\r\nnew\r\nb\r\n"),
    ("lone CR is no line end", b"a\rold\rb\n", "old", "new", b"a\rnew\rb\n"),
    ("form feeds and vertical tabs", b"a\x0cold\x0b\n", "old", "new", b"a\x0cnew\x0b\n"),
    ("no final newline", b"a\nold", "old", "new", b"a\nnew"),
    ("a final newline asked for that is not there", b"a\nold", "old\n", "new\n", b"a\nnew"),
    ("several final newlines", b"old\n\n\n", "old", "new", b"new\n\n\n"),
    # encodings
    ("BOM", BOM + b"old\n", "old", "new", BOM + b"new\n"),
    ("BOM and CRLF", BOM + b"a\r\nold\r\n", "a\nold", "a\nnew", BOM + b"a\r\nnew\r\n"),
    ("UTF-16 little endian", UTF_16, "old é", "new ☃", "a\r\nnew ☃\r\n".encode("utf-16")),
    ("UTF-16 big endian", UTF_16_BE, "old é", "new ☃", codecs.BOM_UTF16_BE + "a\nnew ☃\n".encode("utf-16-be")),
    ("Latin-1, declared", b"# coding: latin-1\nx = '\xe9 old'\n", "old", "\xe8", b"# coding: latin-1\nx = '\xe9 \xe8'\n"),
    ("cp1252, declared", b"# coding: cp1252\nx = '\x93old\x94'\n", "“old”", "€", b"# coding: cp1252\nx = '\x80'\n"),
    ("cp1252, not declared", b"x = '\x93old\x94'\n", "old", "new", b"x = '\x93new\x94'\n"),
    ("Shift JIS, declared", SHIFT_JIS, "日本 old", "日本語", SHIFT_JIS.replace("日本 old".encode("shift_jis"), "日本語".encode("shift_jis"))),
    ("Shift JIS, elsewhere", SHIFT_JIS, "name", "title", SHIFT_JIS.replace(b"name", b"title")),
    ("broken UTF-8 stays broken", b"\xc3\x28 old \xff\n", "old", "new", b"\xc3\x28 new \xff\n"),
    ("characters beyond the basic plane", "😀 old 𝒳\n".encode(), "old 𝒳", "new 𝒴", "😀 new 𝒴\n".encode()),
    ("combining characters", "e\u0301 old\n".encode(), "old", "new", "e\u0301 new\n".encode()),
    ("line separators of Unicode", "a\u2028old\u0085\n".encode(), "old", "new", "a\u2028new\u0085\n".encode()),
    # white space
    ("tabs", b"\told\n\t\tb\n", "\told\n\t\tb", "\tnew\n\t\tb", b"\tnew\n\t\tb\n"),
    ("blanks at line ends in the file", b"a  \nold\t\nb\n", "a\nold\n", "a\nnew\n", b"a  \nnew\nb\n"),
    ("blanks at line ends in old", b"a\nold\nb\n", "a  \nold \n", "a  \nnew\n", b"a\nnew\nb\n"),
    ("blank lines with blanks", b"a\n   \nold\n", "a\n\nold", "a\n\nnew", b"a\n   \nnew\n"),
    ("blanks at line ends are taken away", b"old  \nb\n", "old  \nb", "old\nb", b"old\nb\n"),
    ("too little indentation", CODE, "if x:\n    return 1", "if not x:\n    return 1", CODE.replace(b"if x", b"if not x")),
    ("too much indentation", CODE, "        if x:\n            return 1", "        if y:\n            return 1", CODE.replace(b"if x", b"if y")),
    ("a shift by tabs", b"if x:\n\tif y:\n\t\told\n", "if y:\n\told", "if y:\n\tnew", b"if x:\n\tif y:\n\t\tnew\n"),
    ("a shift with CRLF", CODE.replace(b"\n", b"\r\n"), "if x:\n    return 1\n", "if x:\n    return 3\n", CODE.replace(b"return 1", b"return 3").replace(b"\n", b"\r\n")),
    # huge
    ("a huge file", BIG, "line 123456\n", "LINE\n", BIG.replace(b"line 123456\n", b"LINE\n")),
    ("a huge file with CRLF", BIG.replace(b"\n", b"\r\n"), "line 150000\nline 150001\n", "line 150001\n", BIG.replace(b"line 150000\n", b"").replace(b"\n", b"\r\n")),
    ("a line of a megabyte", LONG, "x = '", "y = '", b"y" + LONG[1:]),
]  # fmt: skip

ALL = [
    ("every place", b"old old\nold\n", "old", "new", b"new new\nnew\n"),
    ("overlaps are left to right", b"aaaaa\n", "aa", "b", b"bba\n"),
    ("one place will do", b"old\n", "old", "new", b"new\n"),
    ("every place with its own line ending", b"a\r\nold\r\nx\na \nold\n", "a\nold\n", "b\nnew\n", b"b\r\nnew\r\nx\nb\nnew\n"),
    ("every place with its own indentation", b"if a:\n  x\n  y\nif b:\n    x\n    y\n", "x\ny\n", "z\n", b"if a:\n  z\nif b:\n    z\n"),
    ("new contains old", b"a a\n", "a", "aa", b"aa aa\n"),
    ("deleted everywhere", b"a, b, c\n", ", ", "", b"abc\n"),
]  # fmt: skip

REFUSED = [
    ("missing", CODE, "zebra crossing 12345 !", "y", "old_string is not in f.txt. Nothing in the file resembles it."),
    ("an empty file", b"", "x", "y", "old_string is not in f.txt. Nothing in the file resembles it."),
    ("close", CODE, "        return 3", "y", "line 3, where old_string has `return 3`. Copy it from the file. The closest"),
    ("twice", b"old\nb\nold\n", "old", "new", "old_string is 2 times in f.txt, at lines 1, 3. Add neighbouring lines to both"),
    ("twice in one line", b"old old\n", "old", "new", "old_string is 2 times in f.txt, at line 1. Add neighbouring"),
    ("overlapping", b"a\naba\n", "a", "b", "is 3 times in f.txt, at lines 1, 2. Add"),
    ("overlapping itself", b"xaaa\n", "aa", "b", "is 2 times in f.txt, at line 1."),
    ("very often", b"old\n" * 40, "old", "new", "is 40 times in f.txt, at lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, and 28 more."),
    ("twice by white space", b"a \nb\na\t\nb\n", "a\nb\n", "c\n", "is 2 times in f.txt, at lines 1, 3."),
    ("twice by indentation", b"if a:\n  x\n  y\nif b:\n    x\n    y\n", "x\ny\n", "z\n", "is 2 times in f.txt, at lines 2, 5."),
    ("a curly quote", "x = ‘a’\n".encode(), "x = 'a'", "y", "Line 1 has '‘' (U+2018 left single quotation mark) where old_string has \"'\" (U+0027)."),
    ("a straight quote", b"x = 'a'\n", "x = ‘a’", "y", "Line 1 has \"'\" (U+0027) where old_string has '‘' (U+2018 left single quotation mark)."),
    ("a dash", b"a - b\n", "a – b", "y", "Line 1 has '-' (U+002D) where old_string has '–' (U+2013 en dash)."),
    ("a minus", b"a - b\n", "a − b", "y", "Line 1 has '-' (U+002D) where old_string has '−' (U+2212 minus sign)."),
    ("a no-break space", "a\u00a0= b\n".encode(), "a = b", "y", "Line 1 has '\\xa0' (U+00A0 no-break space) where old_string has ' ' (U+0020)."),
    ("a wide letter", "ａbc = 1\n".encode(), "abc = 1", "y", "Line 1 has 'ａ' (U+FF41 fullwidth latin small letter a) where old_string has 'a' (U+0061)."),
    ("a ligature", "ﬁnal value\n".encode(), "final value", "y", "Line 1 has 'ﬁ' (U+FB01 latin small ligature fi) where old_string has 'f' (U+0066)."),
    ("a composed letter", "café bar\n".encode(), "cafe\u0301 bar", "y", "Line 1 has 'é' (U+00E9 latin small letter e with acute) where old_string has 'e' (U+0065)."),
    ("a zero-width space", "a\u200bb = 1\n".encode(), "ab = 1", "y", "Line 1 has '\\u200b' (U+200B zero width space) where old_string has 'b' (U+0062)."),
    ("a soft hyphen", "co\u00adop = 1\n".encode(), "coop = 1", "y", "Line 1 has '\\xad' (U+00AD soft hyphen) where old_string has 'o' (U+006F)."),
    ("a cyrillic letter", "v\u0430lue = 1\n".encode(), "value = 1", "y", "Line 1 has 'а' (U+0430 cyrillic small letter a) where old_string has 'a' (U+0061)."),
    ("a greek letter", b"alpha = 1\n", "\u03b1lpha = 1", "y", "Line 1 has 'a' (U+0061) where old_string has 'α' (U+03B1 greek small letter alpha)."),
    ("tabs for blanks", b"\tif x:\n\t\ty\n", "        if x:\n                y", "z", "Line 1 is indented by 1 tab, old_string by 8 spaces."),
    ("blanks for tabs", b"    a\n        b\n", "\ta\n\t\tb", "z", "Line 1 is indented by 4 spaces, old_string by 1 tab."),
    ("blanks inside a line", b"a  =  1\n", "a = 1", "b", "old_string is not in f.txt. Line 1 has"),
    ("line numbers", CODE, "2|    if x:\n3|        return 1", "y", "It begins with line numbers as read_file shows them."),
    ("another case", b"Return Value\n", "return value", "y", "where old_string has `return value`"),
    ("an ellipsis for lines", b"a\nb\nc\n", "a\n...\nc", "y", "old_string is not in f.txt."),
    ("the same", b"old\n", "old", "old", "old_string and new_string are the same; nothing would change."),
    ("the same but for blanks at the end", b"a\r\nold\r\n", "a\nold\n", "a\r\nold\r\n", "This would not change f.txt; apart from white space"),
    ("empty", b"old\n", "", "x", "old_string is empty. Give the text that is to be replaced."),
    ("done already", b"new text here\n", "old text here", "new text here", "new_string stands in the file already, at line 1."),
    ("binary", b"old\0\n", "old", "new", "f.txt is a binary file."),
    ("binary behind a mark of UTF-16", codecs.BOM_UTF16_LE + b"a\0\0\0", "a", "b", "f.txt is a binary file."),
    ("too large", b"old" + b" " * 10_000_000, "old", "new", "f.txt has 10,000,003 bytes; files over 10,000,000 are not read."),
    ("not in Latin-1", b"\xe9 old\n", "old", "☃", "f.txt is stored as latin-1, which cannot hold '☃'."),
    ("not in Shift JIS", SHIFT_JIS, "old", "é😀", "which cannot hold"),
    ("a NUL", b"old\n", "old", "a\0b", "new_string holds a NUL or a lone surrogate"),
    ("a lone surrogate", b"old\n", "old", "\ud800", "new_string holds a NUL or a lone surrogate"),
    ("too many places", b"a" * 5_000, "a", "b", "old_string is 5000 times in f.txt, at line 1."),
    ("huge and missing", BIG, "line 12345x", "y", "The closest lines are:\n"),
]  # fmt: skip


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("table")
    subprocess.run(["git", "init", "-q", "--template=", str(root)], check=True)
    return root


def edit(root: Path, before: bytes, **arguments: Any) -> tuple[bytes, str, bool]:
    """Return what the file holds afterwards, what is answered, and whether it was done."""
    (root / "f.txt").write_bytes(before)
    tool = edit_tool(Files(Workspace(root)))
    result = carry_out({"edit": tool}, ToolCall("1", "edit", {"file_path": "f.txt", **arguments}))
    return (root / "f.txt").read_bytes(), result.text, result.ok


@pytest.mark.parametrize(("before", "old", "new", "after"), [case[1:] for case in CHANGED], ids=[c[0] for c in CHANGED])
def test_changed(table: Path, before: bytes, old: str, new: str, after: bytes):
    done, text, ok = edit(table, before, old_string=old, new_string=new)
    assert done == after
    assert ok and text.startswith("Edited f.txt.")


@pytest.mark.parametrize(("before", "old", "new", "after"), [case[1:] for case in ALL], ids=[case[0] for case in ALL])
def test_changed_everywhere(table: Path, before: bytes, old: str, new: str, after: bytes):
    done, _, ok = edit(table, before, old_string=old, new_string=new, replace_all=True)
    assert ok and done == after


@pytest.mark.parametrize(("before", "old", "new", "said"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED])
def test_refused(table: Path, before: bytes, old: str, new: str, said: str):
    done, text, ok = edit(table, before, old_string=old, new_string=new)
    assert done == before
    assert not ok and said in text


def test_the_table_is_big_enough():
    assert len(CHANGED) + len(ALL) + len(REFUSED) >= 60


# What holds for any file and any edit.

LINES = st.lists(
    st.sampled_from(["a", "b", "  a", "    b", "x = 'é'", "", "\tt", "c  ", "“q”", "y"]), min_size=1, max_size=8
)
ENDINGS = st.sampled_from(["\n", "\r\n"])
CODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])
TEXTS = st.builds(
    lambda lines, ending, last: ending.join(lines) + last, LINES, ENDINGS, st.sampled_from(["", "\n", "\r\n"])
)


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, str, str]:
    """Return a text, something like a part of it, and a new text."""
    text = draw(TEXTS)
    start = draw(st.integers(0, len(text)))
    old = text[start : draw(st.integers(start, len(text)))]
    change = draw(st.sampled_from(["", "unix", "dedent", "indent", "strip", "other"]))
    if change == "unix":
        old = old.replace("\r\n", "\n")
    elif change == "dedent":
        old = "\n".join(line.removeprefix("    ") for line in old.split("\n"))
    elif change == "indent":
        old = "\n".join("  " + line if line.strip() else line for line in old.split("\n"))
    elif change == "strip":
        old = "\n".join(line.rstrip() for line in old.split("\n"))
    elif change == "other":
        old = draw(TEXTS)
    return text, old, draw(st.one_of(TEXTS, st.just(""), st.just("  new")))


@settings(deadline=None, max_examples=150)
@given(asked(), CODINGS, st.booleans())
def test_any_edit_changes_what_is_meant_and_nothing_else(
    table: Path, asked: tuple[str, str, str], coding: str, everywhere: bool
):
    """Refused: not a byte is another. Accepted: what is around the lines of old is the same, byte for byte.

    And what the preflight refuses is refused, with the same words; what it lets pass is not refused for want of old.
    """
    text, old, new = asked
    prefix = "# coding: cp1252\n" if coding == "cp1252" else ""
    before = (prefix + text).encode(coding)
    arguments = {"file_path": "f.txt", "old_string": old}
    (table / "f.txt").write_bytes(before)
    early = refusal(edit_tool(Files(Workspace(table))), arguments)
    after, said, ok = edit(table, before, old_string=old, new_string=new, replace_all=everywhere)
    assert (table / "f.txt").read_bytes() == after
    if early:
        assert not ok
        hint = said.find("new_string stands in the file already")
        assert said.removesuffix(KEPT).removesuffix(REPEATED) == early or hint >= 0
    if not ok:
        assert after == before
        assert early or "old_string is not in" not in said or places(text, old, ""), "the new text cannot follow"
        return
    was, now = before.decode(coding), after.decode(coding)
    assert now.encode(coding) == after
    if not everywhere:
        words = " ".join(old.split())
        forward, backward = _changed(was, now), _changed(was[::-1], now[::-1])[::-1]  # what is alike may be either
        assert any(" ".join(part.split()) in words for part in (forward, backward)), (
            "only what old names was taken away"
        )


def _changed(was: str, now: str) -> str:
    """Return what of the first text is not in the second, in the middle: as little as there can be, as late as can be."""
    same = next((n for n, (x, y) in enumerate(zip(was, now, strict=False)) if x != y), min(len(was), len(now)))
    rest = zip(reversed(was[same:]), reversed(now[same:]), strict=False)
    tail = next((n for n, (x, y) in enumerate(rest) if x != y), min(len(was), len(now)) - same)
    return was[same : len(was) - tail]


@settings(deadline=None, max_examples=80)
@given(before=LINES, body=LINES, after=LINES, new=LINES, ending=ENDINGS, coding=CODINGS)
def test_bytes_outside_are_identical(
    table: Path, before: list[str], body: list[str], after: list[str], new: list[str], ending: str, coding: str
):
    first = (
        "# coding: cp1252" if coding == "cp1252" else "# no word on it"
    )  # of a file in ASCII, the declaration decides
    head = ending.join([first, *before, ""])
    tail = ending + ending.join(after) + ending
    text = head + ending.join(["<begin>", *body, "<end>"]) + tail
    fresh = "\n".join(["<new>", *new, "<fresh>"])
    done, _, ok = edit(table, text.encode(coding), old_string="\n".join(["<begin>", *body, "<end>"]), new_string=fresh)
    assert ok
    assert done == (head + fresh.replace("\n", ending) + tail).encode(coding)
