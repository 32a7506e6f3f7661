"""Builds repair tasks from held-out functions: small repositories with one bug and tests that show it.

    python tools/builtin/tasks.py OUT [--count 120] [--seed 3] [--split held-out]

Reads OUT/cases.jsonl and writes OUT/tasks/NNN, each a git repository, and OUT/tasks.jsonl; with `--split train`, from
which constants of the search may be chosen, OUT/tasks-train/NNN and OUT/tasks-train.jsonl. One half of the bugs are
such that one edit of search repair's operators gives the correct text back (`covered`), the other half not. The tests
of the broken function are those calls that tell most of its possible bugs apart; the others are kept as `hidden`: a
mended function that fails one of them only looks mended.
"""

import argparse
import ast
import builtins
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

if __name__ == "__main__":  # started as a program: this folder's own modules are found through tools/
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from builtin import shards
from builtin.breaking import Bug, bugs
from builtin.cases import find
from builtin.running import Call, Runner
from builtin.selfcontained import function
from builtin.shards import Row
from qwencode.repair.mutate.candidates import candidates

MODULE, TESTS = "parts.py", "tests/test_parts.py"
COMPANY = range(2, 5)
"""How many functions stand beside the broken one."""
BUGS = 20
"""Bugs tried of one function."""
CALLS = 8
"""Calls of a function in its tests."""
POOL = 30
"""Calls of the broken function that its tests are chosen from."""
HIDDEN = 4
"""Calls at least that no test makes."""
IN_A_TEST = 2
_IMPORT = re.compile(r"^(?:from \S+ )?import (\S+)$")
_GIT = ("git", "-c", "user.name=tasks", "-c", "user.email=tasks@example.invalid", "-c", "commit.gpgsign=false")


@dataclass(frozen=True, slots=True)
class Task:
    """One repository to be made: the module broken and whole, its tests, and what is known of the bug."""

    broken: str
    whole: str
    tests: str
    row: Row


