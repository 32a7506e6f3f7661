"""Failing tests are put together by what they tell, and every one lands in exactly one group."""

import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode import practice
from qwencode.repair.cluster import Cause, Evidence, causes, distance, evidence, independent, kind
from qwencode.sandbox.ladder import open_rung
from qwencode.verify import commands, runners
from qwencode.verify.results import Baseline
from qwencode.workspace import Workspace

HERE, THERE, ABOVE = ("a.py", 5), ("b.py", 9), ("main.py", 2)


def ran(*lines: int, file: str = "a.py", weight: float = 1.0) -> dict[tuple[str, int], float]:
    return {(file, line): weight for line in lines}


def groups(found: tuple[Cause, ...]) -> list[tuple[str, ...]]:
    return [cause.tests for cause in found]


CASES: list[tuple[str, dict[str, Evidence], list[tuple[str, ...]]]] = [
    ("nothing fails", {}, []),
    ("nothing is known", {"one": Evidence(), "two": Evidence()}, [("one", "two")]),
    (
        "only the kinds differ",
        {"one": Evidence(kind="KeyError"), "two": Evidence(kind="OSError")},
        [("one",), ("two",)],
    ),
    ("one crash", {t: Evidence((HERE, ABOVE), "KeyError: *") for t in ("one", "two")}, [("one", "two")]),
    (
        "one crash, reached by different ways",
        {
            "one": Evidence((HERE, ABOVE), "KeyError: *", ran(1, 5)),
            "two": Evidence((HERE,), "KeyError: *", ran(5, 6, 7)),
        },
        [("one", "two")],
    ),
    (
        "two crashes below the same caller",
        {"one": Evidence((HERE, ABOVE), "KeyError: *"), "two": Evidence((THERE, ABOVE), "KeyError: *")},
        [("one",), ("two",)],
    ),
    (
        "assertions about different functions",
        {"one": Evidence((), "AssertionError", ran(1, 2)), "two": Evidence((), "AssertionError", ran(7, 8))},
        [("one",), ("two",)],
    ),
    (
        "what all tests run does not join",
        {
            "one": Evidence((), "AssertionError", {**ran(*range(20), weight=0.01), **ran(50)}),
            "two": Evidence((), "AssertionError", {**ran(*range(20), weight=0.01), **ran(60)}),
        },
        [("one",), ("two",)],
    ),
    (
        "one test runs far more than the other",
        {"one": Evidence((), "", ran(1, 2)), "two": Evidence((), "", ran(*range(40)))},
        [("one", "two")],
    ),
    (
        "no chain from one to three through two",
        {
            "one": Evidence((), "", ran(1, 2, 3, 4, 5, 6)),
            "two": Evidence((), "", ran(3, 4, 5, 6, 7, 8, 9)),
            "three": Evidence((), "", ran(6, 7, 8, 9, 10, 11)),
        },
        [("one", "two"), ("three",)],
    ),
    (
        "few places first, then more tests",
        {
            "wide": Evidence((), "", ran(*range(30), file="c.py")),
            "far": Evidence((), "", ran(1, 2, file="b.py")),
            "near": Evidence((), "", ran(1, 2)),
            "next": Evidence((), "", ran(1, 2)),
        },
        [("near", "next"), ("far",), ("wide",)],
    ),
]


@pytest.mark.parametrize(("found", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_goes_together(found: dict[str, Evidence], expected: list[tuple[str, ...]]):
    assert groups(causes(found)) == expected


def test_a_cause_says_what_its_tests_share():
    found = {t: Evidence((HERE, ABOVE), "KeyError: *", ran(4, 5)) for t in ("one", "two")}
    assert causes(found) == (Cause(("one", "two"), "KeyError: * at a.py:5", 0.0, 2.0, frozenset(ran(4, 5))),)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [([], False), ([ran(1)], False), ([ran(1), ran(2)], True), ([ran(1, 3), ran(2, 3)], False), ([ran(1), {}], False)],
)
def test_causes_that_no_one_edit_can_mend(lines: list[dict[tuple[str, int], float]], expected: bool):
    found = [Cause((str(number),), "", 0.0, 1.0, frozenset(each)) for number, each in enumerate(lines)]
    assert independent(found) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("a.py:5: in g\n    return {}[k]\nE   KeyError: 'k1'", "KeyError: *"),
        ("E   assert 1 == 3\nE    +  where 1 = h(2)", "AssertionError"),
        ('Traceback (most recent call last):\n  File "t.py", line 9\nAssertionError: -2 != 3\n', "AssertionError"),
        ("E   pkg.errors.Refused: /tmp/x/7 was 0x7f00 or 12.5", "pkg.errors.Refused: * was * or *"),
        ("E   StopIteration", "StopIteration"),
        ("not ok 3 - it adds", ""),
        ("", ""),
    ],
)
def test_a_kind_is_free_of_what_changes(message: str, expected: str):
    assert kind(message) == expected


