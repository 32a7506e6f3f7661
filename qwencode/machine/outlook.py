"""What a model would be like on this machine: whether it fits, how it would be run, how fast. Nothing is loaded."""

from dataclasses import dataclass
from pathlib import Path

from qwencode.errors import ModelUnavailable
from qwencode.machine.expect import Expected, expected, measure_memory
from qwencode.model.catalogue import Entry, catalogue
from qwencode.model.found import is_projector
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.fitting import Wishes, fit, place, with_mtp
from qwencode.model.llama.footprint import Scale
from qwencode.model.llama.gguf_header import LINE_FORM, Header, check
from qwencode.model.llama.machine import Machine, free_memory, physical_cores, total_memory
from qwencode.model.llama.shapes import header_of
from qwencode.settings import Places

FIRST_PROMPT = 4096
"""Tokens of a usual first prompt: the system message, the tools, what fails, and the code around it."""
LEAST_CONTEXT = 32_768
"""Less is a model that loads, not one that works through a task."""
_WIDE = "AVX512"


@dataclass(frozen=True, slots=True)
class Here:
    """This machine as llama.cpp sees it. `problem` says why llama.cpp cannot be loaded; then no GPU is known.

    `features`: the processor's instructions that llama.cpp uses. `bandwidth`: bytes a second that main memory gives.
    `advice`: how to build llama.cpp for a GPU that it does not use.
    """

    machine: Machine
    features: tuple[str, ...] = ()
    bandwidth: float = 0.0
    problem: str = ""
    advice: str = ""
    backends: tuple[str, ...] = ()

    @property
    def wide(self) -> bool:
        """Whether the cores compute on 512 bits at once."""
        return _WIDE in self.features


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a model would be run; `fit` is None where `problem` says why it cannot be."""

    header: Header | None
    fit: Fit | None = None
    where: str = ""
    expected: Expected | None = None
    problem: str = ""
    whole_on_gpu: bool = False


def look(measure: bool = True) -> Here:
    """Look at this machine; `measure`: also read memory for a tenth of a second, to see how fast that is."""
    plain = Machine(physical_cores(), free_memory(), total_memory())
    speed = measure_memory(plain.cores) if measure else 0.0
    try:
        from qwencode.model.llama import devices as llama  # loads llama.cpp
    except (ImportError, OSError, RuntimeError) as error:
        return Here(plain, bandwidth=speed, problem=f"llama.cpp cannot be loaded: {error}")
    found = llama.devices()
    here = llama.machine(found)
    backends = tuple(dict.fromkeys(device.backend for device in found))
    return Here(here, llama.features(), speed, "", llama.missing_backend(found), backends)


def of_file(path: Path, here: Here, wishes: Wishes, cache: Path) -> Outlook:
    """Return the outlook of a file that is on this machine, with its measured speed where `cache` has one."""
    try:
        header = check(path)
    except ModelUnavailable as error:
        return Outlook(None, problem=str(error))
    if header.form == LINE_FORM:
        return Outlook(header, problem="It mends single lines; it is used by its name or path alone.")
    found = _of(header, here, wishes)
    if found.fit is None or here.problem:
        return found
    from qwencode.model.llama.calibration import load

    if (speed := load(path, found.fit, cache)) is None:
        return found
    measured = Expected(speed.prefill, 1 / speed.decode, measured=True)
    return Outlook(found.header, found.fit, found.where, measured, "", found.whole_on_gpu)


def of_entry(entry: Entry, here: Here, wishes: Wishes) -> Outlook:
    """Return the outlook of a published file that is not here."""
    header = header_of(entry)
    if is_projector(entry.file):
        return Outlook(None, problem="It reads images, beside a model in a server; qwencode itself reads text.")
    return _of(header, here, wishes) if header else Outlook(None, problem="Its size is not known.")


def recommended(here: Here, wishes: Wishes) -> tuple[Entry, Outlook] | None:
    """Return the best published file for this machine, as the catalogue orders them; None when none fits."""
    for name in catalogue().recommended:
        entry = catalogue().entries[name]
        found = of_entry(entry, here, wishes)
        if not found.fit or found.fit.context < LEAST_CONTEXT or found.header is None:
            continue
        if not entry.mtp or (found.whole_on_gpu and with_mtp(found.fit, found.header, here.machine).mtp):
            return entry, found
    return None


def advice(places: Places, wishes: Wishes) -> str:
    """Return what to do for a model, in words: which one suits this machine, how large it is, how it gets here."""
    found = recommended(look(measure=False), wishes)
    if found:
        entry, _ = found
        pull = (
            f"`qwencode models pull {entry.name}` fetches the one that suits this machine ({entry.size / 1e9:.1f} GB)"
        )
    else:
        pull = "none that is known fits into the memory that is free here (`qwencode doctor` says more)"
    return (
        f"To go further, qwencode needs a larger model: {pull}. Or put a GGUF of Qwen3.6-35B-A3B into {places.models}, "
        "name one with --model FILE, or a running server with --model http://127.0.0.1:8080/v1."
    )


def _of(header: Header, here: Here, wishes: Wishes) -> Outlook:
    try:
        plan = fit(header, here.machine, wishes)
    except ModelUnavailable as error:
        return Outlook(header, problem=str(error))
    speed = expected(header, plan, here.machine, here.bandwidth, here.wide)
    layers = Scale(header, here.machine).layers
    whole = bool(here.machine.gpus) and plan.gpu_layers >= layers and not plan.cpu_experts
    return Outlook(header, plan, place(plan, header, here.machine), speed, whole_on_gpu=whole)
