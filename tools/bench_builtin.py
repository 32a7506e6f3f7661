"""How fast the built-in model is: loading, and evaluating batches of sequences through the project's engine.

    python tools/bench_builtin.py [MODEL.gguf] [--seconds 1] [--threads 1 2] [--guessed 15]

Without a file, one of about the same shape with random weights is built. Prints a table, and one line of JSON last.
`read` is the speed of a question, in batches of 64 tokens; a column with a number is the speed of so many sequences
that are written at once; `line` is the time for the proposals for one line, the question included, and `next` that for
the next line of the same function. `load` includes the check of the file, but not the import of llama.cpp.

With `--guessed`, instead: what prompt lookup gains when the model writes whole `edit` calls (a file name and a line
that stand in the question, and a line much like it). The same replies with and without, by the same seeds.
"""

import argparse
import importlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from qwencode.messages import Message, Reply, ToolSpec
from qwencode.model.builtin.proposer import Proposer
from qwencode.model.builtin.task import Task, task
from qwencode.model.llama.batch import BatchEngine
from qwencode.model.llama.draft import Pace
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options
from qwencode.tools.toolbox import declarations

SIZES = (1, 4, 8, 16, 32)
QUESTION = 384  # tokens
REPLY = 16  # tokens of each sequence
TEXT = Path(__file__).read_text(encoding="utf-8")
LINES = TEXT.split("\n")
FAILURE = "> assert a == b\nE assert 3 == 4"


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured with so many threads: milliseconds of `load`, `line`, `next`; tokens a second of the rest."""

    threads: int
    load: float
    read: float
    written: dict[int, float]
    line: float
    next: float


def timed(work: Callable[[], object], seconds: float) -> float:
    """Return the median seconds that a piece of work takes, done at least three times and for that long."""
    spent: list[float] = []
    while len(spent) < 3 or sum(spent) < seconds:
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def batches(path: Path, threads: int, seconds: float) -> tuple[float, dict[int, float]]:
    """Return the tokens a second of reading a question, and of writing for each number of sequences."""
    engine = BatchEngine(path, 1 + max(SIZES), QUESTION + max(SIZES) * REPLY, 64, threads)
    tokens = [number * 7 % 256 for number in range(QUESTION)]

    def read() -> None:
        engine.drop(0)
        engine.extend(0, tokens, 0)

    def write(size: int) -> None:
        sequences = range(1, 1 + size)
        for sequence in sequences:
            engine.drop(sequence)
            engine.copy(0, sequence)
        for at in range(REPLY):
            engine.step(sequences, [(at + sequence) % 256 for sequence in sequences], [QUESTION + at] * size)

    reading = QUESTION / timed(read, seconds)
    written = {size: size * REPLY / timed(lambda size=size: write(size), seconds) for size in SIZES}
    engine.close()
    return reading, written


def questions(count: int) -> list[Task]:
    """Return questions about lines that follow each other in a function of this very file."""
    first = TEXT[: TEXT.index("    reading =")].count("\n") + 1
    found = [task("tools/bench_builtin.py", TEXT, first - at, FAILURE) for at in range(count)]
    return [asked for asked in found if asked]


def row(path: Path, threads: int, seconds: float) -> Row:
    """Measure with so many threads."""
    load = timed(lambda: Proposer(path, threads).close(), seconds)
    reading, written = batches(path, threads, seconds)
    proposer = Proposer(path, threads)
    asked = questions(6)
    spent: list[float] = []
    for about in asked * 3:
        began = time.perf_counter()
        proposer.propose(about)
        spent.append(time.perf_counter() - began)
    proposer.close()
    later = [time for number, time in enumerate(spent) if number % len(asked)]
    return Row(threads, 1e3 * load, reading, written, 1e3 * spent[0], 1e3 * statistics.median(later))


@dataclass(frozen=True, slots=True)
class Guessing:
    """Whole replies with guesses and without, of the same seeds.

    `gain`: the median ratio of decode seconds, without over with. `accepted` of `guessed` tokens were right, of
    `written` in all. `same`: replies that are word for word the same.
    """

    replies: int
    gain: float
    guessed: int
    accepted: int
    written: int
    same: int


def guessing(path: Path, most: int, seconds: float) -> Guessing:
    """Let the model write edits of lines of this file, with drafts of `most` tokens and without."""
    plain = LlamaModel(path, Fit(context=2048, threads=1))
    drafting = LlamaModel(path, Fit(context=2048, threads=1, draft_tokens=most))
    edit = [spec for spec in declarations() if spec.name == "edit"]
    asked = [about for line in range(1, len(LINES)) if (about := task("tools/bench_builtin.py", TEXT, line, FAILURE))]
    ratios: list[float] = []
    guessed = accepted = written = same = 0
    began = time.monotonic()
    for seed, about in enumerate(asked * 20):
        if len(ratios) >= 30 and time.monotonic() - began > 10 * seconds:
            break
        options = Options(max_tokens=96, tool_choice="required", seed=seed)
        drafting._pace = Pace(most)  # every reply for itself: what pays is learnt in it, as in a short run
        one, two = (reply_of(model, about, options, edit) for model in (plain, drafting))
        ratios.append(one.usage.decode_seconds / two.usage.decode_seconds)
        guessed, accepted = guessed + two.usage.drafted, accepted + two.usage.accepted
        written, same = written + two.usage.generated, same + (one.message == two.message)
    for model in (plain, drafting):
        model.close()
    return Guessing(len(ratios), statistics.median(ratios), guessed, accepted, written, same)


def reply_of(model: LlamaModel, about: Task, options: Options, tools: list[ToolSpec]) -> Reply:
    """Return the reply to a question."""
    stream = model.stream([Message("user", about.question)], tools, options)
    try:
        while True:
            next(stream)
    except StopIteration as end:
        reply: Reply = end.value
        return reply


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", nargs="?", type=Path, help="the file; without it one with random weights is built")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each figure")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--guessed", type=int, default=0, help="tokens guessed ahead at most; 0: the table of speeds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = options.model
        if path is None:
            path = Path(folder) / "random.gguf"
            builder = importlib.import_module("build_model")
            builder.build(path, builder.Shape(192, 4, 4, 1, 48, 8, 4, 48, 8, 2, 128, 2048), name="random-builtin")
        load = os.getloadavg()[0]
        if options.guessed:
            print(json.dumps({"load": load, **asdict(guessing(path, options.guessed, options.seconds))}))
            return
        print(f"{path.name}, {path.stat().st_size / 1e6:.1f} MB; load of the machine {load:.1f}\n")
        sizes = "".join(f"{size:>8}" for size in SIZES)
        print(f"threads  load ms  read t/s{sizes}  line ms  next ms")
        rows: list[Row] = []
        for threads in options.threads:
            found = row(path, threads, options.seconds)
            rows.append(found)
            written = "".join(f"{found.written[size]:>8,.0f}" for size in SIZES)
            print(f"{threads:>7}{found.load:>9.0f}{found.read:>10,.0f}{written}{found.line:>9.0f}{found.next:>9.0f}")
        print()
        print(json.dumps({"model": path.name, "load": load, "rows": [asdict(found) for found in rows]}))


if __name__ == "__main__":
    main()
