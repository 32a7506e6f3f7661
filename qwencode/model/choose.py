"""From what the user calls a model to the model: the URL of a server, a GGUF file, or the name of one in its place."""

import math
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qwencode.errors import ModelUnavailable
from qwencode.model import catalogue
from qwencode.model.found import OLLAMA, OURS, Found, others, own, path_of
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.fitting import CACHE_TYPES, Wishes, describe, fit, with_mtp
from qwencode.model.llama.gguf_header import LINE_FORM, Header, check
from qwencode.model.llama.machine import Machine, free_memory, physical_cores, total_memory, uncached
from qwencode.model.protocol import Model
from qwencode.settings import Places, Settings

if TYPE_CHECKING:
    from qwencode.model.llama.model import LlamaModel

_PREFERRED = ("qwen3.6-35b-a3b", "qwen3.6", "qwen3.5-35b-a3b", "qwen3.5", "")
BUILTIN = "builtin"
"""The name of the model in the package, which is small: it mends single lines of Python."""
BUILTIN_FILE = Path(__file__).parent / "builtin" / "builtin.gguf"
_LINE_CONTEXT = 4096  # ten times what one of its conversations takes
_SCHEMES = ("http://", "https://")
_REACH_SECONDS = 5.0
_LOAD_SECONDS = 0.5  # what it takes for a file of 15 GB that is in memory
_READ_SPEED = 1e9  # bytes a second from disk: half of what an NVMe drive does, twice what a SATA drive does


def open_model(name: str, settings: Settings, places: Places) -> Model:
    """Open a model. Raises ModelUnavailable, in one sentence, when there is none of this name or it cannot be used."""
    if is_server(name):
        from qwencode.model.server import ServerModel  # the HTTP client is loaded only for a server

        return ServerModel(name)
    return open_file(name, settings, places)


def open_file(name: str, settings: Settings, places: Places, measuring: bool = False) -> "LlamaModel":
    """Open a model that is a file, in this process. Raises ModelUnavailable as `open_model` does.

    The file's own head for guessing tokens is used where it was measured that it pays; `measuring`: also where that was
    not measured yet.
    """
    path = find_file(name, places)
    header = check(path)
    try:
        from qwencode.model.llama.calibration import load  # llama.cpp is loaded only to run it
        from qwencode.model.llama.devices import devices, machine, missing_backend
        from qwencode.model.llama.model import LlamaModel
        from qwencode.model.llama.prefix_store import PrefixStore
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelUnavailable(
            f"llama.cpp cannot be loaded ({error}): reinstall it with `pip install --force-reinstall llama-cpp-python`."
        ) from error
    if header.form == LINE_FORM:
        return LlamaModel(path, _line_fit(header, settings))
    store = PrefixStore(places.prefixes, settings.prefix_store_mb * 10**6) if settings.prefix_store_mb else None
    found = devices()
    here = machine(found)
    plan = fit(header, here, wishes(settings))
    speed = load(path, plan, places.cache)
    if (speed and speed.mtp_pays) or (measuring and not (speed and speed.mtp)):
        plan = with_mtp(plan, header, here)

    def opened(plan: Fit) -> LlamaModel:
        about = (describe(plan, header, here), missing_backend(found))
        return LlamaModel(path, plan, store=store, speed=speed, about=about)

    try:
        return opened(plan)
    except ModelUnavailable:
        if not plan.mtp:
            raise
    return opened(replace(plan, mtp=False))  # a head that cannot be used is no reason to do without the model


def mends_lines(name: str, places: Places) -> bool:
    """Say whether a model mends single lines and nothing else. Raises ModelUnavailable for a file that is none."""
    return not is_server(name) and check(find_file(name, places)).form == LINE_FORM


def seconds_to_read(name: str, settings: Settings, places: Places, tokens: int) -> float:
    """Return about how long it takes to load a model and to let it read so many tokens.

    Infinite for one that cannot say how likely texts are, does not fit, or was never measured on this machine.
    """
    try:
        path = Path() if is_server(name) else find_file(name, places)
        if is_server(name) or (header := check(path)).form == LINE_FORM:
            return math.inf
        from qwencode.model.llama.calibration import load
        from qwencode.model.llama.devices import devices, machine

        speed = load(path, fit(header, machine(devices()), wishes(settings)), places.cache)
        return seconds_to_load(path) + speed.seconds(tokens) if speed else math.inf
    except (ModelUnavailable, ImportError, OSError, RuntimeError):
        return math.inf  # who opens it is told why


def seconds_to_load(path: Path) -> float:
    """Return about how long it takes to load a file, by how much of it is still in memory. Raises OSError."""
    return _LOAD_SECONDS + uncached(path) / _READ_SPEED


def is_server(name: str) -> bool:
    """Say whether a model is called by the URL of a server."""
    return name.lower().startswith(_SCHEMES)


