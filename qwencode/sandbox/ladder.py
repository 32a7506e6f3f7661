"""The ladder: bubblewrap, else Landlock, else nothing by explicit wish. Each rung is tried by really running in it.

Covered and not covered: see `bubblewrap.py`, `landlock.py`, `policy.py`, `environment.py`, `process.py` and
`inside_shim.py`; `Sandbox.covers` and `Sandbox.gaps` say it in short. On macOS only the last rung exists so far
(`sandbox-exec` is not used yet).
"""

import contextlib
import fcntl
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qwencode.errors import SandboxUnavailable
from qwencode.sandbox import bubblewrap, landlock, seccomp
from qwencode.sandbox.environment import allowed
from qwencode.sandbox.policy import Access, Policy, Table, identity
from qwencode.sandbox.process import SHIM, Launch, Supervised, run_to_end
from qwencode.sandbox.protocol import Completed, Limits, Process, Sandbox
from qwencode.workspace import found_outside

RungName = Literal["bubblewrap", "landlock", "none"]
RUNGS: tuple[RungName, ...] = ("bubblewrap", "landlock", "none")
NONE_COVERS = ("environment filtered", "limits on time, output, processes, file size and memory of each process")
NONE_GAPS = ("NO CONFINEMENT: commands can read, write and send whatever you can",)

