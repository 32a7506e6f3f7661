"""Which functions stand alone, what they are called with, and that hostile ones neither hang nor kill the maker."""

import ast
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from builtin import shards
from builtin.cases import FEWEST, MOST, enough, find, make
from builtin.inputs import Inputs
from builtin.running import Runner
from builtin.selfcontained import function
from builtin.shards import Row

pytestmark = pytest.mark.slow  # each worker starts a sandbox of its own

CLAMP = """\
def clamp(value: int, low: int = 0, high: int = 10) -> int:
    if value < low:
        return low
    if value > high:
        return high
    return value
"""
WORDS = """\
def words(text, sep=None):
    for word in text.split(sep):
        if word:
            yield word.lower()
"""
ROW = {"split": "train", "package": "made", "version": "1", "licence": "MIT", "path": "made/up.py"}


@pytest.fixture(scope="module")
def here() -> Iterator[Runner]:
    with Runner(hash_seed=1) as runner:
        yield runner


@pytest.fixture(scope="module")
def there() -> Iterator[Runner]:
    with Runner(hash_seed=2) as runner:
        yield runner


def test_prelude_of_free_names() -> None:
    one = function("def f(a: Optional[int]):\n    return math.floor(a) + sqrt(len(defaultdict(int)))\n")
    assert one is not None
    assert one.prelude.splitlines() == [
        "from collections import defaultdict",
        "from math import sqrt",
        "from typing import Optional",
        "import math",
    ]


def test_foreign_annotations_are_not_evaluated() -> None:
    one = function("def f(a: Tensor) -> Tensor:\n    return a\n")
    assert one is not None
    assert one.prelude == "from __future__ import annotations\n"


@pytest.mark.parametrize(
    "source",
    [
        "def f(a):\n    return helper(a)\n",
        "def f(self):\n    return self.x\n",
        "def f(a):\n    return open(a)\n",
        "def f(a):\n    return os.remove(a)\n",
        "def f(a):\n    return os.path.exists(a)\n",
        "def f(a):\n    return sys.exit(a)\n",
        "def f(a):\n    return a.__class__.__subclasses__()\n",
        "def f(a):\n    import socket\n    return a\n",
        "async def f(a):\n    return a\n",
        "@cache\ndef f(a):\n    return a\n",
        "def f(a):\n    nonlocal b\n    b = a\n",
        "x = 1\n",
        "def f(:\n",
    ],
)
def test_what_does_not_stand_alone(source: str) -> None:
    assert function(source) is None


def test_calls_reach_every_line_and_say_the_result(here: Runner, there: Runner) -> None:
    one = function(CLAMP)
    assert one is not None
    calls = find(one, "seed", here, there)
    assert enough(calls)
    assert len(calls) <= MOST
    space: dict[str, object] = {}
    exec(CLAMP, space)
    for call, result in calls:
        assert eval(call, space) == ast.literal_eval(result)
    assert "0" in {result for _, result in calls}
    assert "10" in {result for _, result in calls}


def test_same_seed_same_calls(here: Runner, there: Runner) -> None:
    one = function(CLAMP)
    assert one is not None
    assert find(one, "seed", here, there) == find(one, "seed", here, there)


def test_generators_are_taken_through_list(here: Runner, there: Runner) -> None:
    one = function(WORDS)
    assert one is not None
    calls = find(one, "seed", here, there)
    assert len(calls) >= FEWEST
    assert all(call.startswith("list(words(") for call, _ in calls)


def test_results_that_hang_on_the_order_of_sets_are_left_out(here: Runner, there: Runner) -> None:
    one = function("def f(text):\n    return list(set(text.split() + ['one', 'two', 'three', 'four']))\n")
    assert one is not None
    assert find(one, "seed", here, there) == []


def test_addresses_and_what_no_literal_says_are_left_out(here: Runner) -> None:
    program = "import decimal\ndef f(n):\n    return [object, decimal.Decimal(1), float('nan'), 'x' * 99, 7][n]\n"
    kinds = [tried.kind for tried in here.tried(program, [f"f({n})" for n in range(5)])]
    assert kinds == ["useless"] * 4 + ["value"]


