"""What llama.cpp can compute on here, and what it could if it were built for it."""

import ctypes
import platform
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qwencode.model.llama.ggml import function
from qwencode.model.llama.library import lib, start
from qwencode.model.llama.machine import Gpu, Machine, free_memory, physical_cores, total_memory

Kind = Literal["cpu", "gpu", "integrated", "accelerator"]
_KINDS: tuple[Kind, ...] = ("cpu", "gpu", "integrated", "accelerator")  # in the order of ggml's enumeration
_METAL = "MTL"
_NVIDIA = ("dev/nvidia0", "proc/driver/nvidia/version", "usr/lib/wsl/lib/libcuda.so.1")
_AMD_VENDOR, _INTEL_VENDOR = "0x1002", "0x8086"
_INTEL_IN_THE_CPU = "0000:00:02.0"  # the place on the bus that Intel's processor graphics always have


@dataclass(frozen=True, slots=True)
class Device:
    """A device that llama.cpp was built for and has found: its backend, its names and its memory in bytes."""

    backend: str
    name: str
    description: str
    kind: Kind
    free: int
    total: int

    @property
    def shares_memory(self) -> bool:
        """Whether its memory is a part of main memory. Metal calls itself a GPU also where it is integrated."""
        return self.kind == "integrated" or (self.backend == _METAL and platform.machine() == "arm64")


def devices() -> list[Device]:
    """Return the devices, in llama.cpp's order. The CPU is one of them."""
    start()
    count = function("ggml_backend_dev_count", ctypes.c_size_t)
    get = function("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    return [_device(get(number)) for number in range(count())]


def machine(found: Sequence[Device]) -> Machine:
    """Return this machine with the GPUs among the devices.

    As in llama.cpp, integrated ones count only where there is no other. One that does not tell its memory is left out.
    """
    usable = [device for device in found if device.total and device.kind in ("gpu", "integrated")]
    own = [device for device in usable if device.kind == "gpu"] or usable[:1]
    gpus = tuple(Gpu(device.description, device.free, device.shares_memory) for device in own)
    return Machine(physical_cores(), free_memory(), total_memory(), gpus)


def features() -> tuple[str, ...]:
    """Return what llama.cpp says of itself and the processor: the instructions that it uses, and ways of computing."""
    start()
    text = lib.llama_print_system_info().decode("utf-8", "replace")
    return tuple(name for name, value in re.findall(r"(\w+) = (\d+)", text) if value != "0")


def missing_backend(found: Sequence[Device], root: Path = Path("/"), system: str = "", processor: str = "") -> str:
    """Return the sentence that says how to reinstall llama.cpp for the GPU of this machine; '' when it uses one.

    Also '' where there is none, or only graphics inside an Intel processor, on which nothing would be faster.
    `root`: where the files of the system lie; `system`, `processor`: as `platform` names them, '' for this one.
    """
    if any(device.kind in ("gpu", "integrated") for device in found):
        return ""
    system, processor = system or platform.system(), processor or platform.machine()
    if system == "Darwin":
        return _advice("an Apple GPU", "METAL") if processor == "arm64" else ""
    if any((root / path).exists() for path in _NVIDIA):
        return _advice("an NVIDIA GPU", "CUDA")
    vendors = _vendors(root)
    if _AMD_VENDOR in vendors:
        return _advice(
            "an AMD GPU", "HIP" if (root / "dev/kfd").exists() and (root / "opt/rocm").exists() else "VULKAN"
        )
    return _advice("an Intel GPU", "VULKAN") if _INTEL_VENDOR in vendors else ""


def _advice(what: str, backend: str) -> str:
    return (
        f"This machine has {what}, and llama.cpp was built without it or cannot reach it; to build it anew: "
        f'CMAKE_ARGS="-DGGML_{backend}=on" pip install --force-reinstall --no-cache-dir llama-cpp-python'
    )


def _vendors(root: Path) -> Collection[str]:
    """Return the PCI vendors of the graphics cards."""
    found: set[str] = set()
    for entry in (root / "sys/class/drm").glob("card*/device/vendor"):
        try:
            vendor = entry.read_text(encoding="ascii").strip().lower()
        except (OSError, UnicodeDecodeError):
            continue
        if vendor != _INTEL_VENDOR or entry.parent.resolve().name != _INTEL_IN_THE_CPU:
            found.add(vendor)
    return found


def _device(handle: int) -> Device:
    def text(name: str, of: int) -> str:
        return function(name, ctypes.c_char_p, ctypes.c_void_p)(of).decode("utf-8", "replace")

    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    sizes = (ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t))
    function("ggml_backend_dev_memory", None, *sizes)(handle, ctypes.byref(free), ctypes.byref(total))
    kind: int = function("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)(handle)
    registry: int = function("ggml_backend_dev_backend_reg", ctypes.c_void_p, ctypes.c_void_p)(handle)
    return Device(
        backend=text("ggml_backend_reg_name", registry),
        name=text("ggml_backend_dev_name", handle),
        description=text("ggml_backend_dev_description", handle),
        kind=_KINDS[kind] if kind < len(_KINDS) else "accelerator",
        free=free.value,
        total=total.value,
    )