class Maker:
    """Makes tasks out of the rows of cases.jsonl."""

    def __init__(self, rows: list[Row], seed: int, here: Runner, there: Runner):
        self._rows = rows
        self._seed = seed
        self._rng = random.Random(seed)
        self._runner, self._there = here, there

    def tasks(self, count: int) -> Iterator[Task]:
        """Yield up to `count` tasks, half of them covered, each of another function."""
        wanted = {True: (count + 1) // 2, False: count // 2}
        order = self._rng.sample(self._rows, len(self._rows))
        for row in order:
            if not any(wanted.values()):
                return
            task = self._task(row, {covered for covered, left in wanted.items() if left})
            if task is not None:
                wanted[task.row["covered"]] -= 1
                yield task

    def _task(self, row: Row, wanted: set[bool]) -> Task | None:
        found = bugs(row["source"], self._rng, BUGS)
        row, hidden = self._tested(row, found)
        if len(hidden) < HIDDEN:
            return None
        rows = self._company(row)
        mine = [(call, result) for call, result in row["calls"]]
        others = [(call, result) for one in rows if one is not row for call, result in one["calls"][:CALLS]]
        whole = module(rows)
        if len(rows) <= COMPANY.start or whole.count(row["source"]) != 1:
            return None
        if any(self._runner.failures([whole], [*mine, *others, *hidden])):
            return None
        broken = [whole.replace(bug.after, bug.before) for bug in found]
        failures = self._runner.failures(broken, mine)
        told = [(bug, text) for bug, text, failure in zip(found, broken, failures, strict=True) if failure]
        for bug, text in self._rng.sample(told, len(told)):
            inside = covered(text, whole, mine)
            if inside in wanted and not self._runner.failures([text], others)[0]:
                noted = {**_row(row, bug, text, whole, inside), "hidden": hidden}
                return Task(text, whole, tests(rows), noted)
        return None

    def _tested(self, row: Row, found: list[Bug]) -> tuple[Row, list[Call]]:
        """Return the row with those of many calls that tell most bugs apart, and the other calls."""
        one = function(row["source"])
        assert one is not None, "a row of cases.jsonl stands alone"
        calls = find(one, f"{self._seed} {row['path']} {row['name']}", self._runner, self._there, POOL)
        programs = [row["prelude"] + bug.before for bug in found]
        told = {call: self._runner.failures(programs, [call]) for call in calls}
        chosen: list[Call] = []
        seen = [0] * len(found)
        while len(chosen) < min(CALLS, len(calls)):
            left = [call for call in calls if call not in chosen]
            best = max(
                left, key=lambda call: sum(bool(t) / (1 + n) ** 2 for t, n in zip(told[call], seen, strict=True))
            )
            chosen.append(best)
            seen = [n + bool(t) for n, t in zip(seen, told[best], strict=True)]
        return {**row, "calls": chosen}, [call for call in calls if call not in chosen]

    def _company(self, row: Row) -> list[Row]:
        """The row among others that get along with it: no name means two things."""
        near = [other for other in self._rows if other["package"] == row["package"] and other is not row]
        others = self._rng.sample(near, min(len(near), 12)) + self._rng.sample(self._rows, min(len(self._rows), 12))
        chosen = [row]
        size = self._rng.choice(COMPANY) + 1
        for other in others:
            if len(chosen) < size and _get_along([*chosen, other]):
                chosen.append(other)
        self._rng.shuffle(chosen)
        return chosen


def _get_along(rows: list[Row]) -> bool:
    names = [row["name"] for row in rows]
    imports = {line for row in rows for line in row["prelude"].splitlines()}
    imported = [match[1].split(".")[0] for line in imports if (match := _IMPORT.match(line))]
    used = {node.id for row in rows for node in ast.walk(ast.parse(row["source"])) if isinstance(node, ast.Name)}
    own = [name for name in names if name in used]  # recursion; another's use of it would be another thing
    taken = set(imported) | set(dir(builtins))
    return (
        len(set(names)) == len(names)
        and len(set(imported)) == len(imported)
        and not taken & set(names)
        and not any(name.startswith("__") for name in names)
        and all(sum(bool(re.search(rf"\b{name}\b", row["source"])) for row in rows) == 1 for name in own)
    )


def module(rows: list[Row]) -> str:
    """Return the text of a module of these functions."""
    imports = sorted({line for row in rows for line in row["prelude"].splitlines()}, key=lambda s: ("__" not in s, s))
    head = "\n".join(imports) + "\n\n\n" if imports else ""
    return head + "\n\n\n".join(row["source"].strip("\n") for row in rows) + "\n"


def tests(rows: list[Row]) -> str:
    """Return plain pytest tests of these functions, a few calls in each."""
    names = ", ".join(sorted(row["name"] for row in rows))
    parts = [f"from {MODULE.removesuffix('.py')} import {names}"]
    for row in rows:
        calls = row["calls"][:CALLS]
        for number, start in enumerate(range(0, len(calls), IN_A_TEST), 1):
            body = [f"    assert {call} == {result}" for call, result in calls[start : start + IN_A_TEST]]
            parts.append("\n".join([f"def test_{row['name'].strip('_')}_{number}():", *body]))
    return "\n\n\n".join(parts) + "\n"


def covered(broken: str, whole: str, calls: list[Call]) -> bool:
    """Say whether one edit of search's operators, offered any line of the bug's function, gives the correct text."""
    rows = broken.split("\n")
    first = next(n for n, (new, old) in enumerate(zip_longest(rows, whole.split("\n")), 1) if new != old)
    around = [node for node in ast.parse(broken).body if node.lineno <= first <= (node.end_lineno or node.lineno) + 1]
    lines = {line: 1.0 for node in around for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    wanted, plain = ast.dump(ast.parse(whole)), _bare(whole)
    for candidate in candidates({MODULE: broken}, {MODULE: lines}, _literals(calls)):
        text = candidate.applied(broken)
        if _bare(text) == plain and ast.dump(ast.parse(text)) == wanted:
            return True
    return False


def _bare(text: str) -> str:
    return re.sub(r"[\s()]", "", text).replace('"', "'")


def _literals(calls: list[Call]) -> list[str | int | float]:
    """What the failures could mention."""
    nodes = [node for pair in calls for text in pair for node in ast.walk(ast.parse(text))]
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return list(dict.fromkeys(value for value in values if type(value) in (str, int, float)))


def _row(row: Row, bug: Bug, broken: str, whole: str, inside: bool) -> Row:
    wrong, right = broken.split("\n"), whole.split("\n")
    first = next(n for n, (new, old) in enumerate(zip_longest(wrong, right)) if new != old)
    last = next(n for n, (new, old) in enumerate(zip_longest(wrong[::-1], right[::-1])) if new != old)
    last = min(last, len(wrong) - first, len(right) - first)
    return {
        **{key: row[key] for key in ("package", "path", "name")},
        "kind": bug.kind,
        "covered": inside,
        "file": MODULE,
        "line": first + 1,
        "wrong": wrong[first : len(wrong) - last],
        "correct": right[first : len(right) - last],
        "whole": whole,
    }


def write(task: Task, folder: Path) -> None:
    """Write a task as a git repository with one commit."""
    (folder / "tests").mkdir(parents=True)
    (folder / MODULE).write_text(task.broken, encoding="utf-8")
    (folder / TESTS).write_text(task.tests, encoding="utf-8")
    (folder / "conftest.py").write_text("")  # so that the tests find the module
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "Start")):
        subprocess.run([*_GIT, *words], cwd=folder, check=True, env=environ)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path, help="a folder with cases.jsonl")
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--split", choices=("train", "held-out"), default="held-out")
    options = parser.parse_args()
    began = time.monotonic()
    rows = [row for row in shards.read(options.out / "cases.jsonl") if row["split"] == options.split]
    name = "tasks" if options.split == "held-out" else "tasks-train"
    folder = options.out / name
    shutil.rmtree(folder, ignore_errors=True)
    noted: list[Row] = []
    with Runner(hash_seed=1) as here, Runner(hash_seed=2) as there:
        for number, task in enumerate(Maker(rows, options.seed, here, there).tasks(options.count)):
            write(task, folder / f"{number:03}")
            noted.append({"folder": f"{name}/{number:03}", **task.row})
    shards.write(options.out / f"{name}.jsonl", noted)
    inside = sum(row["covered"] for row in noted)
    print(f"{len(noted)} tasks, {inside} covered by the operators ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
