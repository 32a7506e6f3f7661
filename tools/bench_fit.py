"""Whether what is said about a model before it is loaded comes true: memory, speed, and the choice for a machine.

    python tools/bench_fit.py [table] [memory] [speed] [--repeat N] [--seconds N] [--threads N] [--dir DIR]

`table`: what is recommended for each of some machines, as in docs/models.md. `memory`: what a load was predicted to
take over what the process grew by, for several ways to run mid-sized random-weight files. `speed`: the rates that
were predicted from the calibration over those of whole replies, for prompts of several lengths; each round calibrates
anew and the median of the ratios counts. What other processes take is measured meanwhile: they slow both, but not by
the same. On a busy machine fewer threads than cores say more.
Prints tables, and one line of JSON last.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine_bench.ground import Setup, Sizes, model_file, talk
from engine_bench.speed import fresh_history
from qwencode.machine.expect import Expected
from qwencode.machine.outlook import Here, of_file, recommended
from qwencode.model.llama.calibration import calibrate, keep
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.fitting import Wishes, fit
from qwencode.model.llama.footprint import Scale
from qwencode.model.llama.gguf_header import check
from qwencode.model.llama.library import Engine
from qwencode.model.llama.machine import Gpu, Machine, free_memory, physical_cores, total_memory
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options

GIB = 1 << 30
HELD = Path(__file__).parent / "engine_bench" / "held.py"
CHECKPOINTS = 8
EXCHANGES = 12  # more than there are checkpoints, so that these are full
LENGTHS = (256, 1024, 3072)
GENERATED = 64
WAYS = [  # how the files are run whose memory is measured: type of the weights, and what differs from the usual
    ("q3_k", {"context": 8192, "batch": 256}),
    ("q3_k", {"context": 32_768, "batch": 512}),
    ("q3_k", {"context": 65_536, "batch": 512, "draft_tokens": 15}),
    ("q3_k", {"context": 131_072, "batch": 512, "cache_type": "q8_0"}),
    ("q4_k", {"context": 8192, "batch": 512}),
    ("q4_k", {"context": 65_536, "batch": 512, "cache_type": "q8_0", "draft_tokens": 8}),
]


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often speeds are measured, the seconds of calibration in a round, and the threads (0: physical cores)."""

    count: int
    seconds: float
    threads: int


def here(free: float, *gpus: tuple[str, float], shared: bool = False, bandwidth: float = 50e9) -> Here:
    """Return a machine with so much free memory, in GiB, and such GPUs."""
    cards = tuple(Gpu(name, int(size * GIB), shared) for name, size in gpus)
    return Here(Machine(8, int(free * GIB), int(free * GIB), cards), ("AVX2",), bandwidth)


MACHINES = [  # what is free: main memory, and GPUs with their memory; GiB
    (here(1.5), "1.5, no GPU"),
    (here(5), "5, no GPU"),
    (here(12), "12, no GPU"),
    (here(14.5), "14.5, no GPU"),
    (here(16), "16, no GPU"),
    (here(17), "17, no GPU"),
    (here(20), "20, no GPU"),
    (here(28), "28, no GPU"),
    (here(60), "60, no GPU"),
    (here(120), "120, no GPU"),
    (here(28, ("RTX 4060", 7.5)), "28, RTX 4060 with 7.5"),
    (here(12, ("RTX 3060", 11.5)), "12, RTX 3060 with 11.5"),
    (here(28, ("RTX 3060", 11.5)), "28, RTX 3060 with 11.5"),
    (here(28, ("RTX 5060 Ti", 15.5)), "28, RTX 5060 Ti with 15.5"),
    (here(28, ("RTX 4090", 23.5)), "28, RTX 4090 with 23.5"),
    (here(28, ("RTX 5090", 31.5)), "28, RTX 5090 with 31.5"),
    (here(60, ("RTX 3090", 23.5), ("RTX 3090", 23.5)), "60, two RTX 3090 with 23.5 each"),
    (here(20, ("Apple M4 Pro", 17), shared=True), "20, Apple M4 Pro may use 17 of it"),
    (here(44, ("Apple M4 Pro", 36), shared=True), "44, Apple M4 Pro may use 36 of it"),
]


