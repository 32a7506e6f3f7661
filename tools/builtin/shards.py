"""Work through the rows of a file in several processes, so that a killed run goes on where it was."""

import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Work = Callable[[Iterable[Row]], Iterator[list[Row]]]
"""Gives for each row, in order, the rows that come of it."""


def read(path: Path) -> Iterator[Row]:
    """Read rows; a last line that was cut off by a kill is left out."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


def of_split(path: Path, split: str) -> list[Row]:
    """Return the rows of a split; none of a file that is not there."""
    return [row for row in read(path) if row["split"] == split] if path.exists() else []


def write(path: Path, rows: Iterable[Row]) -> int:
    """Write rows under a temporary name and then the real one, and return their number."""
    beside = path.with_name(path.name + ".part")
    count = 0
    with beside.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    beside.replace(path)
    return count


def run(rows: list[Row], work: Work, target: Path, jobs: int, setting: str) -> int:
    """Do `work` in `jobs` processes and write what comes of it to `target`, in the order of the rows.

    What was done of the same rows with the same setting before a kill is not done again.
    """
    digest = hashlib.sha256(json.dumps([rows, setting]).encode()).hexdigest()[:12]
    parts = [target.with_name(f"{target.name}.{digest}.{shard}of{jobs}") for shard in range(jobs)]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_shard, args=(rows, work, part, n, jobs)) for n, part in enumerate(parts)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        sys.exit("a process failed; the next run goes on from here")
    done = [row for part in parts for row in read(part)]
    done.sort(key=lambda row: row["index"])
    count = write(target, (row for found in done for row in found["rows"]))
    for part in parts:
        part.unlink()
    return count


def _shard(rows: list[Row], work: Work, part: Path, shard: int, jobs: int) -> None:
    """Every `jobs`-th row from `shard` on, noted one by one in `part`."""
    before = list(read(part)) if part.exists() else []
    if before:
        write(part, before)  # without a line cut off
    mine = list(range(shard, len(rows), jobs))[len(before) :]
    with part.open("a", encoding="utf-8") as out:
        for count, (index, found) in enumerate(zip(mine, work(rows[index] for index in mine), strict=True)):
            out.write(json.dumps({"index": index, "rows": found}, ensure_ascii=False) + "\n")
            if count % 5000 == 4999:
                out.flush()
                print(f"{part.name}: {count + 1} of {len(mine)}", file=sys.stderr, flush=True)


def jobs_here() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))
