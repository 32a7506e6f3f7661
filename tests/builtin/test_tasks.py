"""Generated repair tasks: the tests fail on the broken text and pass on the correct one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builtin.cases import make
from builtin.running import Runner
from builtin.shards import Row
from builtin.tasks import MODULE, Maker, Task, covered, module, write

pytestmark = pytest.mark.slow  # each worker starts a sandbox of its own

FUNCTIONS = {
    "clamp": "def clamp(value, low=0, high=10):\n    if value < low:\n        return low\n"
    "    if value > high:\n        return high\n    return value\n",
    "total": "def total(values):\n    result = 0\n    for value in values:\n        if value > 0:\n"
    "            result += value\n    return result\n",
    "initials": "def initials(text, sep=' '):\n    words = text.split(sep)\n"
    "    return ''.join(word[0].upper() for word in words if word)\n",
    "half": "def half(n):\n    return math.floor(n / 2)\n",
    "pairs": "def pairs(items):\n    return [(a, b) for a, b in zip(items, items[1:])]\n",
}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    made = [
        {"split": "held-out", "package": "made", "path": "up.py", "name": name, "source": source}
        for name, source in FUNCTIONS.items()
    ]
    return [row for found in make(made, seed=1) for row in found]


@pytest.fixture(scope="module")
def tasks(rows: list[Row]) -> Iterator[list[Task]]:
    with Runner(hash_seed=1) as here, Runner(hash_seed=2) as there:
        yield list(Maker(rows, 3, here, there).tasks(4))


def passes(folder: Path) -> tuple[bool, str]:
    """Run the tests of a task; say whether all passed, and what was printed."""
    words = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", "."]
    done = subprocess.run([*words, "tests"], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout


def test_tests_fail_on_the_broken_and_pass_on_the_correct_text(tasks: list[Task], tmp_path: Path) -> None:
    assert len(tasks) == 4
    assert [task.row["covered"] for task in tasks].count(True) == 2
    for number, task in enumerate(tasks):
        folder = tmp_path / str(number)
        write(task, folder)
        good, said = passes(folder)
        assert not good
        assert " passed" in said
        assert task.row["name"].strip("_") in said
        (folder / MODULE).write_text(task.whole)
        assert passes(folder)[0]
        status = ["git", "status", "--porcelain"]
        assert subprocess.run(status, cwd=folder, capture_output=True, text=True, check=True).stdout == f" M {MODULE}\n"


def test_the_row_says_where_and_what(tasks: list[Task]) -> None:
    for task in tasks:
        row, lines = task.row, task.broken.split("\n")
        first = row["line"] - 1
        assert lines[first : first + len(row["wrong"])] == row["wrong"]
        mended = [*lines[:first], *row["correct"], *lines[first + len(row["wrong"]) :]]
        assert "\n".join(mended) == task.whole == row["whole"]
        assert row["hidden"]


def test_same_seed_same_tasks(rows: list[Row], tasks: list[Task]) -> None:
    with Runner(hash_seed=1) as here, Runner(hash_seed=2) as there:
        assert list(Maker(rows, 3, here, there).tasks(4)) == tasks


def test_a_module_has_its_imports_once(rows: list[Row]) -> None:
    half = next(row for row in rows if row["name"] == "half")
    other = {**half, "name": "other", "prelude": "from __future__ import annotations\nimport math\n"}
    assert module([half, other]).startswith("from __future__ import annotations\nimport math\n\n\ndef half(n):")


def test_covered_is_what_one_edit_of_the_operators_gives() -> None:
    whole = FUNCTIONS["clamp"]
    assert covered(whole.replace("value < low", "value <= low"), whole, [])
    assert not covered(whole.replace("value > high", "len(str(value)) == 3"), whole, [])