def line(machine: Here, free: str) -> str:
    """Return what the table in docs/models.md has to say about a machine."""
    found = recommended(machine, Wishes())
    if found is None or found[1].fit is None:
        return f"| {free} | none | - | - |"
    entry, outlook = found
    names = " and ".join(gpu.name for gpu in machine.machine.gpus) or "no GPU"
    where = outlook.where.replace(names, "both GPUs" if " and " in names else "the GPU")
    return f"| {free} | `{entry.name}` | {outlook.fit.context:,} {outlook.fit.cache_type} | {where} |"


def predicted(path: Path, plan: Fit) -> int:
    """Return the bytes that a load was said to take of main memory."""
    return Scale(check(path), Machine(plan.threads, 0, 0)).weigh(plan).main


def measured(path: Path, plan: Fit) -> dict[str, int]:
    """Return what a process of its own holds after a conversation that fills the checkpoints."""
    said = [(role, f"{role} {number}. " * 8) for number in range(EXCHANGES) for role in ("user", "assistant")]
    told = {"model": str(path), "fit": asdict(plan), "history": [*said, ("user", "Go.")], "generated": 16}
    done = subprocess.run([sys.executable, str(HELD)], input=json.dumps(told), stdout=-1, text=True, check=True)
    return json.loads(done.stdout)


