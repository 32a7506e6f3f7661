"""The failure beside a broken function is what a pytest report says, and only what a call tells apart is kept."""

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builtin.breaking import Bug
from builtin.failing import failures, make
from builtin.running import WIDTH, Call, Runner

pytestmark = pytest.mark.slow  # each worker starts a sandbox of its own

ADD = "def add(a, b=1):\n    return a + b\n"
CALLS: list[Call] = [("add(1)", "2"), ("add(0, 0)", "0"), ("add('a', 'b')", "'ab'")]


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as one:
        yield one


def test_failures_of_each_kind(runner: Runner) -> None:
    programs = [
        ADD,
        ADD.replace("a + b", "a - b"),
        ADD.replace("a + b", "a + c"),
        ADD.replace("return a + b", "while True: pass"),
        ADD.replace("return a + b", "raise SystemExit(a)"),
        ADD.replace("return a + b", "return add(a, b)"),
        ADD.replace("a + b", "'x' * 10 ** 12"),
        ADD.replace("a + b", "object()"),
    ]
    told = runner.failures(programs, CALLS)
    assert told[:5] == [
        "",
        "> assert add(1) == 2\nE assert 0 == 2",
        "> assert add(1) == 2\nE NameError: name 'c' is not defined",
        "> assert add(1) == 2\nE timeout",
        "> assert add(1) == 2\nE SystemExit: 1",
    ]
    assert told[5].startswith("> assert add(1) == 2\nE RecursionError: maximum recursion depth exceeded")
    assert told[6] == "> assert add(1) == 2\nE MemoryError"
    assert told[7] == "> assert add(1) == 2\nE assert <object object at 0x7f0000000000> == 2"


def test_the_order_of_calls_says_which_fails_first(runner: Runner) -> None:
    broken = ADD.replace("a + b", "a - b")
    assert runner.failures([broken], CALLS, [[1, 2, 0]])[0].startswith("> assert add('a', 'b') == 'ab'\nE TypeError: ")


def test_lines_are_cut(runner: Runner) -> None:
    told = runner.failures(["def f(a):\n    return a\n"], [(f"f({'a' * 90!r})", repr("b" * 90))])[0]
    assert len(told.split("\n")[0]) == WIDTH
    assert told.split("\n")[1] == "E assert 'aaaaaaaaaaaa...aaaaaaaaaaaaa' == 'bbbbbbbbbbbb...bbbbbbbbbbbbb'"


PAIRS = [
    ("4", "3"),
    ("'a' * 50", "'b'"),
    ("list(range(40))", "[1]"),
    ("(1, 2, 3)", "[1, 2, 3]"),
    ("{'a': 1, 'b': [1, 2], 'c': 3, 'd': 4, 'e': 5}", "{'a': 2}"),
    ("{1}", "{2, 3}"),
    ("None", "'long ' * 10"),
    ("1.5", "10 ** 50"),
    ("'a'", "['a']"),
    ("b'abc' * 20", "b'x'"),
    ("[[1, [2, [3, [4, [5, [6, [7]]]]]]]]", "[]"),
]


def test_as_pytest_shows_it(runner: Runner, tmp_path: Path) -> None:
    tests = [f"def test_{n}():\n    assert f({n}) == {eval(right)!r}\n" for n, (_, right) in enumerate(PAIRS)]
    program = f"def f(n):\n    return [{', '.join(left for left, _ in PAIRS)}][n]\n"
    (tmp_path / "test_it.py").write_text(program + "\n".join(tests))
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        "test_it.py",
    ]
    shown = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    firsts = re.findall(r"^    assert f\(\d+\) == .*\nE   (?:AssertionError: )?(assert .*)$", shown, re.MULTILINE)
    assert len(firsts) == len(PAIRS)
    for n, (_, right) in enumerate(PAIRS):
        told = runner.failures([program], [(f"f({n})", repr(eval(right)))])[0]
        assert told.split("\n")[1] == f"E {firsts[n]}"[:WIDTH]


def test_only_what_a_call_tells_apart(runner: Runner) -> None:
    found = [Bug(ADD.replace("a + b", "b + a"), ADD, "same here"), Bug(ADD.replace("a + b", "a"), ADD, "term dropped")]
    told = failures(found, "", CALLS[:2], random.Random(1), runner)
    assert [(bug.kind, failure) for bug, failure in told] == [("term dropped", "> assert add(1) == 2\nE assert 1 == 2")]


def test_rows_are_broken_before_and_correct_after() -> None:
    row = {"split": "train", "package": "made", "path": "up.py", "name": "add", "source": ADD, "prelude": ""}
    (rows,) = make([{**row, "calls": [list(call) for call in CALLS]}], each=3, seed=1)
    assert 1 <= len(rows) <= 3
    for one in rows:
        assert one["after"] == ADD != one["before"]
        assert one["failure"].startswith("> assert add(")
        assert "\nE " in one["failure"]
        assert one["kind"]
