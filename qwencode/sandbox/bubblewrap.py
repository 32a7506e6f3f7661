"""The first rung: bubblewrap, with own mount, PID, network, IPC and host name namespaces.

Covered: the table of `policy.py` by read-only and empty mounts, also where a command that runs already swaps a
directory for a link while the next one starts (the shim compares what was mounted with what was meant); no network but
an own loopback interface; processes of the host are neither seen nor reachable, abstract Unix sockets neither, and
socket files are mounted over; everything dies with its process 1, and that with qwencode. Not covered: flaws of the
kernel itself; memory is bounded for each process, not in sum; how full the disk gets; a host socket that is opened
while a command is already running.

bwrap comes from the user's PATH, never from the repository. Commands of root keep no capability, except those over
files in a repository of another owner. Without the right to mount, or as another user, bwrap needs user namespaces.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from qwencode.sandbox.policy import Access, Table

CAPABILITIES = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_SYS_ADMIN": 21, "CAP_SYS_NICE": 23}
KEPT = ("CAP_SYS_NICE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER")
COVERS = (
    "no network (an own loopback only)",
    "writes only in the repository, declared caches and a scratch directory; private /tmp and /run",
    ".git, hooks and qwencode's own files are read-only",
    "credentials, shell and git settings, .env and key files are out of sight",
    "host processes and host sockets are out of reach",
    "limits on time, output, processes, file size and memory of each process",
    "every descendant is killed at the end",
)
GAPS = (
    "other files that you may read are readable",
    "what your git hooks run from the repository in turn",
    "no limit on memory in sum or on disk space",
    "kernel flaws",
)


def arguments(
    table: Table, nothing: Path, private: Mapping[Path, Path], filter_fd: int | None, held: int, file_rights: bool
) -> list[str]:
    """Return bwrap's arguments up to the command.

    `nothing` is an empty, unreadable file to put over hidden files; `private` says which directory stands for each
    PRIVATE one; `filter_fd` holds the compiled seccomp filter; `held` are qwencode's own capabilities (a bit set), of
    which root's shim keeps the right to raise its priority and, if `file_rights`, those over files of other owners.
    """
    words = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    sealed = list[Path]()
    for path, access in table.items():
        if path == Path("/") or path == Path("/dev/shm"):  # --dev brings an own /dev/shm
            continue
        if access == Access.PRIVATE:
            words += ["--bind", str(private[path]), str(path)]
        elif access == Access.HIDE and path.is_dir():
            words += ["--tmpfs", str(path)]
            sealed.append(path)
        elif access == Access.HIDE:
            words += ["--ro-bind", str(nothing), str(path)]
        else:
            words += ["--bind" if access == Access.WRITE else "--ro-bind", str(path), str(path)]
    for path in sealed:
        words += ["--remount-ro", str(path)]
    words += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--as-pid-1", "--die-with-parent", "--new-session"]
    if os.geteuid() == 0:
        words += ["--remount-ro", "/proc"]  # root needs no capability to write /proc/sys, and bwrap leaves it open
        words += [] if held >> CAPABILITIES["CAP_SYS_ADMIN"] & 1 else ["--unshare-user"]
        words += ["--cap-drop", "ALL"]
        for name in KEPT if file_rights else KEPT[:1]:
            words += ["--cap-add", name] if held >> CAPABILITIES[name] & 1 else []
    if filter_fd is not None:
        words += ["--seccomp", str(filter_fd)]
    return words