def memory_row(path: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """Return what was predicted and measured for one way to run a file, in bytes.

    Measured is what the process grew by: anonymous memory, and the pages of the file. What llama.cpp copied out of the
    file in another order counts once: it does not read those pages again, and the system takes them when it needs room.
    """
    header = check(path)
    plan = Fit(threads=1, **changes)  # memory is the same with more, and other programs are less of a hindrance
    plan = replace(plan, checkpoint_bytes=CHECKPOINTS * header.state_bytes + 4 * header.vocab_size)
    parts = measured(path, plan)
    copied = parts.get("model", 0)
    grown = parts["anonymous"] - parts["before"] + parts["mapped"] - copied
    said = predicted(path, plan)
    return {"file": path.name, **changes, "predicted": said, "measured": grown, "ratio": said / grown} | {
        "copied": copied,
        "read_again": parts["again"],
    }


def memory(folder: Path, show: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measure every way."""
    rows: list[dict[str, Any]] = []
    show(f"{'memory, MiB':<58}{'predicted':>10}{'measured':>10}{'ratio':>7}{'copied':>8}{'read again':>12}")
    for weights, changes in WAYS:
        row = memory_row(model_file(folder, "mid", weights), changes)
        rows.append(row)
        figures = [row[name] / 2**20 for name in ("predicted", "measured", "copied", "read_again")]
        words = ", ".join(f"{name} {value}" for name, value in changes.items())
        show(f"{weights}, {words:<52}{figures[0]:>10.0f}{figures[1]:>10.0f}{row['ratio']:>7.2f}{figures[2]:>8.0f}"
             f"{figures[3]:>12.0f}")  # fmt: skip
    return rows


@contextmanager
def others() -> Iterator[list[float]]:
    """Give a list that holds, afterwards, the share of the processors' time that other processes took."""
    shares: list[float] = []
    busy, own, began = _busy(), _own(), time.monotonic()
    yield shares
    seconds = (time.monotonic() - began) * (os.cpu_count() or 1)
    shares.append(max(0.0, (_busy() - busy - (_own() - own)) / seconds))


def _busy() -> float:
    """Return the seconds that all processors have worked: user, nice, system, interrupts, stolen (proc(5))."""
    words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    ticks = [int(word) for word in words]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def speed(folder: Path, rounds: Rounds, show: Callable[[str], None]) -> list[dict[str, Any]]:
    """Calibrate, measure, calibrate again, in rounds: what is predicted is the mean of before and after."""
    path = model_file(folder, "mid")
    wishes = Wishes(context=8192, threads=rounds.threads)
    plan = fit(check(path), Machine(physical_cores(), free_memory(), total_memory()), wishes)
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    shares: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        setup = Setup(path, plan, rounds.count, Sizes(), None, None, Path(scratch))
        for number in range(rounds.count):
            with others() as took:
                before = _calibrated(path, plan, wishes, rounds.seconds / 2)
                rates = list(_replies(setup, number))
                after = _calibrated(path, plan, wishes, rounds.seconds / 2)
            for length, read, written in rates:
                said = (before.prefill + after.prefill) / 2, (before.decode + after.decode) / 2
                found.setdefault(("prefill", length), []).append((said[0], read))
                found.setdefault(("decode", length), []).append((said[1], written))
            shares += took
    show(f"\n{'speed, tokens/s':<34}{'predicted':>10}{'measured':>10}{'ratio':>7}   of each round")
    rows: list[dict[str, Any]] = []
    for (kind, length), pairs in sorted(found.items()):
        ratios = [one / other for one, other in pairs]
        middle = [statistics.median(side) for side in zip(*pairs, strict=True)]
        row = {"kind": kind, "prompt": length, "predicted": middle[0], "measured": middle[1]}
        rows.append({**row, "ratio": statistics.median(ratios), "ratios": ratios})
        name = f"{kind}, prompt of about {length:,}"
        each = " ".join(f"{ratio:.2f}" for ratio in ratios)
        show(f"{name:<34}{middle[0]:>10.1f}{middle[1]:>10.1f}{statistics.median(ratios):>7.2f}   {each}")
    show(f"other processes took {', '.join(f'{share:.0%}' for share in shares)} of the processors in these rounds")
    return [*rows, {"kind": "others", "shares": shares}]


def _replies(setup: Setup, number: int) -> Iterator[tuple[int, float, float]]:
    """Yield, for each length of a prompt, the tokens a second that were read and written."""
    model = LlamaModel(setup.model, setup.fit)
    for length in LENGTHS:
        history = fresh_history(setup, number * len(LENGTHS) + length, length)
        usage = talk(model, history, [], Options(max_tokens=GENERATED, seed=number)).usage
        yield length, usage.evaluated / usage.prefill_seconds, (usage.generated - 1) / usage.decode_seconds
    model.close()


def _calibrated(path: Path, plan: Fit, wishes: Wishes, seconds: float) -> Expected:
    """Return what is said after a calibration, by the same way as `qwencode models list` takes."""
    engine = Engine(path, plan)
    machine = Machine(physical_cores(), free_memory(), total_memory())
    with tempfile.TemporaryDirectory() as scratch:
        keep(calibrate(engine, plan.draft_tokens, seconds), path, plan, Path(scratch))
        engine.close()
        outlook = of_file(path, Here(machine), wishes, Path(scratch))
    if outlook.expected is None or not outlook.expected.measured:
        raise RuntimeError("the calibration was not found again")
    return outlook.expected


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="table, memory, speed [all]")
    parser.add_argument("--repeat", type=int, default=5, help="rounds of `speed`")
    parser.add_argument("--threads", type=int, default=0, help="of `speed`; 0: the physical cores")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each calibration")
    parser.add_argument("--dir", type=Path, default=Path.home() / ".cache" / "qwencode-bench")
    options = parser.parse_args(words)
    parts = options.parts or ["table", "memory", "speed"]
    if unknown := set(parts) - {"table", "memory", "speed"}:
        parser.exit(2, f"There is no part {', '.join(sorted(unknown))}.\n")
    result: dict[str, Any] = {"load": os.getloadavg()[0]}
    show: Callable[[str], None] = lambda text: print(text, flush=True)  # noqa: E731
    if "table" in parts:
        result["table"] = [line(machine, free) for machine, free in MACHINES]
        show("\n".join([*result["table"], ""]))
    if "memory" in parts:
        result["memory"] = memory(options.dir, show)
    if "speed" in parts:
        result["speed"] = speed(options.dir, Rounds(options.repeat, options.seconds, options.threads), show)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
