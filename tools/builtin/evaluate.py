"""How often the built-in model writes the correct line, on packages it never saw: python tools/builtin/evaluate.py OUT

Reads OUT/builtin.gguf, OUT/functions.jsonl and OUT/failing-held-out.jsonl; the model runs in llama.cpp, as in use. For
each bug the damaged line is marked and its replacement proposed. Top 1: the likeliest proposal is the original line,
character for character; top 10: it is among the ten likeliest. With Wilson's 95 % intervals, by kind of bug. A bug
whose repair needs a name or a text that stands nowhere in the function, the failure or the language is not asked about,
and neither is one that takes two lines; how many those are is told. Prints a table and one line of JSON last.
"""

import argparse
import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":  # started as a program: this folder's own modules are found through tools/
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from builtin.breaking import Bug, bugs
from builtin.intervals import wilson
from builtin.samples import change, guessable
from builtin.shards import of_split
from qwencode.model.builtin.proposer import Proposer
from qwencode.model.builtin.task import Task, task

TEN = 10


def fresh(functions: Sequence[dict[str, str]], chance: random.Random) -> Iterator[dict[str, str]]:
    """Yield a bug of each function, in random order, with no failure known."""
    for row in chance.sample(functions, len(functions)):
        for bug in bugs(row["source"], chance, 1):
            yield {**row, "before": bug.before, "after": bug.after, "kind": bug.kind, "failure": ""}


def asked(row: dict[str, str], chance: random.Random) -> tuple[Task, str] | str:
    """Return the question about a bug and its answer, or why it is not asked about."""
    if not guessable(Bug(row["before"], row["after"], row["kind"]), row["failure"]):
        return "not to be known from what is shown"
    found = change(row["before"], row["after"], chance)
    if found is None or len(found.lines) != 1:
        return "takes several lines"
    made = task(row["path"], row["before"], found.lines[0], row["failure"])
    return (made, found.new) if made else "not shown"


def measure(source: Iterator[dict[str, str]], count: int, model: Proposer, name: str) -> dict[str, object]:
    """Ask about so many bugs, print a table and return the figures."""
    chance, left_out = random.Random(0), Counter[str]()
    first, ten, total = (defaultdict[str, int](int) for _ in range(3))
    for row in source:
        if sum(total.values()) == count:
            break
        question = asked(row, chance)
        if isinstance(question, str):
            left_out[question] += 1
            continue
        news = [proposal.new for proposal in model.propose(question[0])]
        kind = row["kind"]
        total[kind] += 1
        first[kind] += question[1] in news[:1]
        ten[kind] += question[1] in news[:TEN]
    print(f"\n{name}\n{'kind':26}{'bugs':>6}{'top 1':>8}  95 %{'':12}{'top 10':>8}  95 %")
    for kind in [*sorted(total, key=lambda kind: -total[kind]), ""]:
        parts = [sum(c.values()) if not kind else c[kind] for c in (total, first, ten)]
        spans = ["{:.1%}  {:.1%} to {:.1%}".format(part / parts[0], *wilson(part, parts[0])) for part in parts[1:]]
        print(f"{kind or 'all':26}{parts[0]:6}  {spans[0]:26}{spans[1]}")
    print(f"left out: {dict(left_out)}")
    kinds = {kind: (total[kind], first[kind], ten[kind]) for kind in total}
    return {"name": name, "kinds": kinds, "left_out": dict(left_out)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=600, help="bugs of each sort")
    parser.add_argument("--model", type=Path, help="a file other than OUT/builtin.gguf")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    model = Proposer(given.model or given.out / "builtin.gguf", given.threads)
    chance = random.Random(11)
    failing = of_split(given.out / "failing-held-out.jsonl", "held-out")
    chance.shuffle(failing)
    found = [
        measure(iter(failing), given.count, model, "with a failing assertion"),
        measure(fresh(of_split(given.out / "functions.jsonl", "held-out"), chance), given.count, model, "without"),
    ]
    model.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
