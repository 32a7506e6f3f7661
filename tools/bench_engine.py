"""How well qwencode runs a model file in its own process, against llama.cpp's programs and llama-cpp-python.

    python tools/bench_engine.py [--full] [--llama-server PATH] [--llama-bench PATH] [--repeat N] [--only ROW ...]

Builds a random-weight file once: mid-sized, or with `--full` in the exact shape of the 35B (16 GB). Everything is
measured in one run on that file, with the same threads and batches, and figures are ratios: the machine's speed drops
out, the peers' runs lie between the engine's. Prints a table, and one line of JSON last.

Rows: speed, tokens, start, speculation, grammar, checkpoint, memory, python.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import qwencode
from engine_bench.agent import evaluated_tokens
from engine_bench.copying import speculation_row
from engine_bench.ground import QUICK, Row, Setup, Sizes, model_file
from engine_bench.memory import checkpoints, resident, second_start
from engine_bench.peers import PeerFailed, versions
from engine_bench.speed import grammar, python_time, throughput
from qwencode.errors import ModelUnavailable
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.machine import physical_cores

ROWS: dict[str, Callable[[Setup], Row | list[Row]]] = {
    "speed": throughput,
    "tokens": evaluated_tokens,
    "start": second_start,
    "speculation": speculation_row,
    "grammar": grammar,
    "checkpoint": checkpoints,
    "memory": resident,
    "python": python_time,
}


def arguments(words: list[str]) -> argparse.Namespace:
    """Read the command line; exits with status 2 for what cannot be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the exact shape of the 35B: 16 GB, an hour on two cores")
    parser.add_argument("--model", type=Path, help="a file to measure instead of one with random weights")
    parser.add_argument(
        "--dir", type=Path, default=Path.home() / ".cache" / "qwencode-bench", help="where files are kept"
    )
    parser.add_argument("--llama-server", type=Path, help="the program, built from the same llama.cpp")
    parser.add_argument("--llama-bench", type=Path, help="the program, built from the same llama.cpp")
    parser.add_argument("--repeat", type=int, default=5, help="how often each speed is measured")
    parser.add_argument("--threads", type=int, default=0, help="0: the physical cores")
    parser.add_argument("--batch", type=int, default=0, help="tokens; 0: the engine's own choice")
    parser.add_argument("--quick", action="store_true", help="few tokens: shows that it runs, measures nothing")
    parser.add_argument("--json", action="store_true", help="the line of JSON alone")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    options = parser.parse_args(words)
    for path in (options.model, options.llama_server, options.llama_bench):
        if path and not path.is_file():
            parser.exit(2, f"{path} is not a file.\n")
    if options.repeat < 1:
        parser.exit(2, "--repeat must be at least 1.\n")
    return options


def machine() -> dict[str, str | int]:
    """Return what the figures hold for."""
    names = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": physical_cores(),
        "memory": memory[0] if memory else 0,
        "load": f"{os.getloadavg()[0]:.1f}",
        "system": platform.platform(),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []


def measured(setup: Setup, names: list[str], show: Callable[[Row], None]) -> list[Row]:
    """Measure the rows in their order. What a peer cannot do becomes the row's note."""
    rows: list[Row] = []
    for name in names:
        try:
            found = ROWS[name](setup)
        except PeerFailed as error:
            found = Row(name, "-", note=str(error))
        for row in found if isinstance(found, list) else [found]:
            rows.append(row)
            show(row)
    return rows


def show(row: Row) -> None:
    """Print a line of the table."""
    reached = {True: "yes", False: "NO", None: "-"}[row.reached]
    print(f"{row.name:<62}{row.figure:>14}  {row.target:<22}{reached:<5}{row.note}", flush=True)


def main(words: list[str]) -> int:
    options = arguments(words)
    path = options.model or model_file(options.dir, "full" if options.full else "mid")
    sizes = QUICK if options.quick else Sizes()
    fit = Fit(sizes.context, options.threads or physical_cores())
    fit = replace(fit, batch=options.batch or fit.batch)
    about = {"machine": machine(), "file": path.name, "bytes": path.stat().st_size, "fit": asdict(fit)}
    if not options.json:
        print(f"{'row':<62}{'figure':>14}  {'target':<22}{'':<5}", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as scratch:
        setup = Setup(path, fit, options.repeat, sizes, options.llama_server, options.llama_bench, Path(scratch))
        try:
            rows = measured(setup, options.only, (lambda _: None) if options.json else show)
        except ModelUnavailable as error:
            print(error, file=sys.stderr)
            return 2
    about |= {"versions": {"qwencode": qwencode.__version__, **versions()}, "repeat": options.repeat}
    print(json.dumps({**about, "rows": [asdict(row) for row in rows]}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
