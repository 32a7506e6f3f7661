"""Breaks functions of the corpus and keeps what a call tells apart, with the failure that a test would show.

    python tools/builtin/failing.py OUT --split train [--each 6] [--seed 1] [--jobs 2]

Reads OUT/cases.jsonl and writes OUT/failing-SPLIT.jsonl: the broken text (`before`), the correct one (`after`), and in
`failure` the first failing assertion as a pytest report has it: it after `> `, and what it came to after `E `.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

if __name__ == "__main__":  # started as a program: this folder's own modules are found through tools/
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from builtin import shards
from builtin.breaking import Bug, bugs
from builtin.running import Call, Runner
from builtin.shards import Row

SPARE = 2
"""Bugs made for each one that is kept at most: some change nothing that a call would show."""


def failures(
    found: list[Bug], prelude: str, calls: list[Call], rng: random.Random, runner: Runner
) -> list[tuple[Bug, str]]:
    """Return the bugs that the calls tell apart, each with its failure; each meets the calls in an order of its own."""
    programs = [prelude + bug.before for bug in found]
    orders = [rng.sample(range(len(calls)), len(calls)) for _ in programs]
    said = runner.failures(programs, calls, orders)
    return [(bug, failure) for bug, failure in zip(found, said, strict=True) if failure]


def make(rows: Iterable[Row], each: int, seed: int) -> Iterator[list[Row]]:
    """Yield for each row of cases.jsonl up to `each` rows of bugs that its calls tell apart."""
    with Runner() as runner:
        for row in rows:
            rng = random.Random(f"{seed} {row['package']} {row['path']} {row['name']}")
            found = bugs(row["source"], rng, each * SPARE)
            calls = [(call, result) for call, result in row["calls"]]
            told = failures(found, row["prelude"], calls, rng, runner)[:each]
            kept = {key: row[key] for key in ("split", "package", "path")}
            yield [
                {**kept, "before": bug.before, "after": bug.after, "kind": bug.kind, "failure": failure}
                for bug, failure in told
            ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path, help="a folder with cases.jsonl")
    parser.add_argument("--split", choices=("train", "held-out"), default="train")
    parser.add_argument("--each", type=int, default=6, help="bugs of a function at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=shards.jobs_here(), help="processes")
    options = parser.parse_args()
    began = time.monotonic()
    rows = [row for row in shards.read(options.out / "cases.jsonl") if row["split"] == options.split]
    target = options.out / f"failing-{options.split}.jsonl"
    setting = f"{options.each} {options.seed}"
    count = shards.run(rows, lambda some: make(some, options.each, options.seed), target, options.jobs, setting)
    print(f"{count} bugs in {len(rows)} functions ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