PREFIX = "qwencode-sandbox-"
_FRESH = 60.0
DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung as found on this machine. `reason` says why it is not available and what to do; '' when it is."""

    name: RungName
    available: bool
    reason: str
    covers: tuple[str, ...]
    gaps: tuple[str, ...]


class ConfinedSandbox:
    """A `sandbox.protocol.Sandbox` on one rung of the ladder. Open it with `open_sandbox`."""

    def __init__(self, rung: RungName, root: Path, writable: Sequence[Path], readable: Sequence[Path]):
        self.rung: str = rung
        self.covers, self.gaps = _claims(rung)
        self._environ = dict(os.environ)
        self._bwrap = found_outside(root, "bwrap", os.environ.get("PATH", ""))
        for path in writable:
            path.mkdir(parents=True, exist_ok=True)
        _sweep()
        self._base = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        self._lock = (self._base / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.scratch = self._base / "scratch"
        (self.scratch / "home").mkdir(parents=True)
        (self._base / "nothing").touch(0o000)
        own = (SHIM.parent, Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable))
        self._started = list[Supervised]()
        self._made = list[Path]()
        try:
            self._policy = Policy(root, self.scratch, writable, (*own, *readable), self._environ)
        except BaseException:
            self.close()
            raise

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        limits: Limits = DEFAULT_LIMITS,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        on_output: Callable[[bytes], None] | None = None,
    ) -> Completed:
        """See `Sandbox.run`. Raises SandboxUnavailable when the confinement itself fails; nothing has run then."""
        with tempfile.TemporaryFile() as source:
            source.write(stdin)
            source.seek(0)
            process = self._launch(command, cwd, limits, env, source, subprocess.STDOUT)
            return run_to_end(process, limits, on_output)

    def start(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        limits: Limits = DEFAULT_LIMITS,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """See `Sandbox.start`. The wall time and the number of processes are bounded here, too; output is not."""
        process = self._launch(command, cwd, limits, env, subprocess.PIPE, subprocess.DEVNULL)
        self._started = [other for other in self._started if other.poll() is None] + [process]
        return process

    def close(self) -> None:
        """See `Sandbox.close`."""
        for process in self._started:
            process.kill()
        self._started.clear()
        for path in reversed(self._made):
            with contextlib.suppress(OSError):  # in use by now, so it is not ours any more
                path.rmdir()
        self._made.clear()
        _remove(self._base)
        self._lock.close()

    def _launch(
        self, command: Sequence[str], cwd: Path, limits: Limits, env: Mapping[str, str] | None, stdin: Any, stderr: int
    ) -> Supervised:
        if self.rung != "none":
            _make_searchable(self._policy.root)
        table = {} if self.rung == "none" else self._policy.table(sockets=self.rung == "bubblewrap")
        kept = _capabilities(self._policy.root)
        home = Path(self._environ.get("HOME", "/"))
        plan: dict[str, Any] = {
            "argv": list(command),
            "cwd": str(cwd),
            "env": {**allowed(self._environ, home, self.scratch), **_git_trust(self._policy.root), **(env or {})},
            "seconds": limits.seconds,
            "processes": limits.processes,
            "memory_bytes": limits.memory_bytes,
            "file_bytes": limits.file_bytes,
            "tasks": _tasks(limits.processes),
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "capabilities": kept,
            "landlock": landlock.layer(table) if self.rung == "landlock" else None,
            "guard": landlock.guard() if self.rung != "bubblewrap" else None,
            "seccomp": self._filter([seccomp.AF_UNIX], ptrace=False).hex() if self.rung == "landlock" else "",
            "places": [],
        }
        plan["scoped"] = plan["guard"] is not None
        if self.rung != "bubblewrap":
            return Supervised(Launch(plan), stdin=stdin, stderr=stderr)
        return self._behind_bwrap(plan, table, kept, stdin, stderr)

    def _behind_bwrap(self, plan: dict[str, Any], table: Table, kept: int, stdin: Any, stderr: int) -> Supervised:
        places = [path for path, access in table.items() if access == Access.PRIVATE]
        private = {path: self._base / "private" / str(index) for index, path in enumerate(places)}
        for place in private.values():
            place.mkdir(parents=True, exist_ok=True)
        self._make_mount_points(table)
        shown = [path for path, access in table.items() if access >= Access.READ and path != Path("/")]
        plan["places"] = [(str(path), identity(path)) for path in shown]
        domains = [seccomp.AF_UNIX, seccomp.AF_INET, seccomp.AF_INET6, seccomp.AF_NETLINK]
        with tempfile.TemporaryFile() as program:
            program.write(self._filter(domains, ptrace=True))
            program.seek(0)
            fd = program.fileno() if seccomp.known(platform.machine()) else None
            words = bubblewrap.arguments(
                table, self._base / "nothing", private, fd, _effective_capabilities(), bool(kept)
            )
            launch = Launch(plan, (self._bwrap, *words, "--"), () if fd is None else (fd,))
            return Supervised(launch, stdin=stdin, stderr=stderr)

    def _make_mount_points(self, table: Table) -> None:
        """Make what must be read-only and does not exist yet, as empty directories; `close` removes them."""
        for path, access in table.items():
            missing = [path, *path.parents] if access == Access.READ and path in self._policy.protected else []
            for place in reversed([place for place in missing if not place.exists()]):
                place.mkdir(exist_ok=True)
                self._made.append(place)

    def _filter(self, domains: Sequence[int], *, ptrace: bool) -> bytes:
        machine = platform.machine()
        return seccomp.program(machine, domains, ptrace=ptrace) if seccomp.known(machine) else b""


def _remove(base: Path) -> None:
    for directory, below, _ in os.walk(base):  # a test may have locked its directories; links lead elsewhere
        for place in (Path(directory, name) for name in below):
            if not place.is_symlink():
                with contextlib.suppress(OSError):
                    place.chmod(stat.S_IRWXU)
    shutil.rmtree(base, ignore_errors=True)


def _sweep() -> None:
    """Remove what sandboxes of a killed qwencode left behind: nobody holds the lock in their directory any more."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
        with contextlib.suppress(OSError), lock.open("r+") as file:
            state = os.fstat(file.fileno())
            old = time.time() - state.st_mtime > _FRESH  # a younger one may be about to be locked
            if old and state.st_uid == os.geteuid():
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(lock.parent)


def _claims(rung: RungName) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if rung == "bubblewrap":
        unfiltered = () if seccomp.known(platform.machine()) else (f"no seccomp filter on {platform.machine()}",)
        return bubblewrap.COVERS, (*bubblewrap.GAPS, *unfiltered)
    return (landlock.covers(), landlock.gaps()) if rung == "landlock" else (NONE_COVERS, NONE_GAPS)


def _effective_capabilities() -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)


def _make_searchable(root: Path) -> None:
    """Give the owner the way into the work tree back, if a command took it away: the places to protect lie in it."""
    mode = stat.S_IMODE(root.stat().st_mode)
    if not mode & stat.S_IXUSR:
        with contextlib.suppress(PermissionError):  # it is somebody else's
            root.chmod(mode | stat.S_IRWXU)


def _capabilities(root: Path) -> int:
    """Return the capabilities that a command keeps: none, but for root in someone else's repository the file ones."""
    if os.geteuid() or root.stat().st_uid == 0:
        return 0
    bits = sum(1 << bubblewrap.CAPABILITIES[name] for name in bubblewrap.KEPT[1:])
    return bits & _effective_capabilities()


