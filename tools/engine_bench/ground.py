"""What every row of the benchmark stands on: the model file, the sizes, the rows, and a watch on llama.cpp."""

import hashlib
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import llama_cpp.llama_cpp as bindings
import numpy as np

import build_model
from qwencode.messages import Message, Reply, ToolSpec
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options

REAL_VOCABULARY = 248_320
NO_PEER = "not measured: give {}"
_BUILDER = Path(build_model.__file__)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured, in tokens; `saves` is how often a checkpoint is saved and restored."""

    context: int = 8192
    prompt: int = 1024
    generated: int = 64
    reply: int = 16
    result: int = 160
    prefix: int = 1500
    saves: int = 20


QUICK = Sizes(context=4096, prompt=96, generated=8, reply=4, result=24, prefix=200, saves=3)


@dataclass(frozen=True, slots=True)
class Setup:
    """What is measured: the file, how it is run, how often, and the peers' programs where they are given."""

    model: Path
    fit: Fit
    repeat: int
    sizes: Sizes
    server: Path | None
    bench: Path | None
    scratch: Path


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `reached` None: nothing to reach, or nothing to compare with."""

    name: str
    figure: str
    target: str = ""
    reached: bool | None = None
    note: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)


def at_least(target: float, figures: Sequence[float]) -> dict[str, Any]:
    """Return the fields of a row whose median must be at least `target`."""
    middle = statistics.median(figures)
    return {"figure": f"{middle:.2f}", "target": f">= {target:g}", "reached": middle >= target}


def at_most(target: float, figures: Sequence[float], form: str = ".2f") -> dict[str, Any]:
    """Return the fields of a row whose median must be at most `target`."""
    middle = statistics.median(figures)
    return {"figure": f"{middle:{form}}", "target": f"<= {target:g}", "reached": middle <= target}


def spread(figures: Sequence[float]) -> dict[str, float]:
    """Return the median and the ends of what was measured."""
    return {"median": statistics.median(figures), "least": min(figures), "most": max(figures), "count": len(figures)}


def model_file(folder: Path, preset: str, weights: str = "") -> Path:
    """Return a random-weight file with the real size of vocabulary, built once for this state of the builder.

    `weights`: the type of its matrices, '' for that of the preset.
    """
    preset_shape = build_model.PRESETS[preset]
    shape = replace(preset_shape, vocab=REAL_VOCABULARY, weights=weights or preset_shape.weights)
    mark = hashlib.blake2b(_BUILDER.read_bytes() + repr(shape).encode(), digest_size=6).hexdigest()
    path = folder / f"{preset}-{mark}.gguf"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        build_model.build(path, shape, name=f"random-{preset}")
    return path


def words(tokenize: Callable[[str, bool], list[int]], count: int, start: int = 0) -> str:
    """Return a text of about `count` tokens, another one for another `start`: the builder's own source, on and on."""
    source = _BUILDER.read_text(encoding="utf-8")
    each = len(source) / len(tokenize(source, False))
    at = start * 997 % len(source)
    wanted = int(count * each)
    return (source * (2 + wanted // len(source)))[at : at + wanted]


def talk(model: LlamaModel, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options) -> Reply:
    """Let the model reply, to the end."""
    running = model.stream(history, tools, options)
    while True:
        try:
            next(running)
        except StopIteration as stop:
            return stop.value


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a llama.cpp function, in a thread. `tokens` are what `llama_decode` was given, from `position` on."""

    name: str
    began: float
    ended: float
    thread: int
    position: int = 0
    tokens: tuple[int, ...] = ()


class Watch:
    """Notes every call into llama.cpp while it is entered, whoever makes it, with the times of `clock`."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.calls: list[Call] = []
        self._kept: dict[str, Any] = {}

    def __enter__(self) -> "Watch":
        function = type(bindings.llama_decode)
        for name, value in vars(bindings).copy().items():
            if name.startswith("llama_") and isinstance(value, function):
                self._kept[name] = value
                setattr(bindings, name, self._noted(name, value))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name, value in self._kept.items():
            setattr(bindings, name, value)

    def take(self) -> list[Call]:
        """Return the calls since the last time."""
        taken, self.calls = self.calls, []
        return taken

    def _noted(self, name: str, function: Any) -> Callable[..., Any]:
        if name == "llama_decode":

            def decode(context: Any, batch: Any) -> Any:
                tokens = tuple(np.ctypeslib.as_array(batch.token, (batch.n_tokens,)).tolist())
                position = batch.pos[0] if batch.pos else 0
                began = self._clock()
                result = function(context, batch)
                self.calls.append(Call(name, began, self._clock(), threading.get_ident(), position, tokens))
                return result

            return decode

        def other(*arguments: Any) -> Any:
            began = self._clock()
            result = function(*arguments)
            self.calls.append(Call(name, began, self._clock(), threading.get_ident()))
            return result

        return other
