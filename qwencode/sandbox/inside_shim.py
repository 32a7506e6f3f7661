"""The small init process of a confined command: confines a child, watches over it, and ends all that it left behind.

Started by `process.py` as `python -I -S inside_shim.py FD`, alone or as process 1 of bubblewrap's PID namespace. It is
not part of the package when it runs: standard library only. FD is a socket to qwencode: four bytes of length and a
JSON plan come in, one JSON report goes out, and end of file at any moment (qwencode is gone, or wants an end) means:
kill everything and leave.

Covered: every descendant is killed before the report is sent, daemonised ones too (they stay ours by process 1 or by
PR_SET_CHILD_SUBREAPER, prctl(2)); wall time and number of processes are watched every 25 ms; address space, file size
and core dumps are bounded by rlimits in the child, where capabilities, Landlock and seccomp are applied as the plan
says. Not covered: this process itself can be killed from inside by a kernel without Landlock signal scoping
(before 6.12) and without a PID namespace; on macOS there is no subreaper, and a daemonised process escapes the end.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any

LINUX = sys.platform == "linux"
TICK_MS = 25
PARTING = 0.15
"""Seconds that helpers of an ended command (a resource tracker, a logger) get to leave by themselves."""

DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that the guard does not hear: the socket tells it when to end."""

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 47
SYS_LANDLOCK_CREATE_RULESET, SYS_LANDLOCK_ADD_RULE, SYS_LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_FILE_RIGHTS = 1 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
"""The rights that a rule on something other than a directory may carry: execute, write, read, truncate, ioctl."""

libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The system did not do what the plan asks for; the command must not start."""


def prctl(option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *words) != 0:
        raise Refused(f"prctl({option}): {os.strerror(ctypes.get_errno())}")


class RulesetAttr(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


class SockFprog(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def landlock(layer: dict[str, Any]) -> None:
    """Enter one Landlock layer: the rights handled, the size of the attributes that this kernel knows, the rules."""
    attributes = RulesetAttr(layer["fs"], layer["net"], layer["scoped"])
    ruleset = libc.syscall(SYS_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(layer["size"]), 0)
    if ruleset < 0:
        raise Refused(f"landlock_create_ruleset: {os.strerror(ctypes.get_errno())}")
    for path, access in layer["rules"]:
        try:
            parent = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # gone since it was listed, or not ours to see: then nothing is granted
            continue
        rule = PathBeneathAttr(access, parent)
        done = libc.syscall(SYS_LANDLOCK_ADD_RULE, ruleset, 1, ctypes.byref(rule), 0)
        if done and ctypes.get_errno() == 22:  # EINVAL: not a directory
            rule.access = access & LANDLOCK_FILE_RIGHTS & layer["fs"]
            done = libc.syscall(SYS_LANDLOCK_ADD_RULE, ruleset, 1, ctypes.byref(rule), 0)
        os.close(parent)
        if done and ctypes.get_errno() not in (22, 77):  # EBADFD: no place for rules (a pipe, a kernel-internal file)
            raise Refused(f"landlock_add_rule {path}: {os.strerror(ctypes.get_errno())}")
    if libc.syscall(SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0):
        raise Refused(f"landlock_restrict_self: {os.strerror(ctypes.get_errno())}")
    os.close(ruleset)


def seccomp(program: bytes) -> None:
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = SockFprog(len(program) // 8, ctypes.addressof(buffer))
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(fprog))


def drop_capabilities(kept: int) -> None:
    """Keep only the capabilities of the bit set `kept`, now and after every exec (capabilities(7))."""
    for capability in range(64):
        if not kept >> capability & 1:
            libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)
    libc.prctl(PR_CAP_AMBIENT, 4, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    current = (ctypes.c_uint32 * 6)()
    libc.capget(header, current)
    words = [current[index] & (kept >> 32 * (index // 3) & 0xFFFFFFFF) for index in range(6)]
    if libc.capset(header, (ctypes.c_uint32 * 6)(*words)):
        raise Refused(f"capset: {os.strerror(ctypes.get_errno())}")


def check(places: list[Any]) -> None:
    """Refuse to go on where a path is not what it was when the rules were made, by device and inode.

    What runs inside already can put a link in the place of a directory while the next command starts.
    """
    for path, identity in places:
        try:
            found = os.lstat(path)
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}") from error
        if [found.st_dev, found.st_ino] != identity:
            raise Refused(f"{path} was replaced while the command was being started")


def limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def become(plan: dict[str, Any]) -> None:
    """Confine the calling (child) process as the plan says and turn it into the command. Returns only by raising."""
    os.setsid()
    if LINUX:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setpriority(os.PRIO_PROCESS, 0, plan["nice"])
    for number in (signal.SIGPIPE, signal.SIGXFSZ, *DEAF_TO):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    check(plan["places"])
    os.chdir(plan["cwd"])
    if LINUX:
        drop_capabilities(plan["capabilities"])
        if plan["landlock"]:
            landlock(plan["landlock"])
        if plan["seccomp"]:
            seccomp(bytes.fromhex(plan["seccomp"]))
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, plan["file_bytes"])
    if plan["tasks"]:
        limit(resource.RLIMIT_NPROC, plan["tasks"])
    if plan["memory_bytes"] and LINUX:  # macOS refuses it
        limit(resource.RLIMIT_AS, plan["memory_bytes"])
    os.execvpe(plan["argv"][0], plan["argv"], plan["env"])


def child(plan: dict[str, Any], trouble: int) -> None:
    """Run in the forked child: never returns. What could not be confined is told through the pipe `trouble`."""
    name, code = plan["argv"][0], 125
    try:
        become(plan)
    except Refused as error:
        os.write(trouble, str(error).encode())
    except (FileNotFoundError, NotADirectoryError) as error:
        code, what = 127, f"{plan['cwd']} is not a directory." if error.filename == plan["cwd"] else ""
        os.write(1, f"{what or f'{name}: no such program (looked for along PATH).'}\n".encode())
    except (OSError, ValueError) as error:
        code = 126
        os.write(1, f"{name}: cannot be run: {getattr(error, 'strerror', None) or error}\n".encode())
    finally:
        os._exit(code)


def family() -> list[int]:
    """Return the process ids of all descendants, zombies of others included."""
    me = os.getpid()
    if me == 1:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]  # noqa: PTH208
    found, index = [me], 0
    while index < len(found):
        try:
            for task in os.listdir(f"/proc/{found[index]}/task"):  # noqa: PTH208
                with open(f"/proc/{found[index]}/task/{task}/children", "rb") as file:  # noqa: PTH123
                    found += [int(word) for word in file.read().split()]
        except OSError:  # ended in between
            pass
        index += 1
    return found[1:]


def kill_all(command: int, scoped: bool) -> None:
    """Kill every descendant and wait until the last is gone.

    `kill(-1)` reaches everything at once and leaves no gap to a process that forks faster than it is hunted. It is
    used only where the kernel confines it to our own descendants: as process 1 of a PID namespace, or in a Landlock
    domain with signal scoping that was just seen to work, since our parent could not be signalled.
    """
    alone = os.getpid() == 1
    if scoped and not alone:
        try:
            os.kill(os.getppid(), 0)
        except PermissionError:
            alone = True
    while True:
        try:
            if alone:
                os.kill(-1, signal.SIGKILL)
            else:
                os.killpg(command, signal.SIGKILL)
        except OSError:  # none left to signal
            pass
        for pid in family():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def reap(command: int) -> int | None:
    """Reap what has ended; return the command's exit status once it is among them (negative: the signal's number)."""
    status = None
    try:
        while True:
            pid, raw = os.waitpid(-1, os.WNOHANG)
            if pid == command:
                status = os.waitstatus_to_exitcode(raw)
            if not pid:
                return status
    except ChildProcessError:
        return status


def watch(plan: dict[str, Any], command: int, control: int) -> dict[str, Any]:
    """Wait for the command to end or for a reason to end it; kill what is left; return the report."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    try:
        poll.register(os.pidfd_open(command), select.POLLIN)
    except (OSError, AttributeError):  # an old kernel, a container's filter, macOS: the tick does it
        pass
    deadline, status, reason, leftovers = time.monotonic() + plan["seconds"], None, "", 0
    while not reason:
        events = dict(poll.poll(TICK_MS))
        status = reap(command)
        if control in events:
            reason = "asked"
        elif status is not None:
            break
        elif time.monotonic() >= deadline:
            reason = "time"
        elif len(family()) > plan["processes"]:
            reason = "processes"
    parting = time.monotonic() + PARTING
    while not reason and family() and time.monotonic() < parting:
        time.sleep(0.005)
        reap(command)
    if not reason:
        leftovers = len(family())
    kill_all(command, plan["scoped"])
    return {"status": -9 if status is None else status, "reason": reason, "leftovers": leftovers}


def read_plan(control: int) -> dict[str, Any]:
    """Read the plan; leave at once when qwencode is already gone."""

    def take(size: int) -> bytes:
        data = b""
        while len(data) < size:
            if not (chunk := os.read(control, size - len(data))):
                sys.exit(1)
            data += chunk
        return data

    return json.loads(take(int.from_bytes(take(4), "big")))


def main(control: int) -> None:
    """Run one plan and report."""
    for number in DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    plan = read_plan(control)
    os.set_inheritable(control, False)
    try:
        if LINUX:
            prctl(PR_SET_CHILD_SUBREAPER, 1)
            prctl(PR_SET_NO_NEW_PRIVS, 1)
            try:  # as root, ahead of a crowd: a fork bomb must not starve its own guard
                os.setpriority(os.PRIO_PROCESS, 0, -20)
            except OSError:
                pass
            if plan["guard"]:
                landlock(plan["guard"])
        result, trouble = os.pipe()
        command = os.fork()
        if not command:
            child(plan, trouble)
        os.close(trouble)
        if LINUX:
            prctl(PR_SET_DUMPABLE, 0)  # what runs inside may not look into this process or forge its report
        for stream in (0, 1, 2):
            os.close(stream)
        refusal = os.read(result, 4096).decode()
        report = {"refused": refusal} if refusal else watch(plan, command, control)
    except Refused as error:
        report = {"refused": str(error)}
    try:
        os.write(control, json.dumps(report).encode())
    except OSError:  # nobody is left to hear it
        pass


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    main(int(sys.argv[1]))
