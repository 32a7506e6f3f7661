"""What this machine has to give: cores and memory."""

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")


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


def free_memory(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = _CGROUP) -> int:
    """Return the bytes that could be allocated now without swapping; 0 when this cannot be known."""
    found = 0
    for line in _read(meminfo).splitlines():
        if line.startswith("MemAvailable:"):
            found = int(line.split()[1]) * 1024
    limit, used = _read(cgroup / "memory.max"), _read(cgroup / "memory.current")
    if limit.isdigit() and used.isdigit():
        stat = [line.split() for line in _read(cgroup / "memory.stat").splitlines()]
        cached = sum(int(number) for name, number in stat if name in ("active_file", "inactive_file"))
        left = max(0, int(limit) - int(used) + cached)
        return min(found, left) if found else left
    if not found and "SC_PHYS_PAGES" in os.sysconf_names:  # macOS tells only the whole
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
