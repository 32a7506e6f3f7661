"""Attempts to outlive, outgrow or reach out of the sandbox; limits; and what happens when qwencode itself goes."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox_ground import Ground

from qwencode.sandbox.protocol import Limits

BEATING = """
import os, signal, sys, time
def beat():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with open('src/beat', 'ab') as file:
            file.write(b'.')
        time.sleep(0.01)
    os._exit(0)
def daemon():
    if not os.fork():
        os.setsid()
        if not os.fork():
            beat()
        os._exit(0)
    os.wait()
    while not os.path.exists('src/beat'):
        time.sleep(0.01)
"""


def assert_still(ground: Ground):
    """Nothing in the sandbox lives on: the file that a survivor would write to has stopped growing."""
    path = ground.project / "src" / "beat"
    before = path.stat().st_size
    assert before, "the process was alive once"
    time.sleep(0.1)
    assert path.stat().st_size == before, "a process survived"


def wait_for(condition: Callable[[], bool], seconds: float = 10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.01)


def test_a_daemon_that_holds_stdout_is_killed(python, ground: Ground):
    done = python(BEATING + "daemon(); print('parent leaves', flush=True)")
    assert done.text == "parent leaves\n"
    assert (done.returncode, done.leftovers, done.timed_out) == (0, 1, False)
    assert done.seconds < 15
    assert_still(ground)


def test_background_children_are_killed(sandbox, ground: Ground):
    done = sandbox.run(["sh", "-c", "sleep 61 & (setsid sleep 62 &) ; nohup sleep 63 & exit 7"], cwd=ground.project)
    assert (done.returncode, done.leftovers) == (7, 3)
    assert done.seconds < 15


def test_helpers_that_leave_by_themselves_are_no_leftovers(sandbox, ground: Ground):
    assert sandbox.run(["sh", "-c", "sleep 0.05 & exit 0"], cwd=ground.project).leftovers == 0


@pytest.mark.parametrize("code", ["beat()", "daemon(); beat()"])
def test_a_timeout_ends_everything(python, ground: Ground, code: str):
    done = python(BEATING + code, limits=Limits(seconds=1.0))
    assert done.timed_out and done.returncode == -9
    assert 0.9 < done.seconds < 15
    assert_still(ground)


def test_the_guard_can_not_be_ended_from_inside(python, ground: Ground, sandbox):
    if any("can be signalled" in gap for gap in sandbox.gaps):
        pytest.skip("this kernel's Landlock cannot scope signals (stated as a gap)")
    code = """
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT):
    try: os.kill(os.getppid(), number)
    except OSError: pass
daemon(); beat()
"""
    done = python(BEATING + code, limits=Limits(seconds=1.0))
    assert done.timed_out and done.seconds < 15
    assert_still(ground)


@pytest.mark.parametrize("each", ["pass", "os.setsid()"], ids=["one group", "every process its own session"])
def test_a_fork_bomb_is_stopped(python, ground: Ground, each: str):
    # 2**11 processes at most, should nothing stop them.
    code = f"""
import os, time
for _ in range(11):
    if not os.fork(): {each}
    open('src/beat', 'ab').write(b'.')
time.sleep(20)
"""
    done = python(code, limits=Limits(seconds=30, processes=60))
    assert done.too_many_processes and done.returncode == -9 and not done.timed_out
    assert done.seconds < 15
    assert_still(ground)


def test_a_gigabyte_of_output(python):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = list[int]()
    code = "import sys\nfor _ in range(1000): sys.stdout.buffer.write(b'x' * 1_000_000)\nopen('src/all', 'w')"
    done = python(code, limits=Limits(output_bytes=3_000_000), on_output=lambda chunk: seen.append(len(chunk)))
    assert done.truncated and len(done.output) == sum(seen) == 3_000_000
    assert done.seconds < 15
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 40_000_000


def test_output_right_at_the_limit_is_whole(python):
    done = python("print('x' * 99, end='\\n')", limits=Limits(output_bytes=100))
    assert len(done.output) == 100 and not done.truncated and done.returncode == 0


def test_memory_is_bounded(python):
    assert "MemoryError" in python("b'x' * (1 << 30)", limits=Limits(memory_bytes=300 << 20)).text
    assert python("b'x' * (1 << 28)", limits=Limits(memory_bytes=0)).returncode == 0


def test_file_size_and_core_dumps_are_bounded(python, ground: Ground):
    code = "import resource\nprint(resource.getrlimit(resource.RLIMIT_CORE))\nopen('src/big', 'wb').truncate(1 << 20)"
    done = python(code, limits=Limits(file_bytes=1 << 16))
    assert "(0, 0)\n" in done.text and "File too large" in done.text
    assert (ground.project / "src" / "big").stat().st_size == 0


def test_host_processes_can_not_be_signalled_or_traced(python, sandbox):
    host = subprocess.Popen(["sleep", "60"])
    code = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
for what, act in {
    'kill': lambda: os.kill(pid, signal.SIGKILL),
    'group': lambda: os.killpg(int(sys.argv[2]), 0),
    'parent': lambda: os.kill(int(sys.argv[3]), 0),
    'pidfd': lambda: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL),
    'nice': lambda: os.setpriority(os.PRIO_PROCESS, os.getpid(), -20),
}.items():
    try: act(); print(what, 'GOT THROUGH')
    except OSError: pass
buffer = ctypes.create_string_buffer(8)
class Vector(ctypes.Structure): _fields_ = [('at', ctypes.c_void_p), ('size', ctypes.c_size_t)]
vector = Vector(ctypes.addressof(buffer), 8)
for what, result in {
    'attach': libc.ptrace(16, pid, None, None),
    'seize': libc.ptrace(0x4206, pid, None, None),
    'attach to the guard': libc.ptrace(16, os.getppid(), None, None),
    'read': libc.process_vm_readv(pid, ctypes.byref(vector), 1, ctypes.byref(vector), 1, 0),
}.items():
    if result != -1: print(what, 'GOT THROUGH')
print('TRIED')
"""
    try:
        done = python(code, host.pid, os.getpgrp(), os.getpid())
        assert host.poll() is None
    finally:
        host.kill()
        host.wait()
    if any("can be signalled" in gap for gap in sandbox.gaps):
        pytest.skip("this kernel's Landlock cannot scope signals (stated as a gap)")
    assert done.text == "TRIED\n"


