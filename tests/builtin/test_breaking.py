"""Bugs made for the built-in model: every one can be mended within a few lines, and comes again from the same seed."""

import ast
import difflib
import random
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from builtin.breaking import BUGGY_LINES, CORRECT_LINES, Bug, bugs, region
from builtin.coverage import undone
from builtin.kinds import KINDS, NAMES, NEEDS, TWICE, covered

ROOT = Path(__file__).parents[2]

SHELVES = '''def shelves(self, items, limit=10, *, strict: Strictness = None):
    """Sort the items
    onto shelves."""
    result, weight = [], 0
    counts = {}
    for index, (name, number) in enumerate(sorted(items.items(), key=lambda item: (-item[1], item[0])), 1):
        if not name or number is None:
            continue
        logger.info("looking at %s", name)
        if weight + number > limit and result:
            result.append(counts)
            weight = 0
        elif strict:
            raise ValueError(name)
        else:
            weight += number
        counts[name] = max(counts.get(name, 0), index + 1)
    rest = [one.strip() for one in items if one not in counts and one[1:-1]]
    try:
        total = sum(counts.values()) / len(counts)
    except (ZeroDivisionError, TypeError) as error:
        total = self.store.default if strict else 0
    return result, rest, total
'''
BEYOND = [kind.name for kind in KINDS if kind.name.endswith(("dropped", "lost", "order"))]
SMALL = "def double(values):\n    return [value * 2 for value in values if value]\n"
LATER = "async def later(queue):\n    async with queue.lock:\n        one = await queue.get()\n    return one.name\n"


@cache
def made() -> tuple[Bug, ...]:
    return tuple(bug for text in (SHELVES, SMALL, LATER) for bug in bugs(text, random.Random(7), 300))


def of_kind(text: str, kind: str) -> set[str]:
    return {bug.before for bug in bugs(text, random.Random(2), 60, [kind])}


def lines(*rows: str) -> str:
    return "".join(f"{row}\n" for row in rows)


@pytest.mark.slow
def test_every_bug_compiles_and_means_something_else():
    found = made()
    assert len(found) > 250
    for bug in found:
        compile(bug.before, "<bug>", "exec")
        assert ast.dump(ast.parse(bug.before)) != ast.dump(ast.parse(bug.after))
        assert bug.after in (SHELVES, SMALL, LATER) and bug.kind in NAMES


@pytest.mark.slow
def test_the_change_is_a_few_lines_of_the_body():
    for bug in made():
        before, after = bug.before.split("\n"), bug.after.split("\n")
        head = 3 if bug.after is SHELVES else 1
        assert before[:head] == after[:head]
        for _, start, _, other_start, _ in difflib.SequenceMatcher(None, before, after).get_opcodes()[1:-1]:
            assert start >= head and other_start >= head
        place = region(bug.before, bug.after)
        assert place.start >= head
        assert place.buggy_end - place.start <= BUGGY_LINES
        assert place.correct_end - place.start <= CORRECT_LINES
        assert before[: place.start] + after[place.start : place.correct_end] + before[place.buggy_end :] == after


def test_talk_to_the_side_is_not_broken():
    assert all('logger.info("looking at %s", name)' in bug.before for bug in made() if bug.after is SHELVES)


def test_a_name_of_a_type_is_no_value():
    assert all(bug.before.count("Strictness") == 1 for bug in made() if bug.after is SHELVES)


def test_bugs_of_a_function_differ():
    found = bugs(SHELVES, random.Random(3), 100)
    assert len({bug.before for bug in found}) == len(found) == 100


def test_the_same_seed_gives_the_same_bugs_in_any_process():
    program = f"import random; from builtin.breaking import bugs; print(bugs({SHELVES!r}, random.Random(5), 40))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tools'}", "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert printed == {f"{bugs(SHELVES, random.Random(5), 40)}\n"}


@pytest.mark.parametrize("text", ["def broken(:\n", "def empty():\n    pass\n", "def f():\n    import os\n", ""])
def test_what_cannot_be_broken_gives_nothing(text: str):
    assert bugs(text, random.Random(1), 5) == []


@pytest.mark.slow
def test_all_sorts_of_bugs_are_made():
    assert len({bug.kind for bug in made()}) > 50
    for kind in KINDS:
        assert kind.name not in BEYOND or of_kind(SHELVES, kind.name), kind.name