def test_guessed_from_use() -> None:
    one = function("def f(a, b, c):\n    return [a.upper(), b['key'], [word.strip() for word in c]]\n")
    assert one is not None
    inputs = Inputs(one.tree)
    kinds = {parameter.name: parameter.kinds for parameter in inputs.parameters}
    assert set(kinds["a"]) <= {"str", "bytes"}
    assert kinds["b"].most_common(1)[0][0] == "dict"
    assert "str" in inputs.call(random.Random(1))[1].values()


def test_what_no_plain_value_has_is_hopeless() -> None:
    one = function("def f(a):\n    return a.treeposition()\n")
    assert one is not None
    assert Inputs(one.tree).hopeless


HOSTILE = """\
def f(n, box=[]):
    if n == 0:
        while True:
            pass
    if n == 1:
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
    if n == 2:
        return 10 ** 10 ** 9
    if n == 3:
        return len("x" * 10 ** 12)
    if n == 4:
        return f(n)
    if n == 5:
        raise SystemExit(3)
    if n == 6:
        print("x" * 100_000)
    if n == 7:
        import os
        os._exit(1)
    return n
"""


def test_hostile_functions_cost_no_more_than_their_call() -> None:
    with Runner() as runner:
        found = runner.tried(HOSTILE, [f"f({n})" for n in (8, 0, 2, 3, 4, 5, 6, 7, 1, 9)])
        kinds = [one.kind for one in found]
        assert kinds == [
            "value",
            "timeout",
            "timeout",
            "raised",
            "raised",
            "raised",
            "value",
            "timeout",
            "timeout",
            "value",
        ]
        assert runner.tried("def g():\n    return 1\n", ["g()"])[0].result == "1"


def test_a_changed_argument_does_not_reach_the_next_call(here: Runner) -> None:
    program = "def f(a):\n    a.append(1)\n    return a\n"
    assert [one.result for one in here.tried(program, ["f([])", "f([2])", "f([])"])] == ["[1]", "[2, 1]", "[1]"]


def test_what_remembers_is_left_out(here: Runner) -> None:
    program = "def f(a, seen=[]):\n    seen.append(a)\n    return len(seen)\n"
    assert [one.kind for one in here.tried(program, ["f(1)"])] == ["useless"]


def test_nothing_outside_is_in_reach(here: Runner, tmp_path: Path) -> None:
    program = f"def f():\n    return open({str(tmp_path / 'made')!r}, 'w').write('x')\n"
    assert here.tried(program, ["f()"])[0].kind == "raised"
    program = "import socket\ndef f():\n    return socket.create_connection(('192.0.2.1', 9), 0.2)\n"
    assert here.tried(program, ["f()"])[0].kind == "raised"


def test_rows(tmp_path: Path) -> None:
    rows = [{**ROW, "name": name, "source": source} for name, source in (("clamp", CLAMP), ("x", "x = 1\n"))]
    found = list(make(rows, seed=1))
    assert [len(some) for some in found] == [1, 0]
    assert set(found[0][0]) == {"split", "package", "path", "name", "source", "prelude", "calls"}


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    def work(rows: Iterable[Row]) -> Iterator[list[Row]]:
        for row in rows:
            (tmp_path / f"did-{row['n']}").touch()
            if row["n"] == 3 and not (tmp_path / "again").exists():
                raise SystemExit(9)
            yield [row]

    target = tmp_path / "out.jsonl"
    rows = [{"n": n} for n in range(6)]
    with pytest.raises(SystemExit):
        shards.run(rows, work, target, 2, "s")
    assert not target.exists()
    (tmp_path / "again").touch()
    for path in tmp_path.glob("did-*"):
        path.unlink()
    assert shards.run(rows, work, target, 2, "s") == 6
    assert [json.loads(line)["n"] for line in target.read_text().splitlines()] == [0, 1, 2, 3, 4, 5]
    assert not (tmp_path / "did-1").exists(), "what was done before the kill is not done again"
    assert [path.name for path in tmp_path.glob("out*")] == ["out.jsonl"]
