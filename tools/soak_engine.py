"""Let the engine live through sessions for hours, and say whether its memory stays flat.

    python tools/soak_engine.py                       (two hours, on a tiny file with random weights)
    python tools/soak_engine.py --minutes 10 --file MODEL.gguf

A session is what an agent does: messages are appended, the last turn is tried again, the past is edited, calls are
forced, and replies are abandoned in the middle. The resident memory is taken after every session. After the warm-up (a
fifth of the time, in which caches fill) the program fits a line through it, prints its slope, and exits with 1 when the
last tenth lies more than the bound above the first tenth. Linux only: it reads /proc.
"""

import argparse
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import build_model
from qwencode.messages import Message, ToolSpec
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options

BOUND = 32.0
"""MiB. After the warm-up the caches of messages and checkpoints are full; Python's own heap moves by a few."""
TEXT = "def mend(x):\n    return [y for y in x if y <= 3]  # <tool_call> </think>\n" * 6
WORDS = {"type": "array", "items": {"type": "string"}}


def resident() -> float:
    """Return the memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def tools_of(number: int) -> list[ToolSpec]:
    """Return declarations of which there are many sets, so that grammars come and go."""
    properties = {"file_path": {"type": "string"}, f"line_{number % 50}": {"type": "integer"}, "items": WORDS}
    schema = {"type": "object", "properties": properties, "required": ["file_path"]}
    return [ToolSpec("read_file", "Read.", schema), ToolSpec("run_tests", "Run.", {"type": "object", "properties": {}})]


def session(model: LlamaModel, number: int) -> None:
    """Live through one conversation of about eight replies."""
    chance, tools = random.Random(number), tools_of(number)
    history = [Message("system", f"You are terse. Session {number}."), Message("user", chance.choice(["Mend.", TEXT]))]
    for turn in range(8):
        forced = turn % 3 == 1
        options = Options(turn % 2 == 1, 8, 300 if forced else 24, "required" if forced else "auto", seed=turn)
        act = chance.choice(["append", "append", "retry", "edit", "cancel"])
        stream = model.stream(history, tools, options)
        if act == "cancel":
            for _ in itertools.islice(stream, chance.randrange(12)):
                pass
            stream.close()
            continue
        while True:
            try:
                next(stream)
            except StopIteration as end:
                reply = end.value
                break
        if act == "append":
            answers = [Message("tool", TEXT, answers=call.id) for call in reply.message.tool_calls]
            history = [*history, reply.message, *(answers or [Message("user", f"Go on with {turn}.")])]
        elif act == "edit" and len(history) > 3:
            place = chance.randrange(1, len(history))
            history[place] = Message("user", f"Something else {turn}.")
            history = history[: place + 1]


def growth(samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the slope of (seconds, MiB) in MiB an hour, and how far the last tenth lies above the first, in MiB."""
    times, sizes = np.array(samples).T
    tenth = max(1, len(samples) // 10)
    slope = float(np.polyfit(times, sizes, 1)[0]) * 3600 if len(samples) > 1 else 0.0
    return slope, float(sizes[-tenth:].mean() - sizes[:tenth].mean())


def soak(path: Path, seconds: float, warm_up: float) -> list[tuple[float, float]]:
    """Run sessions for so long and return (seconds, MiB) after each one that ended after the warm-up."""
    model = LlamaModel(path, Fit(context=4096, threads=1, batch=64, checkpoint_bytes=4 << 20), string_limit=8)
    began, told, samples = time.monotonic(), 0.0, list[tuple[float, float]]()
    for number in itertools.count():
        session(model, number)
        now = time.monotonic() - began
        if now >= warm_up:
            samples.append((now, resident()))
        if now >= told:
            print(f"{now / 60:7.1f} min  {number + 1:7,} sessions  {resident():8.1f} MiB", flush=True)
            told = now + max(10.0, seconds / 60)
        if now >= seconds and samples:
            break
    model.close()
    return samples


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--bound", type=float, default=BOUND, help="MiB that memory may grow by after the warm-up")
    parser.add_argument("--file", type=Path, help="a model file; left out, a tiny one is made")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = given.file or Path(folder) / "tiny.gguf"
        if not given.file:
            build_model.build(path, build_model.PRESETS["tiny"], name="random-tiny")
        seconds = given.minutes * 60
        samples = soak(path, seconds, seconds / 5)
    slope, grown = growth(samples)
    print(f"{len(samples):,} sessions after the warm-up: {slope:+.2f} MiB an hour, {grown:+.2f} MiB from first to last")
    if grown > given.bound:
        print(f"memory grew by more than {given.bound:g} MiB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
