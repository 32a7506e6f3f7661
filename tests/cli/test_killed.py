"""SIGKILL at any moment loses nothing: `qwencode undo`, or the next start, brings the tree back byte for byte.

A run that was killed after it had come to its end is a kept one: the next start leaves it, and `undo` takes it back.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from fix_ground import contents
from qwencode.cli.build import see_through
from qwencode.errors import Interrupted
from qwencode.events import Event, Notice, RunFinished
from qwencode.jobs.fix import Outcome
from qwencode.messages import Usage

Qwencode = Callable[..., "subprocess.CompletedProcess[str]"]
SOURCE = 'def add(a, b):\n    """Add."""\n    return a - b\n'
TESTS = """import unittest

from calc import add


class T(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(1, 2), 3)
"""
START = "import sys; sys.argv[0] = 'qwencode'; from qwencode.cli import main; main()"


def prepare(root: Path, git: Callable[..., str]) -> None:
    """Make a repository with staged, unstaged, untracked and ignored files, a link, a script and odd bytes."""
    (root / "calc.py").write_bytes(SOURCE.replace("\n", "\r\n").encode())
    (root / "test_calc.py").write_text(TESTS)
    (root / "data.bin").write_bytes(bytes(range(256)))
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("data.bin")
    (root / ".gitignore").write_text("*.log\n__pycache__/\n")
    git(root, "add", "--all")
    git(root, "commit", "-qm", "Calc")
    (root / "staged.txt").write_text("staged\n")
    git(root, "add", "staged.txt")
    (root / "staged.txt").write_text("staged, then changed\n")
    (root / "untracked.txt").write_text("no newline at the end")
    (root / "ignored.log").write_text("mine\n")


def state(root: Path, git: Callable[..., str]) -> object:
    return contents(root), git(root, "status", "--porcelain=v2", "--branch"), git(root, "stash", "list")


def killed_after(root: Path, seconds: float) -> int:
    """Start `fix`, kill it after so many seconds, and return its exit status. All that it started dies with it."""
    command = [sys.executable, "-c", START, "fix", str(root), "--no-model", "--yes", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
    return process.wait()


def survive(moments: list[float], root: Path, qwencode: Qwencode, git: Callable[..., str]) -> int:
    """Kill at each moment and clear up, by turns with `undo` and with the next start. Returns how many were killed."""
    before, killed = state(root, git), 0
    for number, moment in enumerate(moments):
        status = killed_after(root, moment)
        killed += status == -signal.SIGKILL
        if status == 0 or number % 2:
            done = qwencode("undo", root)
            assert done.returncode in (0, 2), done.stderr
            assert done.returncode == 0 or "no run" in done.stderr
        else:
            done = qwencode("fix", root, "--no-model", "--dry-run")
            assert done.returncode == 0, done.stdout + done.stderr
            if b"a + b" in (root / "calc.py").read_bytes():  # killed while it was leaving
                assert "Took back" in qwencode("undo", root).stdout
        assert state(root, git) == before, f"killed after {moment:.2f} s"
    return killed


@pytest.fixture
def length(repository: Path, run_git: Callable[..., str], qwencode: Qwencode) -> float:
    """Prepare the repository and return how long a whole run takes, once everything is compiled and at hand."""
    prepare(repository, run_git)
    before = state(repository, run_git)
    seconds: list[float] = []
    for _ in range(2):
        started = time.monotonic()
        assert qwencode("fix", repository, "--no-model", "--yes").returncode == 0
        seconds.append(time.monotonic() - started)
        assert b"a + b" in (repository / "calc.py").read_bytes()
        assert qwencode("undo", repository).returncode == 0
        assert state(repository, run_git) == before
    return min(seconds)


@pytest.mark.slow
def test_killed_after_the_end(repository: Path, run_git: Callable[..., str], qwencode: Qwencode):
    prepare(repository, run_git)
    before = state(repository, run_git)
    command = [sys.executable, "-c", START, "fix", str(repository), "--no-model", "--yes", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        assert any(b'"run_finished"' in line for line in process.stdout)
        process.kill()
    kept = state(repository, run_git)
    assert kept != before
    assert "passes already" in qwencode("fix", repository, "--no-model", "--dry-run").stdout
    assert state(repository, run_git) == kept
    assert "Took back" in qwencode("undo", repository).stdout
    assert state(repository, run_git) == before


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_dozen_random_moments(length: float, repository: Path, run_git: Callable[..., str], qwencode: Qwencode):
    chance = random.Random(20)
    moments = [chance.uniform(0.05, length * 1.05) for _ in range(12)]
    assert survive(moments, repository, qwencode, run_git) >= 6


def test_what_a_closed_run_could_not_tell_is_told_at_its_end():
    told: list[Event] = []

    def work() -> Generator[Event, None, Outcome]:
        yield Notice("It begins.")
        raise Interrupted("Stopped by SIGTERM.")

    with pytest.raises(Interrupted):
        see_through(work(), [], told.append, Usage, "your files are as before", lambda: "Yours is kept.")
    assert [event.text for event in told if isinstance(event, Notice)] == ["It begins.", "Yours is kept."]
    assert isinstance(told[-1], RunFinished)
