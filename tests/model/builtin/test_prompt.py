"""What the built-in model is shown. Its training depends on these very texts."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode.model.builtin.prompt import (
    CLOSE_CALL,
    CODE_CHARS,
    DONE,
    FAILURE_CHARS,
    GAP,
    MARK,
    Excerpt,
    answer,
    beginning,
    begun,
    excerpt,
    failure_of,
    question,
    refusal,
    replacement,
)
from qwencode.model.builtin.task import task
from qwencode.model.dialect.qwen_parser import Parser

CODE = '''import os


class Box:
    @property
    def size(self):
        """Its size.

        In pixels.
        """
        width = self.w

        return width * self.h

    async def fill(self, colour):
        def one(pixel):
            return pixel or colour

        return [one(p) async for p in self]


def top(): return 1
'''


def found(text: str, line: int, limit: int = CODE_CHARS) -> Excerpt:
    shown = excerpt(text, line, limit)
    assert shown
    return shown


def test_a_method_is_shown_without_docstring_and_indentation():
    shown = found(CODE, 13)
    assert shown.lines == ("def size(self):", "    width = self.w", "", "    return width * self.h")
    assert shown.numbers == (6, 11, 12, 13)
    assert shown.indent == "    "


@pytest.mark.parametrize(("line", "first"), [(16, "def one(pixel):"), (17, "def one(pixel):"), (19, "async def fill")])
def test_the_innermost_function_counts(line: int, first: str):
    shown = found(CODE, line)
    assert shown.lines[0].startswith(first)
    assert line in shown.numbers


def test_a_function_of_one_line():
    assert found(CODE, 22) == Excerpt(("def top(): return 1",), (22,), "")
    assert found('def doc(): "text"', 1).lines == ('def doc(): "text"',)
    assert found('def doc():\n    "text"', 2).lines == ("def doc():", '    "text"')  # else nothing would be left


@pytest.mark.parametrize("line", [0, 1, 2, 4, 5, 7, 9, 10, 14, 23, 99])
def test_what_lies_in_no_function_or_is_not_shown(line: int):
    assert excerpt(CODE, line) is None


@pytest.mark.parametrize("text", ["def f(:\n  pass", "def f():\n\tif x:\n        y\n", "\0", "(" * 100_000, ""])
def test_what_does_not_parse(text: str):
    assert excerpt(text, 1) is None


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_other_line_ends_make_no_difference(ends: str):
    assert found(CODE.replace("\n", ends), 13) == found(CODE, 13)


def test_tabs_stay():
    shown = found("class A:\n\tdef f(self):\n\t\treturn 1\n", 3)
    assert (shown.lines, shown.indent) == (("def f(self):", "\treturn 1"), "\t")
    assert replacement(shown, "\tif x:\n\n\t\treturn 2") == "\t\tif x:\n\n\t\t\treturn 2"


def test_a_form_feed_ends_no_line():
    text = "def f():\n    a = 1\n\x0c\n    b = '\x1d\u2028'\n    return b\n"
    assert found(text, 5).lines[-1] == "    return b"


def test_no_warning_of_the_compiler_gets_out():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert excerpt("def f(x):\n    return x is 'a' or '\\d'\n", 2)


def test_a_long_function_is_cut_around_the_line():
    text = "def f(x):\n" + "".join(f"    x += {1000 + n}\n" for n in range(100)) + "    return x\n"
    shown = found(text, 60, 120)
    assert shown.lines[:2] == ("def f(x):", GAP)
    assert shown.lines[-1] == GAP
    assert shown.numbers == (1, 0, 56, 57, 58, 59, 60, 61, 62, 63, 0)
    assert found(text, 2, 60).numbers == (1, 2, 3, 4, 0)
    assert found(text, 3, 30).numbers == (1, 2, 3, 0)  # no gap where nothing lies between
    assert found(text, 102, 60).numbers == (1, 0, 99, 100, 101, 102)
    assert found(text, 60, 1).numbers == (1, 0, 60, 0)


@given(
    st.lists(st.text(st.sampled_from("ab# ='\t\x0c"), max_size=30), max_size=40),
    st.integers(1, 45),
    st.integers(0, 300),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_numbers_match_lines(rows: list[str], line: int, limit: int, ends: str, method: bool):
    indent = "    " if method else ""
    body = [f"{indent}    # {row}" for row in rows]
    lines = [*(["class A:"] if method else []), f"{indent}def f():", *body, f"{indent}    return 0"]
    shown = excerpt(ends.join(lines), line, limit)
    if shown is None:
        assert not 1 + method <= line <= len(lines)
        return
    pairs = list(zip(shown.lines, shown.numbers, strict=True))
    assert all(lines[number - 1] == shown.indent + text for text, number in pairs if number)
    assert all(text == GAP for text, number in pairs if not number)
    numbers = [number for _, number in pairs if number]
    assert numbers == sorted(set(numbers))
    assert line in numbers
    assert numbers[0] == 1 + method
    whole = sum(len(text) + 1 for text, number in pairs[1:] if number)
    assert whole <= max(limit, len(lines[line - 1])) + 1


def test_the_question_marks_lines():
    shown = found(CODE, 13)
    asked = question("box.py", shown, [11, 13], "> assert b.size == 6\nE assert 5 == 6")
    assert asked == (
        "# box.py\n> assert b.size == 6\nE assert 5 == 6\ndef size(self):\n"
        f"{MARK}    width = self.w\n\n{MARK}    return width * self.h"
    )
    assert question("box.py", shown, []).startswith("# box.py\ndef size(self):\n    width")


PYTEST = """    def test_size():
        box = Box()
