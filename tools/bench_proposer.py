"""What a proposer adds to search repair: generated tasks solved in the same time without and with it.

    python tools/bench_proposer.py OUT --model qwencode/model/builtin/builtin.gguf [--seconds 20] [--limit 120]

OUT holds tasks.jsonl and the repositories beside it (`tools/builtin/tasks.py`). A task is solved when an edit passes
all its tests. `holds` counts those whose best edit also passes calls that no test makes, `right` those whose best edit
is the correct text. The two ways follow each other on each task, and take turns in being first, so that both meet the
same load of the machine. Prints a table, how the two differ task by task, and one line of JSON last.
"""

import argparse
import ast
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench_search import finish
from builtin.intervals import wilson
from builtin.running import Runner
from qwencode.repair.localise import rank
from qwencode.repair.proposals import builtin_proposals
from qwencode.repair.search import Budget, search
from qwencode.sandbox.ladder import open_rung, open_sandbox
from qwencode.verify import commands
from qwencode.verify.baseline import take
from qwencode.workspace import Workspace

T = TypeVar("T")
Row = dict[str, Any]
WITHOUT, WITH = "without", "with"
GROUPS = ("all", "covered", "not covered")


@dataclass(frozen=True, slots=True)
class Run:
    """One search of one task, and what its best edit is worth. `among`: one of the edits shown is the correct text."""

    task: str
    kind: str
    covered: bool
    way: str
    solved: bool
    holds: bool
    right: bool
    among: bool
    tried: int
    seconds: float
    what: str


def finder(options: argparse.Namespace) -> Mapping[str, Any] | None:
    """Return what `search` is given besides to propose edits with; None: only the way without is measured."""
    return {"propose": builtin_proposals(options.model)} if options.model else None


def measure(
    folder: Path, row: Row, ways: Mapping[str, Mapping[str, Any]], runner: Runner, options: argparse.Namespace
) -> list[Run]:
    """Search one task in each way, from the same baseline and the same suspicion."""

    def holds(text: str) -> bool:
        return not runner.failures([text], [(call, result) for call, result in row["hidden"]])[0]

    workspace = Workspace.find(folder)
    sandbox = open_sandbox(workspace.root) if not options.no_sandbox else open_rung("none", workspace.root)
    runs: list[Run] = []
    try:
        baseline = finish(take(workspace, sandbox, commands.discover(workspace), seconds=60, coverage=True))
        ranking = rank(baseline.run, baseline.goal, workspace, baseline.protected)
        for way, more in ways.items():
            result = finish(search(workspace, sandbox, baseline, ranking, Budget(options.seconds), **more))
            right = [same(patch.after, row["whole"]) for patch in result.patches]
            runs.append(
                Run(
                    row["folder"],
                    row["kind"],
                    row["covered"],
                    way,
                    bool(result.patches),
                    holds(result.patches[0].after) if result.patches else False,
                    right[:1] == [True],
                    any(right),
                    result.tried,
                    result.seconds,
                    result.patches[0].what if result.patches else "",
                )
            )
    finally:
        sandbox.close()
    return runs


def same(text: str, wanted: str) -> bool:
    """Say whether two texts are the same program."""
    return ast.dump(ast.parse(text)) == ast.dump(ast.parse(wanted))


def summary(runs: list[Run], way: str, group: str) -> Row:
    """Return the figures of one line of the table."""
    mine = [run for run in runs if run.way == way and (group == "all" or run.covered == (group == "covered"))]
    solved = sum(run.solved for run in mine)
    low, high = wilson(solved, len(mine))
    return {
        "way": way,
        "group": group,
        "tasks": len(mine),
        "solved": solved,
        "low": round(low, 4),
        "high": round(high, 4),
        "holds": sum(run.holds for run in mine),
        "right": sum(run.right for run in mine),
        "among": sum(run.among for run in mine),
        "seconds": round(statistics.median(run.seconds for run in mine), 2) if mine else 0.0,
    }


def report(runs: list[Run], ways: list[str]) -> None:
    rows = [summary(runs, way, group) for way in ways for group in GROUPS]
    print(
        f"{'way':9}{'tasks of kind':15}{'solved':>10}{'95 %':>18}{'holds':>7}{'right':>7}{'among 3':>9}{'median s':>10}"
    )
    for row in rows:
        interval = f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %"
        share = f"{row['solved']}/{row['tasks']}"
        head = f"{row['way']:9}{row['group']:15}{share:>10}{interval:>18}"
        print(f"{head}{row['holds']:7}{row['right']:7}{row['among']:9}{row['seconds']:10.1f}")
    found: Row = {"rows": rows, "runs": [asdict(run) for run in runs]}
    if len(ways) > 1:
        found |= {"gain": rows[len(GROUPS)]["solved"] / max(1, rows[0]["solved"]), "paired": paired(runs)}
        print(f"with / without: {found['gain']:.2f}; " + ", ".join(f"{n} {k}" for k, n in found["paired"].items()))
    print(json.dumps(found))


def paired(runs: Sequence[Run]) -> dict[str, int]:
    """Return how many tasks were solved in both ways, in one of them only, and in none."""
    solved = {way: {run.task for run in runs if run.way == way and run.solved} for way in (WITHOUT, WITH)}
    tasks, plain, more = {run.task for run in runs}, solved[WITHOUT], solved[WITH]
    counts = (plain & more, more - plain, plain - more, tasks - plain - more)
    return dict(zip(("solved in both", "only with", "only without", "in neither"), map(len, counts), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path, help="a folder with tasks.jsonl")
    parser.add_argument("--tasks", default="tasks.jsonl", help="another list of tasks in that folder")
    parser.add_argument("--seconds", type=float, default=20.0, help="time of one search")
    parser.add_argument("--limit", type=int, default=1_000_000, help="tasks at most")
    parser.add_argument("--model", type=Path, help="the file of the built-in model, to measure the way with it")
    parser.add_argument("--no-sandbox", action="store_true", help="run the tests unconfined")
    options = parser.parse_args()
    more = finder(options)
    ways: dict[str, Mapping[str, Any]] = {WITHOUT: {}} | ({WITH: more} if more is not None else {})
    tasks = [json.loads(line) for line in (options.out / options.tasks).read_text(encoding="utf-8").splitlines()]
    runs: list[Run] = []
    with Runner() as runner, suppress(KeyboardInterrupt):  # what was measured until then is told
        for number, row in enumerate(tasks[: options.limit], 1):
            turn = dict(reversed(ways.items())) if number % 2 else ways
            runs += measure(options.out / row["folder"], row, turn, runner, options)
            print(f"{number}: {', '.join(f'{run.way} {run.solved}' for run in runs[-len(ways) :])}", file=sys.stderr)
    report(runs, list(ways))


if __name__ == "__main__":
    main()
