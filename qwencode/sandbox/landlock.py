"""The second rung: Landlock and a light seccomp filter, for machines without user namespaces (most containers).

Covered: the table of `policy.py` as far as an allow-list can say it; no socket but Unix ones, hence no TCP, UDP or DNS,
loopback included; signals to and abstract sockets of processes outside (kernel 6.12 on); looking into other processes
(/proc/PID/environ, mem, ptrace); devices other than the harmless ones. Not covered, since Landlock has no right for it:
mode, owner and times of files outside can be changed where the user may; names and sizes can be seen everywhere; Unix
sockets that are found by path can be connected to; /dev/shm is the host's, since multiprocessing needs it; a directory
above what a rule names that a command swaps for a link while the next one starts. And because rules only ever add
rights, a directory with something protected in it takes no new entries: the repository's top is one.

Needs ABI 3 (kernel 6.2): before, truncation outside was not held. Numbers after the kernel's userspace-api/landlock.rst
and linux/landlock.h.
"""

import ctypes
import os
import platform
import sys
from pathlib import Path
from typing import Any

from qwencode.sandbox import seccomp
from qwencode.sandbox.policy import Access, Table

MINIMUM_ABI = 3
_SYS_CREATE_RULESET = 444
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _IOCTL_DEV = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 15
_MAKE_DEVICES = 1 << 6 | 1 << 11
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_NET, _SCOPED = 3, 3  # TCP bind and connect; abstract Unix sockets and signals
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr")


def abi() -> int:
    """Return the Landlock ABI of the running kernel; 0 when there is none."""
    if sys.platform != "linux":
        return 0
    found: int = ctypes.CDLL(None, use_errno=True).syscall(_SYS_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return max(found, 0)


def obstacle() -> str:
    """Return why this rung cannot be used here, with what to do; '' when it may be tried."""
    if sys.platform != "linux":
        return "Landlock exists only on Linux"
    if not seccomp.known(platform.machine()):
        return f"the seccomp filter is not written for {platform.machine()}"
    found = abi()
    if not found:
        return "the kernel has no Landlock, or it is off (boot with `landlock` in the `lsm=` list; kernel 6.2 or newer)"
    return (
        ""
        if found >= MINIMUM_ABI
        else f"the kernel's Landlock is too old (ABI {found}, needed {MINIMUM_ABI}; kernel 6.2)"
    )


def covers() -> tuple[str, ...]:
    """Return what this kernel's Landlock holds."""
    return (
        "no network at all (no loopback either)",
        "writes only in the repository, declared caches and a scratch directory",
        ".git, hooks and qwencode's own files are read-only",
        "credentials, shell and git settings, .env and key files are unreadable",
        "memory, environment and files of host processes are out of reach",
        *(("no signals to host processes, no abstract sockets of the host",) if abi() >= 6 else ()),
        "limits on time, output, processes, file size and memory of each process",
        "every descendant is killed at the end",
    )


def gaps() -> tuple[str, ...]:
    """Return what this kernel's Landlock leaves open."""
    return (
        "other files that you may read are readable; names and sizes everywhere",
        "what your git hooks run from the repository in turn",
        "mode, owner and times of your files outside can be changed",
        "Unix sockets of the host can be reached by path (docker, D-Bus, ssh-agent)",
        "host processes can be listed, and /dev/shm is shared with them",
        *(() if abi() >= 6 else ("host processes can be signalled; abstract sockets of the host can be reached",)),
        "nothing new directly in the repository's top directory; no terminals; no /tmp but TMPDIR",
        "no limit on memory in sum or on disk space",
        "kernel flaws",
    )


def layer(table: Table) -> dict[str, Any]:
    """Return the Landlock layer for a command: attributes and [path, rights] rules."""
    found = abi()
    handled = (1 << (16 if found >= 5 else 15)) - 1
    write = handled & ~_MAKE_DEVICES & ~_IOCTL_DEV
    rules: list[tuple[str, int]] = [("/", _READ_DIR)]
    for path, access in table.items():
        if access in (Access.READ, Access.WRITE):
            _grant(table, path, write if access == Access.WRITE else _READ, rules)
    device = (_READ_FILE | _WRITE_FILE | _IOCTL_DEV) & handled
    rules += [(f"/dev/{name}", device) for name in _DEVICES]
    rules.append(("/dev/shm", write))
    return {**_attributes(found), "fs": handled, "net": _NET if found >= 4 else 0, "rules": rules}


def guard() -> dict[str, Any] | None:
    """Return the layer for the shim itself: scoping alone, so that its signals stay in the family; ABI 6 on."""
    found = abi()
    return {**_attributes(found), "fs": 0, "net": 0, "rules": []} if found >= 6 else None


def _attributes(found: int) -> dict[str, Any]:
    return {"size": 24 if found >= 6 else 16 if found >= 4 else 8, "scoped": _SCOPED if found >= 6 else 0}


def _grant(table: Table, path: Path, rights: int, rules: list[tuple[str, int]]) -> None:
    """Give rights on everything below a path but what has its own line in the table.

    A rule on a directory holds for all below it and cannot be taken back there. So a directory that contains something
    with fewer rights gets none of its own (beyond reading, if all below may be read); its entries get them one by one.
    """
    below = [access for other, access in table.items() if path in other.parents]
    least = min(below, default=Access.WRITE)
    if least == Access.WRITE or (least == Access.READ and rights == _READ) or not path.is_dir():
        if path != Path("/dev"):
            rules.append((str(path), rights))
        return
    if least == Access.READ:
        rules.append((str(path), _READ))
    try:
        with os.scandir(path) as entries:
            names = [entry.path for entry in entries if not entry.is_symlink()]
    except OSError:
        return
    for name in names:
        if (child := Path(name)) not in table and child != Path("/dev"):
            _grant(table, child, rights, rules)
