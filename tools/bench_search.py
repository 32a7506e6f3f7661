"""How fast search repair tries candidates: the fork server against a plain process for each.

    python tools/bench_search.py [REPOSITORY] [--seconds 20] [--plain-seconds 30] [--sandbox]

Without a repository a small one is generated, with one fault. Prints a table, and one line of JSON last. Both ways try
the same candidates in the same order; the plain way stops at its first plausible one, or when its time is up, and the
winners are compared when both have one.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from qwencode.events import Event
from qwencode.repair.localise import Ranking, rank
from qwencode.repair.mutate.candidates import candidates
from qwencode.repair.plain import PlainTrial
from qwencode.repair.search import Budget, search
from qwencode.sandbox.ladder import open_rung, open_sandbox
from qwencode.sandbox.protocol import Sandbox
from qwencode.verify import commands
from qwencode.verify.baseline import take
from qwencode.verify.results import Baseline
from qwencode.workspace import Workspace

CODE = '''"""Shelves of things, and what they weigh."""

LIMIT = 20


def parse(text):
    amounts = {}
    for line in text.splitlines():
        name, _, number = line.partition(":")
        if not number.strip():
            continue
        amounts[name.strip()] = amounts.get(name.strip(), 0) + int(number)
    return amounts


def heavy(amounts, limit=LIMIT):
    found = []
    for name, number in sorted(amounts.items()):
        if number > limit:
            found.append(name)
    return found


def spread(amounts, shelves):
    result = [[] for _ in range(shelves)]
    weights = [0] * shelves
    for name, number in sorted(amounts.items(), key=lambda item: -item[1]):
        lightest = weights.index(max(weights))
        result[lightest].append(name)
        weights[lightest] += number
    return result
'''
TESTS = """from shelves import heavy, parse, spread


def test_parse():
    assert parse("a: 1\\nb: 2\\n\\na: 3") == {"a": 4, "b": 2}


def test_heavy():
    assert heavy({"a": 21, "b": 20}) == ["a"]


def test_spread():
    assert spread({"a": 5, "b": 3, "c": 2, "d": 1}, 2) == [["a", "d"], ["b", "c"]]


def test_spread_nothing():
    assert spread({}, 1) == [[]]
"""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """One way of trying candidates. `rate` is candidates a second, its start included."""

    way: str
    tried: int
    seconds: float
    rate: float
    plausible: int
    winner: str


def finish(running: Generator[Event, None, T]) -> T:
    """Run a job to its end and return its result."""
    while True:
        try:
            next(running)
        except StopIteration as stop:
            return stop.value


def by_fork(workspace: Workspace, sandbox: Sandbox, baseline: Baseline, ranking: Ranking, seconds: float) -> Row:
    result = finish(search(workspace, sandbox, baseline, ranking, Budget(seconds)))
    winner = result.patches[0].what if result.patches else ""
    return Row(result.way, result.tried, result.seconds, result.tried / result.seconds, result.plausible, winner)


def by_plain(workspace: Workspace, sandbox: Sandbox, baseline: Baseline, ranking: Ranking, seconds: float) -> Row:
    """Try the same candidates one by one until one is plausible or the time is up."""
    trial = PlainTrial(workspace, sandbox, baseline, ranking.texts)
    began, tried, winner = time.monotonic(), 0, ""
    for candidate in islice(candidates(ranking.texts, ranking.lines, ranking.literals), 100_000):
        trial.submit(candidate)
        tried += 1
        if trial.poll(0)[0][1] == "plausible":
            winner = candidate.what
        if winner or time.monotonic() - began > seconds:
            break
    spent = time.monotonic() - began
    return Row("plain", tried, spent, tried / spent, int(bool(winner)), winner)


def generate(root: Path) -> None:
    (root / "tests").mkdir()
    (root / "shelves.py").write_text(CODE)
    (root / "tests" / "test_shelves.py").write_text(TESTS)
    (root / "conftest.py").write_text("")
    subprocess.run(["git", "init", "-q", str(root)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("repository", nargs="?", type=Path, help="a repository with a failing Python test")
    parser.add_argument("--seconds", type=float, default=20.0, help="time for the fork server")
    parser.add_argument("--plain-seconds", type=float, default=60.0, help="time for the plain way")
    parser.add_argument("--sandbox", action="store_true", help="in the sandbox that works here, else unconfined")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = options.repository or Path(folder)
        if options.repository is None:
            generate(root)
        workspace = Workspace.find(root)
        sandbox = open_sandbox(workspace.root) if options.sandbox else open_rung("none", workspace.root)
        try:
            command = commands.discover(workspace)
            baseline = finish(take(workspace, sandbox, command, seconds=120, coverage=True))
            ranking = rank(baseline.run, baseline.goal, workspace, baseline.protected)
            rows = [by_fork(workspace, sandbox, baseline, ranking, options.seconds)]
            rows.append(by_plain(workspace, sandbox, baseline, ranking, options.plain_seconds))
        finally:
            sandbox.close()
    report(rows, baseline)


def report(rows: list[Row], baseline: Baseline) -> None:
    fork, plain = rows
    print(f"{'way':8}{'tried':>8}{'seconds':>10}{'per s':>8}  winner")
    for row in rows:
        print(f"{row.way:8}{row.tried:8}{row.seconds:10.1f}{row.rate:8.1f}  {row.winner or '(none in its time)'}")
    same = fork.winner == plain.winner if plain.winner and fork.winner else None
    goal = ", ".join(baseline.goal)
    print(f"goal: {goal}; ratio {fork.rate / plain.rate:.0f}; same winner: {'not reached' if same is None else same}")
    print(json.dumps({"rows": [asdict(row) for row in rows], "ratio": fork.rate / plain.rate, "same_winner": same}))


if __name__ == "__main__":
    main()