LINES = st.dictionaries(st.tuples(st.sampled_from("abc"), st.integers(1, 6)), st.floats(0.01, 1.0), max_size=8)
FRAMES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), max_size=3, unique=True).map(tuple)
EVIDENCE = st.builds(Evidence, FRAMES, st.sampled_from(["", "AssertionError", "KeyError: *"]), LINES)
GOALS = st.dictionaries(st.text("tuvw", min_size=1, max_size=3), EVIDENCE, max_size=12)


@given(GOALS, st.randoms())
def test_every_test_is_in_one_group_whatever_the_order(found: dict[str, Evidence], order: random.Random):
    made = causes(found)
    assert sorted(test for cause in made for test in cause.tests) == sorted(found)
    names = list(found)
    order.shuffle(names)
    assert causes({name: found[name] for name in names}) == made


@given(EVIDENCE, EVIDENCE)
def test_distance_is_a_share_and_has_no_direction(one: Evidence, other: Evidence):
    weights = {**one.lines, **other.lines}
    one, other = (Evidence(e.frames, e.kind, {line: weights[line] for line in e.lines}) for e in (one, other))
    assert 0.0 <= distance(one, other) <= 1.0
    assert distance(one, other) == pytest.approx(distance(other, one))
    assert distance(one, one) == pytest.approx(0.0)


def test_hundreds_of_failures_are_put_in_groups_all_the_same():
    found = {f"test{n:03}": Evidence((), "", ran(n, 1000 + n % 2, 2000 + n % 2, 3000 + n % 2)) for n in range(300)}
    made = causes(found)
    assert sorted(len(cause.tests) for cause in made) == [150, 150]


@pytest.mark.slow
def test_a_real_run_with_three_faults(lab: Callable[..., Any]):
    code = (
        "def look(key):\n    return fetch(key)\n\n\ndef fetch(key):\n    return {'a': 1}[key]\n\n\n"
        "def less(x):\n    y = x\n    return y - 1\n\n\ndef size(x):\n    return len(x) + 1\n"
    )
    tests = (
        "from pkg.code import fetch, less, look, size\n\n\n"
        "def test_look(): assert look('b') == 2\n\n\ndef test_fetch(): assert fetch('c') == 3\n\n\n"
        "def test_less(): assert less(2) == 3\n\n\ndef test_less_too(): assert less(0) == 1\n\n\n"
        "def test_size(): assert size('x') == 1\n\n\ndef test_fetch_a(): assert fetch('a') == 1\n"
    )
    files = {"pkg/__init__.py": "", "pkg/code.py": code, "tests/test_code.py": tests, "conftest.py": ""}
    workspace, _, baseline, _ = lab(files)
    made = causes(evidence(baseline, workspace))
    names = [tuple(test.rpartition("::")[2] for test in cause.tests) for cause in made]
    assert sorted(names) == [("test_fetch", "test_look"), ("test_less", "test_less_too"), ("test_size",)]
    assert "KeyError: * at pkg/code.py:6" in [cause.where for cause in made]


def test_where_only_the_runner_says_where_it_failed(lab: Callable[..., Any]):
    workspace, _, baseline, _ = lab(
        {"test_x.py": ""}, known={"a > one": "failed", "a > two": "failed", "a > three": "failed"}
    )
    crashes = {"a > one": "src/bus.js:7", "a > two": "src/queue.js:3", "a > three": "test/bus.test.js:9"}
    results = {test: replace(result, crash=crashes[test]) for test, result in baseline.run.results.items()}
    baseline = replace(baseline, run=replace(baseline.run, results=results))
    found = evidence(baseline, workspace)
    assert {test: each.frames for test, each in found.items()} == {
        "a > one": (("src/bus.js", 7),),
        "a > two": (("src/queue.js", 3),),
        "a > three": (),
    }


def test_very_many_failures_are_told_apart_by_where_they_crash(lab: Callable[..., Any]):
    names = [f"test_x.py::test_{number}" for number in range(250)]
    workspace, _, baseline, _ = lab({"test_x.py": ""}, known=dict.fromkeys(names, "failed"))
    coverage = {name: {"a.py": frozenset({number})} for number, name in enumerate(names)}
    run = replace(baseline.run, coverage=coverage)
    assert len(causes(evidence(replace(baseline, run=run), workspace))) == 1
    few = frozenset(names[:3])
    assert len(causes(evidence(replace(baseline, run=run, only=few), workspace))) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", practice.names())
def test_one_fault_is_one_cause(name: str, tmp_path: Path):
    task = practice.task(name)
    workspace = Workspace.find(practice.copy(name, tmp_path / name))
    with closing(open_rung("none", workspace.root)) as sandbox:
        command = commands.discover(workspace, " ".join(task.test))
        run = runners.run(command, sandbox, seconds=100, coverage=task.language == "python")
    (cause,) = causes(evidence(Baseline(command, run, (), {}), workspace))
    assert len(cause.tests) == len(task.failing)