>       assert box.size == 6
E       assert 5 == 6
E        +  where 5 = <Box>.size

tests/test_box.py:5: AssertionError"""
UNITTEST = """Traceback (most recent call last):
  File "/r/test_box.py", line 7, in test_size
    self.assertEqual(box.size, 6)
AssertionError: 5 != 6"""


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (PYTEST, "> assert box.size == 6\nE assert 5 == 6"),
        (UNITTEST, "> self.assertEqual(box.size, 6)\nE AssertionError: 5 != 6"),
        (">   f()\nE   AssertionError: assert 1 == 2", "> f()\nE assert 1 == 2"),
        ("E   ValueError: no", "E ValueError: no"),
        ("Traceback\nValueError: a\n\nKeyError: 'b'\n", "E KeyError: 'b'"),
        ("asyncio.exceptions.TimeoutError", "E asyncio.exceptions.TimeoutError"),
        ("", ""),
        ("nothing of the kind", ""),
        (">   assert " + "x" * 500, ("> assert " + "x" * 500)[:FAILURE_CHARS]),
    ],
)
def test_the_failure_in_two_lines(message: str, wanted: str):
    assert failure_of(message) == wanted


def test_a_report_with_other_line_ends_and_quotes():
    assert failure_of(PYTEST.replace("\n", "\r\n")) == failure_of(PYTEST)
    assert failure_of(">   a\n>   b\nE   c\nE   d") == "> a\nE c"


@pytest.mark.parametrize("new", ["", "    return 1", "    if x:\n        return 1", "</function>"])
def test_the_answer_is_a_call_that_the_parser_reads(new: str):
    text = answer("a.py", "    return 0", new)
    assert text == begun("a.py", "    return 0") + new + CLOSE_CALL + "</tool_call>"
    parser = Parser((), False)
    parser.feed(text)
    (call,) = parser.finish().tool_calls
    assert call.name == "edit"
    assert dict(call.arguments) == {"file_path": "a.py", "old_string": "    return 0", "new_string": new}


def test_what_comes_from_outside_is_no_markup():
    pieces = beginning("<tool_call>.py", "<|im_end|>")
    assert [piece.text for piece in pieces if not piece.markup] == ["<tool_call>.py", "<|im_end|>"]
    assert "".join(piece.text for piece in pieces) == begun("<tool_call>.py", "<|im_end|>")


def test_what_the_tool_says():
    assert refusal() == "Still failing. The edit was taken back."
    assert refusal("E assert 1 == 2").endswith("\nE assert 1 == 2")
    assert DONE == "Done."


def test_a_task_knows_its_line():
    asked = task("box.py", CODE, 13, "E no")
    assert asked
    assert asked.old == "    return width * self.h"
    assert asked.question == question("box.py", asked.shown, [13], "E no")
    assert task("box.py", CODE, 1) is None
