"""What is kept: checkpoints, the prefix on disk, and the memory of the whole process."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from engine_bench.ground import Row, Setup, at_most, spread, talk, words
from engine_bench.speed import fresh_history
from qwencode.messages import Message
from qwencode.model.llama.library import Engine
from qwencode.model.llama.model import LlamaModel
from qwencode.model.llama.prefix_store import PrefixStore
from qwencode.model.protocol import Options

_STORE_BYTES = 8 << 30
_HELD = Path(__file__).with_name("held.py")


def checkpoints(setup: Setup) -> Row:
    """Save and restore the recurrent state behind a prompt."""
    engine = Engine(setup.model, setup.fit)
    tokens = engine.tokenize(words(engine.tokenize, setup.fit.batch), False)[: setup.fit.batch]
    engine.decode(tokens, 0, 1)
    saves: list[float] = []
    restores: list[float] = []
    size = 0
    for _ in range(setup.sizes.saves):
        began = time.perf_counter()
        state = engine.save()
        saved = time.perf_counter()
        if not engine.restore(state, len(tokens)):
            raise RuntimeError("a checkpoint was not restored")
        restores.append(1000 * (time.perf_counter() - saved))
        saves.append(1000 * (saved - began))
        size = state.nbytes
    engine.close()
    figure = f"{statistics.median(saves):.1f} / {statistics.median(restores):.1f} ms"
    numbers = {"bytes": size, "save_ms": spread(saves), "restore_ms": spread(restores)}
    return Row("checkpoint, save / restore", figure, "printed", None, f"{size:,} bytes", numbers)


def second_start(setup: Setup) -> Row:
    """Compare the wait for the first token of a second start, which finds the prefix on disk, with that of a first."""
    name = f"first token, second start over first, prefix of {setup.sizes.prefix:,} tokens"
    cold: list[tuple[float, float]] = []
    warm: list[tuple[float, float]] = []
    for number in range(setup.repeat):
        system = fresh_history(setup, number, setup.sizes.prefix)[1].content
        history = [Message("system", system), Message("user", "Go on.")]
        with tempfile.TemporaryDirectory(dir=setup.scratch) as folder:
            cold.append(_first_token(setup, history, Path(folder)))
            warm.append(_first_token(setup, history, Path(folder)))
    ratios = [second[1] / first[1] for first, second in zip(cold, warm, strict=True)]
    loads = [load for load, _ in (*cold, *warm)]
    numbers = {"ratio": spread(ratios), "load_s": spread(loads)}
    numbers |= {"cold_s": spread([wait for _, wait in cold]), "warm_s": spread([wait for _, wait in warm])}
    note = f"{numbers['warm_s']['median']:.3f} after {numbers['cold_s']['median']:.3f} s; loading the file before it "
    return Row(name, **at_most(0.05, ratios, ".3f"), note=f"{note}{statistics.median(loads):.2f} s", numbers=numbers)


def _first_token(setup: Setup, history: Sequence[Message], folder: Path) -> tuple[float, float]:
    """Return the seconds of loading, and from then on to the first token."""
    began = time.perf_counter()
    model = LlamaModel(setup.model, setup.fit, store=PrefixStore(folder, _STORE_BYTES))
    loaded = time.perf_counter()
    talk(model, history, [], Options(max_tokens=1, seed=1))
    ended = time.perf_counter()
    model.close()
    return loaded - began, ended - loaded


def resident(setup: Setup) -> Row:
    """Compare what a process of the engine holds with what it must hold: file, caches, checkpoints, compute buffers.

    It is asked in a process of its own, after a prompt and a reply. The file counts as held in whole, since it is
    mapped and every expert is used sooner or later. llama.cpp says the sizes of its buffers in its log. Whatever is
    above them is Python, its libraries, llama.cpp's tables of the vocabulary and what is left of loading.
    """
    history = [(message.role, message.content) for message in fresh_history(setup, 0, setup.sizes.prompt)]
    told = {"model": str(setup.model), "fit": asdict(setup.fit), "history": history, "generated": setup.sizes.generated}
    done = subprocess.run(
        [sys.executable, str(_HELD)], input=json.dumps(told), stdout=subprocess.PIPE, text=True, check=True
    )
    parts: dict[str, int] = json.loads(done.stdout)
    must = sum(parts[name] for name in ("file", "KV", "RS", "compute", "output", "checkpoints"))
    has = parts["file"] + parts["anonymous"] + parts["libraries"]
    mib = {name: round(size / 2**20, 1) for name, size in parts.items()}
    note = ", ".join(f"{name} {size:,.0f}" for name, size in mib.items()) + " MiB"
    return Row("resident memory over what it must hold", **at_most(1.1, [has / must]), note=note, numbers=parts)