def test_no_capabilities_and_no_new_ones(python, ground: Ground):
    done = python("print(open('/proc/self/status').read())")
    fields = dict(line.split(":\t") for line in done.text.splitlines() if ":\t" in line)
    assert (int(fields["CapEff"], 16), int(fields["CapPrm"], 16), int(fields["CapAmb"], 16)) == (0, 0, 0)
    assert fields["NoNewPrivs"] == "1"


def test_an_interrupt_while_reading_ends_everything(python, ground: Ground):
    def interrupt(chunk: bytes):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        python(BEATING + "daemon(); print('now', flush=True); beat()", on_output=interrupt)
    assert_still(ground)


HOST = f"""
import sys
from pathlib import Path
from qwencode.sandbox.ladder import open_rung
from qwencode.sandbox.protocol import Limits
sandbox = open_rung(sys.argv[1], Path(sys.argv[2]))
code = {BEATING!r} + "daemon(); beat()"
command = [sys.executable, "-c", code]
if sys.argv[3] == "run":
    sandbox.run(command, cwd=Path(sys.argv[2]), limits=Limits(seconds=30))
else:
    process = sandbox.start(command, cwd=Path(sys.argv[2]))
    process.stdout.read()
"""


@pytest.mark.parametrize("way", ["run", "start"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "Ctrl-C"])
def test_when_qwencode_goes_everything_goes(ground: Ground, sandbox, rung: str, way: str, end: signal.Signals):
    beat = ground.project / "src" / "beat"
    words = [sys.executable, "-c", HOST, rung, str(ground.project), way]
    host = subprocess.Popen(words, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE)
    try:
        wait_for(lambda: beat.exists() and beat.stat().st_size > 5)
        host.send_signal(end)
        _, errors = host.communicate(timeout=10)
    finally:
        host.kill()
    assert (b"KeyboardInterrupt" in errors) == (end == signal.SIGINT)

    def stopped() -> bool:
        size = beat.stat().st_size
        time.sleep(0.1)
        return beat.stat().st_size == size

    wait_for(stopped, 3)
    assert_still(ground)


def test_a_started_process_talks_and_ends(sandbox, ground: Ground):
    code = "import sys\nprint('noise', file=sys.stderr)\nfor line in sys.stdin: print(line.upper(), end='', flush=True)"
    process = sandbox.start([sys.executable, "-c", code], cwd=ground.project)
    assert process.poll() is None
    for word in (b"one\n", b"two\n"):
        process.stdin.write(word)
        process.stdin.flush()
        assert process.stdout.readline() == word.upper()
    process.stdin.close()
    assert process.stdout.read() == b""
    wait_for(lambda: process.poll() is not None)
    assert process.poll() == 0
    process.kill()
    process.kill()


@pytest.mark.parametrize("how", ["kill", "close", "time"])
def test_a_started_process_takes_its_children_along(sandbox, ground: Ground, how: str):
    seconds = 1.0 if how == "time" else 60
    words = [sys.executable, "-c", BEATING + "daemon(); print('up', flush=True); beat()"]
    process = sandbox.start(words, cwd=ground.project, limits=Limits(seconds=seconds))
    assert process.pid > 0 and process.stdout.readline() == b"up\n"
    if how == "time":
        wait_for(lambda: process.poll() is not None)
    else:
        (process.kill if how == "kill" else sandbox.close)()
    assert process.poll() == -9
    assert_still(ground)


def test_commands_run_while_a_server_lives(sandbox, ground: Ground):
    with contextlib.closing(sandbox):
        server = sandbox.start(["cat"], cwd=ground.project)
        for _ in range(3):
            assert sandbox.run(["true"], cwd=ground.project).returncode == 0
        server.stdin.write(b"still here\n")
        server.stdin.flush()
        assert server.stdout.readline() == b"still here\n"
