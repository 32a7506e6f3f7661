"""Which kinds of bugs can search repair undo with one edit? Measured on functions of the corpus.

    python tools/builtin/coverage.py FUNCTIONS.jsonl [--each 40] [--seed 1] [--jobs N]

Makes bugs, asks search repair for every edit of the lines around each one and looks whether the correct function is
among the results. Writes the share for each kind to covered.toml. Only the function is shown to the operators, not its
file, so the shares are a lower bound: a file has more names and texts to offer.
"""

import argparse
import ast
import json
import multiprocessing
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":  # started as a program: this folder's own modules are found through tools/
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from builtin.breaking import Bug, bugs, region
from builtin.kinds import COVERED, NAMES
from qwencode.repair.mutate.candidates import candidates

_HEAD = """# The share of the bugs of each kind that one edit of search repair undoes, measured by coverage.py on
# functions by themselves: what the built-in model adds to search is told apart by it from what search does alone.

"""


def undone(bug: Bug) -> bool:
    """Say whether one edit of search repair, at the lines of the bug or next to them, brings the function back."""
    place = region(bug.before, bug.after)
    near = range(place.start, place.buggy_end + 2)
    wanted, tree = _bare(bug.after), ast.dump(ast.parse(bug.after))
    for candidate in candidates({"function.py": bug.before}, {"function.py": dict.fromkeys(near, 1.0)}):
        text = candidate.applied(bug.before)
        if _bare(text) == wanted and ast.dump(ast.parse(text)) == tree:
            return True
    return False


def _bare(text: str) -> str:
    """Leave out what may differ between two ways to write the same: most texts are told apart by this alone."""
    return "".join(character for character in text if character not in " \t\n()\"'")


def sample(path: Path, seed: int, each: int) -> Iterator[Bug]:
    """Yield `each` bugs of each kind, or fewer, of functions in an order that the seed gives."""
    rng = random.Random(seed)
    lines = path.read_text(encoding="utf-8").splitlines()
    counts: Counter[str] = Counter()
    for line in rng.sample(lines, min(len(lines), 200 * each)):
        wanted = [name for name in NAMES if counts[name] < each]
        source = json.loads(line)["source"]
        # The operators know no matrix product.
        for bug in bugs(source, rng, 2, wanted) if " @ " not in source else []:
            if counts[bug.kind] < each:
                counts[bug.kind] += 1
                yield bug


def _judged(bug: Bug) -> tuple[str, bool]:
    return bug.kind, undone(bug)


def shares(found: Iterator[Bug], jobs: int) -> dict[str, float]:
    """Return the share of the undone for each kind of which there was a bug."""
    made: Counter[str] = Counter()
    mended: Counter[str] = Counter()
    with multiprocessing.Pool(jobs) as pool:
        for kind, good in pool.imap(_judged, found, chunksize=8):
            made[kind] += 1
            mended[kind] += good
    return {kind: round(mended[kind] / made[kind], 2) for kind in NAMES if made[kind]}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what search repair undoes.")
    parser.add_argument("functions", type=Path, metavar="FUNCTIONS.jsonl")
    parser.add_argument("--each", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    result = shares(sample(options.functions, options.seed, options.each), options.jobs)
    rows = "".join(f'"{kind}" = {share}\n' for kind, share in result.items())
    COVERED.write_text(f"{_HEAD}[share]\n{rows}", encoding="utf-8")
    print(rows)


if __name__ == "__main__":
    main()