@pytest.mark.parametrize(
    ("kind", "correct", "buggy"),
    [
        ("guard dropped", ("if not xs:", "    return None", "return xs[0]"), ("return xs[0]",)),
        ("condition lost", ("if xs:", "    xs.sort()", "return xs"), ("xs.sort()", "return xs")),
        ("condition dropped", ("return xs and len(xs) > 2",), ("return xs",)),
        ("term dropped", ("return n + xs[0] * 2",), ("return n",)),
        ("call dropped", ("return sorted(xs, key=n)",), ("return xs",)),
        ("offset lost", ("return range(1, n + 1)",), ("return range(1, n)",)),
        ("bound lost", ("return xs[1:n:2]",), ("return xs[1:n]",)),
        ("accumulation lost", ("n += len(xs)", "return n"), ("n = len(xs)", "return n")),
        ("accumulation lost", ("xs.append(n)", "return xs"), ("xs = [n]", "return xs")),
        ("accumulation lost", ("n = max(n, xs[0])", "return n"), ("n = xs[0]", "return n")),
        ("comprehension", ("return [x for x in xs if x]",), ("return [x for x in xs ]",)),
        ("choice lost", ("return xs if n else None",), ("return xs",)),
        ("sort key", ("return sorted(xs, key=lambda x: -x[1])",), ("return sorted(xs, key=lambda x: x[1])",)),
        ("order of statements", ("n = n + 1", "xs = xs * n", "return xs"), ("xs = xs * n", "n = n + 1", "return xs")),
        ("line dropped", ("n = n + 1", "return n"), ("return n",)),
        ("simplified", ("n = len(xs) + 4", "return n"), ("n = xs", "return n")),
        ("wrong return", ("for x in xs:", "    n += x", "return n"), ("for x in xs:", "    n += x", "    return n")),
        ("method of a family", ("return xs.get(n, 0)",), ("return xs[n]",)),
        ("initial value", ("n = 0", "return n"), ("n = 1", "return n")),
        (
            "branch lost",
            ("if n:", "    xs.sort()", "else:", "    xs.clear()", "return xs"),
            ("if n:", "    xs.sort()", "return xs"),
        ),
        (
            "handling lost",
            ("try:", "    return xs[n]", "except (KeyError, IndexError):", "    return 0"),
            ("try:", "    return xs[n]", "except KeyError:", "    return 0"),
        ),
    ],
)
def test_a_kind_loses_what_its_name_says(kind: str, correct: tuple[str, ...], buggy: tuple[str, ...]):
    body, broken = (lines("def f(xs, n):", *(f"    {row}" for row in rows)) for rows in (correct, buggy))
    assert broken in of_kind(body, kind)


def test_statements_that_do_not_need_each_other_keep_their_order():
    text = lines("def f(a, b):", "    x = a + 1", "    y = b + 1", "    return x, y")
    swapped = lines("def f(a, b):", "    y = b + 1", "    x = a + 1", "    return x, y")
    assert swapped not in of_kind(text, "order of statements")


def test_two_edits_are_on_one_line():
    for before in of_kind(SHELVES, TWICE):
        place = region(before, SHELVES)
        assert place.buggy_end - place.start <= 1


def test_the_table_of_kinds_is_whole():
    assert len(set(NAMES)) == len(NAMES)
    assert set(NEEDS) <= set(NAMES)
    assert all(0 <= covered(name) <= 1 for name in NAMES)
    assert covered("relational operator") > 0.8 > 0.3 > covered("simplified")


def test_what_search_repair_undoes_is_found_out():
    after = lines("def f(a, b):", "    return a < b")
    assert undone(Bug(after.replace("<", "<="), after, "relational operator"))
    far = lines("def f(a, b):", "    return shorten(a.name, width=b) if a else None")
    assert not undone(Bug(lines("def f(a, b):", "    return a"), far, "simplified"))


def test_a_matrix_product_is_no_obstacle():
    text = lines("def f(a, b):", "    c = a @ b", "    c @= a", "    return c[1:] + 1")
    assert {bug.kind for bug in bugs(text, random.Random(1), 60)} >= {"bound lost", "offset lost"}
