"""Starting qwencode as a user does: a process of its own, its output and its exit code."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qwencode.cli import app

Qwencode = Callable[..., "subprocess.CompletedProcess[str]"]
ENTRY = "import sys; from qwencode.cli import main; main()"


@pytest.fixture(autouse=True)
def own_home(own_directories: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep models that other programs have in the user's home out of the tests."""
    monkeypatch.setenv("HOME", str(own_directories))


@pytest.fixture
def qwencode() -> Qwencode:
    """Return a function that runs the command line in a directory, without a terminal."""

    def run(
        *arguments: object, cwd: Path | None = None, stdin: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", ENTRY, *map(str, arguments)],
            cwd=cwd,
            input=stdin,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    return run


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs a command in this process, which is quicker, and returns what it printed."""

    def run(*arguments: object, code: int = 0) -> str:
        assert (app([*map(str, arguments)], prog_name="qwencode", standalone_mode=False) or 0) == code
        return capsys.readouterr().out

    return run