def wishes(settings: Settings) -> Wishes:
    """Return what the settings say about how a model in this process is run."""
    return Wishes(
        context=settings.context,
        threads=settings.threads,
        batch=settings.batch,
        gpu_layers=settings.gpu_layers,
        cpu_experts=settings.cpu_experts,
        cache_type=next((kind for kind in CACHE_TYPES if kind == settings.cache_type), None),
        draft_tokens=settings.draft_tokens,
    )


def check_model(name: str, places: Places) -> None:
    """Raise ModelUnavailable when `open_model` could not open it, as far as can be known without loading anything."""
    if not is_server(name):
        check(find_file(name, places))
        return
    try:
        parts = urlsplit(name)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme.lower()]
        socket.create_connection((parts.hostname or "", port), _REACH_SECONDS).close()
    except (OSError, ValueError, UnicodeError) as error:
        raise ModelUnavailable(
            f"{name} cannot be reached ({error}). Is the server running, and the address right?"
        ) from error


def _here() -> Machine:
    """Return this machine with its GPUs, for which llama.cpp is loaded; without them where that is not possible."""
    try:
        from qwencode.model.llama.devices import devices, machine

        return machine(devices())
    except (ImportError, OSError, RuntimeError):
        return Machine(physical_cores(), free_memory(), total_memory())


def find_default(settings: Settings, places: Places, here: Callable[[], Machine] = _here) -> str:
    """Return the configured model; else the best file on this machine that can be run; else ''.

    The best: one that fits into memory, then the newest family, then one of our own, then the largest file; files of
    other families than Qwen3.5 and 3.6 only if they are our own. `here` is asked, for the GPUs, only where main memory
    alone would not do for all of them.
    """
    if settings.model:
        return settings.model
    memory = free_memory()
    files = on_disk(places)
    if memory and any(file.size > memory for file in files):
        memory += sum(gpu.free for gpu in here().gpus if not gpu.shared)

    def rank(file: Found) -> tuple[bool, int, bool, int]:
        family = next(number for number, part in enumerate(_PREFERRED) if part in file.name.lower())
        return bool(memory) and file.size > memory, family, file.owner != OURS, -file.size

    for file in sorted((file for file in files if file.owner != OLLAMA), key=rank):
        try:
            header = check(file.path)
            if header.form == LINE_FORM or not (header.recurrent or file.owner == OURS):
                continue  # never what somebody meant who did not say so, or put it there
        except ModelUnavailable:
            continue
        same = [other for other in files if other.name.lower() == file.name.lower()]
        return file.name if same == [file] and os.sep not in file.name else str(file.path)
    return ""


def on_disk(places: Places) -> list[Found]:
    """Return the model files on this machine, our own first."""
    return [*own(places), *others(places)]


def find_file(name: str, places: Places) -> Path:
    """Return the file of a name: BUILTIN, a path, or a file on this machine, whose name it may just begin.

    Our own files come before those of other programs. Raises ModelUnavailable that lists what is there.
    """
    if name.lower() == BUILTIN:
        if not BUILTIN_FILE.is_file():
            raise ModelUnavailable(f"The built-in model {BUILTIN_FILE} is missing; install qwencode again.")
        return BUILTIN_FILE
    given = path_of(name)
    if os.sep in name or (name.lower().endswith(".gguf") and os.path.exists(given)):  # noqa: PTH110 - any length
        return given
    wanted = name.lower().removesuffix(".gguf")
    files = on_disk(places)
    same = [file for file in files if file.name.lower() == wanted]
    begun = same or [file for file in files if file.name.lower().startswith(wanted)]
    begun = [file for file in begun if file.owner == OURS] or begun
    if len(begun) == 1 or (same and begun[0].owner != OURS):  # two other programs may have downloaded the same
        return begun[0].path
    if begun:
        raise ModelUnavailable(f"{name!r} could be {_listed(begun)}; give more of the name, or the file.")
    there = f"there are {_listed(files)}" if files else "there is none at all"
    entry = catalogue.find(name)
    how = (
        f"`qwencode models pull {entry.name}` gets it; or" if entry else "`qwencode models` shows which can be had; or"
    )
    raise ModelUnavailable(
        f"There is no model {name!r} on this machine, {there}. {how} put a GGUF of Qwen3.6-35B-A3B into "
        f"{places.models}, or give the path of a .gguf file, or the http:// URL of a server."
    )


def _line_fit(header: Header, settings: Settings) -> Fit:
    """Return how to run a file of a few megabytes: on one core, which it does not fill, and without guesses.

    Nothing is looked up or measured: that would take longer than the model takes to load.
    """
    chosen = wishes(settings)
    here = Machine(physical_cores(), free_memory(), total_memory())
    least = replace(
        chosen,
        context=chosen.context or _LINE_CONTEXT,
        threads=chosen.threads or 1,
        draft_tokens=max(0, chosen.draft_tokens),
        gpu_layers=0,
    )
    return fit(header, here, least)


def _listed(files: list[Found]) -> str:
    return ", ".join(file.name for file in files[:8]) + (", …" if len(files) > 8 else "")
