"""Finds calls that functions of the corpus answer, so that a change in them can be told by running them.

    python tools/builtin/cases.py OUT [--jobs 2] [--seed 1]

Reads OUT/functions.jsonl and writes OUT/cases.jsonl: the functions that stand alone, what they import, and up to twelve
calls with the literal that each gives. A call counts when it gives the same twice, with another order of sets too.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

if __name__ == "__main__":  # started as a program: this folder's own modules are found through tools/
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from builtin import shards
from builtin.inputs import Chosen, Inputs
from builtin.running import Call, Runner, Tried
from builtin.selfcontained import Function, function
from builtin.shards import Row

MOST, FEWEST, RESULTS = 12, 4, 3
"""Calls of a function at most and at least, and different results at least."""
ROUND = 70
"""Calls tried before and after learning which kinds go well."""
LONGEST = 80
_SAME = 3
_SPARE = 8


def find(one: Function, seed: str, here: Runner, there: Runner, most: int = MOST) -> list[Call]:
    """Return diverse calls of a function with their results; few or none when guessing did not go well.

    `here` and `there` order sets differently: a result that hangs on it is left out.
    """
    inputs = Inputs(one.tree)
    if inputs.hopeless:
        return []
    rng = random.Random(seed)
    program = one.prelude + one.source
    good = _explore(program, inputs, rng, here)
    if not good:
        return []
    if inputs.parameters:
        inputs.learn(chosen for _, chosen in good)
        good += _explore(program, inputs, rng, here)
    picked = _pick(good, most + _SPARE)
    again = {tried.call: tried for tried in there.tried(program, [tried.call for tried in reversed(picked)])}
    kept = [t for t in picked if again[t.call].kind == "value" and again[t.call].result == t.result][:most]
    return [(tried.call, tried.result) for tried in kept]


def enough(calls: list[Call]) -> bool:
    """Say whether calls show enough of a function."""
    return len(calls) >= FEWEST and len({result for _, result in calls}) >= RESULTS


def _explore(program: str, inputs: Inputs, rng: random.Random, runner: Runner) -> list[tuple[Tried, Chosen]]:
    calls = dict(inputs.call(rng) for _ in range(ROUND))
    calls = {call: chosen for call, chosen in calls.items() if len(call) <= LONGEST}
    found = runner.tried(program, list(calls))
    return [(tried, chosen) for tried, chosen in zip(found, calls.values(), strict=True) if tried.kind == "value"]


def _pick(tried: list[tuple[Tried, Chosen]], most: int) -> list[Tried]:
    """Take calls one by one, each time the one that shows most that is new: lines, results, kinds of arguments."""
    waiting = {one.call: (one, tuple(chosen.items())) for one, chosen in tried}
    size = {call: (one.result[0], len(one.result).bit_length()) for call, (one, _) in waiting.items()}
    picked: list[Tried] = []
    reached = 0
    seen: Counter[object] = Counter()
    while waiting and len(picked) < most:

        def worth(call: str, reached: int = reached) -> float:
            one, shape = waiting[call]
            new = (one.lines & ~reached).bit_count()
            fresh = 2.0 / (1 + seen[one.result]) + 0.5 / (1 + seen[shape]) + 1.0 / (1 + seen[size[call]])
            return 3.0 * (new > 0) + new / 10 + fresh - len(call + one.result) / 200

        best, shape = waiting.pop(max(waiting, key=worth))
        if seen[best.result] < _SAME:
            picked.append(best)
            reached |= best.lines
            seen.update((best.result, shape, size[best.call]))
    return picked


def make(rows: Iterable[Row], seed: int) -> Iterator[list[Row]]:
    """Yield for each row of functions.jsonl one of cases.jsonl, or none."""
    with Runner(hash_seed=1) as here, Runner(hash_seed=2) as there:
        for row in rows:
            one = function(row["source"])
            calls = find(one, f"{seed} {row['package']} {row['path']} {row['name']}", here, there) if one else []
            if one is None or not enough(calls):
                yield []
                continue
            kept = {key: row[key] for key in ("split", "package", "path")}
            yield [{**kept, "name": one.name, "source": one.source, "prelude": one.prelude, "calls": calls}]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path, help="a folder with functions.jsonl")
    parser.add_argument("--jobs", type=int, default=shards.jobs_here(), help="processes")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    rows = list(shards.read(options.out / "functions.jsonl"))
    target = options.out / "cases.jsonl"
    count = shards.run(rows, lambda some: make(some, options.seed), target, options.jobs, str(options.seed))
    print(f"{count} of {len(rows)} functions with calls ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