def _git_trust(root: Path) -> dict[str, str]:
    """Let git work in a repository of another owner: the user's own settings, which allowed it, are hidden inside."""
    if root.stat().st_uid == os.geteuid():
        return {}
    return {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": str(root)}


def _tasks(processes: int) -> int:
    """Return RLIMIT_NPROC, which counts threads of the user everywhere: a backstop, the exact count is the shim's.

    0 (unlimited) for root, whom the kernel does not bind by it, and where the present number is not known.
    """
    try:
        present = int(Path("/proc/loadavg").read_text().split()[3].split("/")[1])
    except OSError:
        return 0
    return present + 8 * processes if os.geteuid() else 0


def _obstacle(rung: RungName, root: Path) -> str:
    if rung == "none":
        return ""
    if rung == "landlock":
        return landlock.obstacle()
    if sys.platform != "linux":
        return "bubblewrap exists only on Linux"
    if not found_outside(root, "bwrap", os.environ.get("PATH", "")):
        return "bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap)"
    return ""


def _advice(rung: RungName, detail: str) -> str:
    """Return why a probe failed, with what to do about it where that is known."""
    detail = detail.splitlines()[-1] if detail else "no answer"
    if rung != "bubblewrap":
        return detail

    def switch(name: str) -> str:
        try:
            return Path("/proc/sys", name).read_text().strip()
        except OSError:
            return ""

    if switch("kernel/apparmor_restrict_unprivileged_userns") == "1" and os.geteuid():
        return (
            f"{detail}; AppArmor forbids user namespaces here (Ubuntu 23.10 and later): give bwrap a profile with "
            "`userns,` (package apparmor-profiles, bwrap-userns-restrict), or run "
            "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
        )
    if switch("kernel/unprivileged_userns_clone") == "0" or switch("user/max_user_namespaces") == "0":
        settings = "kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000"
        return f"{detail}; user namespaces are off: `sudo sysctl {settings}`"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return f"{detail}; this container may not make namespaces (allow it, e.g. `--security-opt seccomp=unconfined`)"
    return detail


def _climb(rung: RungName, root: Path, writable: Sequence[Path], readable: Sequence[Path]) -> ConfinedSandbox | str:
    """Open a rung and run a trivial command in it. Return the sandbox, or why there is none."""
    if reason := _obstacle(rung, root):
        return reason
    sandbox = ConfinedSandbox(rung, root, writable, readable)
    try:
        done = sandbox.run(["/bin/sh", "-c", "echo up"], cwd=root, limits=Limits(seconds=10))
        if done.output == b"up\n":
            return sandbox
        detail = done.text
    except SandboxUnavailable as error:
        detail = str(error)
    except BaseException:
        sandbox.close()
        raise
    sandbox.close()
    return _advice(rung, detail)


def survey(root: Path) -> tuple[Rung, ...]:
    """Try every rung for a repository and return what was found, best first (`none` is always there)."""
    found = list[Rung]()
    for name in RUNGS:
        outcome = _climb(name, root.resolve(), (), ())
        reason = outcome if isinstance(outcome, str) else ""
        if not isinstance(outcome, str):
            outcome.close()
        found.append(Rung(name, not reason, reason, *_claims(name)))
    return tuple(found)


def open_rung(name: RungName, root: Path, *, writable: Sequence[Path] = (), readable: Sequence[Path] = ()) -> Sandbox:
    """Open one given rung. Raises SandboxUnavailable with the reason when it does not work here."""
    outcome = _climb(name, root.resolve(), writable, readable)
    if isinstance(outcome, str):
        raise SandboxUnavailable(f"The sandbox {name} does not work here: {outcome}.")
    return outcome


def open_sandbox(
    root: Path, *, writable: Sequence[Path] = (), readable: Sequence[Path] = (), allow_none: bool = False
) -> Sandbox:
    """Open the best sandbox that works here for commands in the work tree `root`.

    `writable` names directories outside (caches) that commands may change, made if missing; `readable` names what must
    stay readable although it lies in a hidden place (an interpreter under /tmp). Raises SandboxUnavailable with what to
    install or allow when no rung works and `allow_none` was not given, and UsageError when `.git` is a symbolic link.
    """
    reasons = list[str]()
    for name in RUNGS if allow_none else RUNGS[:-1]:
        outcome = _climb(name, root.resolve(), writable, readable)
        if not isinstance(outcome, str):
            return outcome
        reasons.append(f"{name}: {outcome}")
    raise SandboxUnavailable(
        f"No sandbox works here. {'. '.join(reasons)}. Install or allow one of them, "
        "or pass --no-sandbox to run commands unconfined."
    )
