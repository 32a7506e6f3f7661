"""What the repository map costs on a large checkout, and whether it holds the place where the fault is.

    pip download --no-deps -d WHEELS twisted networkx textual rich celery kombu werkzeug tornado paramiko
    python tools/bench_repomap.py WHEELS [--tokens 1000] [--repeat 5] [--no-sandbox]

The wheels are unpacked into one git repository (about 2,200 Python files). Cold: nothing is kept yet; warm: all is;
edited: one file has changed. Each run is a process of its own; its parsing processes count in processor time, and the
largest of them is given beside its memory. Imports are counted apart, since a job has done most of them before. Then
the failing tests of the practice repositories, which are put into that same repository, are what the map is for. Prints
tables, and one line of JSON last.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench_search import finish
from qwencode import practice
from qwencode.context.repomap.repository import RepositoryMap
from qwencode.sandbox.ladder import open_rung, open_sandbox
from qwencode.verify.baseline import take
from qwencode.verify.commands import discover
from qwencode.verify.results import TestResult
from qwencode.workspace import Workspace

Row = dict[str, Any]
ONE_RUN = """
import json, resource, sys, time
from pathlib import Path
begin = time.process_time()
from qwencode.context.repomap.repository import RepositoryMap
from qwencode.workspace import Workspace
start, imports = time.monotonic(), time.process_time() - begin
text = RepositoryMap(Workspace(Path(sys.argv[1])), Path(sys.argv[2])).render(int(sys.argv[3]), task=sys.argv[4])
own, below = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({"wall": time.monotonic() - start, "imports": imports, "cpu": own.ru_utime + own.ru_stime - imports,
    "cpu below": below.ru_utime + below.ru_stime, "MB": own.ru_maxrss / 1024, "MB below": below.ru_maxrss / 1024,
    "characters": len(text)}))
