"""What this machine has to give: cores and memory."""

import ctypes
import mmap
import os
from dataclasses import dataclass
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")
_LOWEST_BIT = bytes(value & 1 for value in range(256))
_MAPPED = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that llama.cpp can use, with its free bytes. `shared`: they are a part of main memory."""

    name: str
    free: int
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """Physical cores, bytes of main memory that are free and that there are (0: unknown), and the GPUs."""

    cores: int
    free: int
    total: int
    gpus: tuple[Gpu, ...] = ()


def physical_cores(cpus: Path = _CPUS, cgroup: Path = _CGROUP) -> int:
    """Return the physical cores that this process may use, at least 1.

    Two threads of one core count once, since they share what llama.cpp is short of. A container's CPU quota counts too:
    threads beyond it only wait for each other.
    """
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    siblings = {_read(cpus / f"cpu{cpu}" / "topology" / "thread_siblings_list") or str(cpu) for cpu in usable}
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    limit = round(int(quota) / int(period)) if quota.isdigit() and period.isdigit() else len(siblings)
    return max(1, min(len(siblings), limit))


def free_memory(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Return the bytes that could be allocated now without swapping; 0 when this cannot be known."""
    found = _entry(meminfo, "MemAvailable:")
    limit, used = _read(cgroup / "memory.max"), _read(cgroup / "memory.current")
    if limit.isdigit() and used.isdigit():
        stat = [line.split() for line in _read(cgroup / "memory.stat").splitlines()]
        cached = sum(int(number) for name, number in stat if name in ("active_file", "inactive_file"))
        left = max(0, int(limit) - int(used) + cached)
        return min(found, left) if found else left
    return found or _physical_memory()  # macOS tells only the whole


def total_memory(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Return the bytes of main memory that this process could ever have; 0 when this cannot be known."""
    found = _entry(meminfo, "MemTotal:") or _physical_memory()
    limit = _read(cgroup / "memory.max")
    return min(found or int(limit), int(limit)) if limit.isdigit() else found


def swap_memory(meminfo: Path = _MEMINFO) -> tuple[int, int]:
    """Return the bytes of swap that there are, and that are free; 0 when there are none or this cannot be known."""
    return _entry(meminfo, "SwapTotal:"), _entry(meminfo, "SwapFree:")


def uncached(path: Path) -> int:
    """Return how many bytes of a file would have to be read from disk now: those not in the page cache, by mincore(2).

    All of them where that cannot be known; Linux tells only who may write to the file. Raises OSError.
    """
    size = path.stat().st_size
    if not size or not os.access(path, os.W_OK):
        return size
    library = ctypes.CDLL(None)
    library.mmap.restype, library.mmap.argtypes = ctypes.c_void_p, (*_MAPPED, ctypes.c_int, ctypes.c_long)
    library.mincore.argtypes = (*_MAPPED[:2], ctypes.c_char_p)
    library.munmap.argtypes = _MAPPED[:2]
    with path.open("rb") as file:
        address = library.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    if address in (None, ctypes.c_void_p(-1).value):
        return size
    resident = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
    known = library.mincore(address, size, resident) == 0
    library.munmap(address, size)
    pages = resident.raw.translate(_LOWEST_BIT).count(1) if known else 0
    return max(0, size - pages * mmap.PAGESIZE)


def _entry(meminfo: Path, name: str) -> int:
    """Return the bytes of an entry, 0 when there is none."""
    lines = [line.split() for line in _read(meminfo).splitlines()]
    return next((int(line[1]) * 1024 for line in lines if line and line[0] == name), 0)


def _physical_memory() -> int:
    if "SC_PHYS_PAGES" not in os.sysconf_names:
        return 0
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