"""
TASK = "A connection that is closed while a request is being written must not be reused for the next one."


def unpack(wheels: Path, root: Path) -> None:
    """Make a git repository of all wheels in a folder."""
    root.mkdir()
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(root)


def commit(root: Path) -> None:
    """Make one commit of everything in a folder."""
    who = ["-c", "user.name=Bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgSign=false"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "All"]):
        subprocess.run(["git", "-C", str(root), *command], check=True)


def measured(root: Path, cache: Path, tokens: int) -> Row:
    """Draw one map in a process of its own."""
    command = [sys.executable, "-c", ONE_RUN, str(root), str(cache), str(tokens), TASK]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def costs(root: Path, work: Path, tokens: int, repeat: int) -> list[Row]:
    """Measure the three ways, several times each, and return the medians."""
    cache, edited = work / "cache", next(root.rglob("protocol.py"))
    ways: dict[str, list[Row]] = {"cold": [], "warm": [], "edited": []}
    for _ in range(repeat):
        shutil.rmtree(cache, ignore_errors=True)
        ways["cold"].append(measured(root, cache, tokens))
        time.sleep(2.1)  # files that have only just changed are compared by content once more
        measured(root, cache, tokens)
        ways["warm"].append(measured(root, cache, tokens))
        edited.write_text(edited.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        ways["edited"].append(measured(root, cache, tokens))
    rows: list[Row] = []
    for way, runs in ways.items():
        rows.append({"way": way} | {name: statistics.median(run[name] for run in runs) for name in runs[0]})
        rows[-1]["slowest"] = max(run["wall"] for run in runs)
        rows[-1]["cache MB"] = sum(path.stat().st_size for path in cache.iterdir()) / 1e6
    return rows


def failing(name: str, work: Path, *, confined: bool) -> list[TestResult]:
    """Run the tests of a fresh copy of a practice repository and return what fails."""
    root = practice.copy(name, work / name)
    sandbox = open_sandbox(root) if confined else open_rung("none", root)
    workspace = Workspace(root)
    try:
        baseline = finish(take(workspace, sandbox, discover(workspace), seconds=120, coverage=False))
    finally:
        sandbox.close()
    return [baseline.run.results[test] for test in baseline.goal]


def moved(result: TestResult, folder: str) -> TestResult:
    """Return what the test would say if its repository were a folder of another one."""
    message = re.sub(r"(?m)(^|[\s\"'(])((?:\w+/)+[\w.]+\.(?:py|js):\d+)", rf"\1{folder}/\2", result.message)
    return replace(result, id=f"{folder}/{result.id}", file=f"{folder}/{result.file}", message=message)


def place_of(task: practice.Task) -> int:
    """Return the line on which the function with the fault begins."""
    lines = (practice.ground() / task.name / task.file).read_text(encoding="utf-8").splitlines()
    start = re.compile(rf"\s*(async )?(def |function )?{re.escape(task.function.split('.')[-1])}\(")
    return next(
        number for number, line in enumerate(lines, 1) if start.match(line) and line.rstrip().endswith((":", "{"))
    )


def position(text: str, file: str, line: int) -> int:
    """Return how many definitions stand before that of a line of a file, and itself; 0: it is not there."""
    count, here = 0, ""
    for row in text.splitlines():
        number, bar, _ = row.partition("|")
        if not bar:
            here = row.removesuffix("…").rstrip().removesuffix(":")
            continue
        count += 1
        if (here, number) == (file, str(line)):
            return count
    return 0


def found(root: Path, cache: Path, failures: dict[str, list[TestResult]], tokens: int, *, inside: bool) -> list[Row]:
    """Draw the map for each practice repository, alone or inside a large one, with the places of its fault."""
    rows: list[Row] = []
    for name, results in failures.items():
        task = practice.task(name)
        drawn = RepositoryMap(Workspace(root if inside else root / name), cache)
        text = drawn.render(tokens, tests=[moved(result, name) for result in results] if inside else results)
        bare = [replace(result, message="", crash="") for result in results]
        without = drawn.render(tokens, tests=[moved(result, name) for result in bare] if inside else bare)
        file = f"{name}/{task.file}" if inside else task.file
        row = {"task": name, "inside": inside, "function": task.function, "characters": len(text)}
        rows.append(
            row | {"at": position(text, file, place_of(task)), "at, no trace": position(without, file, place_of(task))}
        )
    return rows


def report(speeds: Sequence[Row], places: Sequence[Row]) -> None:
    heads = ("wall", "slowest", "imports", "cpu", "cpu below", "MB", "MB below", "cache MB")
    print(f"{'':8}" + "".join(f"{head:>11}" for head in heads))
    for row in speeds:
        print(f"{row['way']:8}" + "".join(f"{row[head]:11.2f}" for head in heads))
    print(f"\n{'task':12}{'function':24}{'where':8}{'characters':>11}{'at':>5}{'no trace':>10}")
    for row in places:
        where = "large" if row["inside"] else "alone"
        print(
            f"{row['task']:12}{row['function']:24}{where:8}{row['characters']:11}{row['at']:5}{row['at, no trace']:10}"
        )
    for where in (False, True):
        rows = [row for row in places if row["inside"] == where]
        hits, bare = (sum(row[key] > 0 for row in rows) for key in ("at", "at, no trace"))
        print(f"{'in a large repository' if where else 'alone'}: {hits} of {len(rows)}, without tracebacks {bare}")
    print(json.dumps({"speeds": speeds, "places": places}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", type=Path, help="a folder of wheels")
    parser.add_argument("--tokens", type=int, default=1_000)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each way; medians are given; 0: none")
    parser.add_argument("--no-sandbox", action="store_true", help="run the tests unconfined")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        large = work / "large"
        unpack(options.wheels, large)
        failures: dict[str, list[TestResult]] = {}
        for name in practice.names():
            failures[name] = failing(name, work / "alone", confined=not options.no_sandbox)
            shutil.copytree(practice.ground() / name, large / name, ignore=shutil.ignore_patterns("__pycache__"))
        commit(large)
        speeds = costs(large, work, options.tokens, options.repeat) if options.repeat else []
        places = found(work / "alone", work / "cache", failures, options.tokens, inside=False)
        places += found(large, work / "cache", failures, options.tokens, inside=True)
    report(speeds, places)


if __name__ == "__main__":
    main()
