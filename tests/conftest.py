"""What every test gets: directories of its own instead of the user's, and no way to a real model by accident."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["permissions", "tiny_model"]


@pytest.fixture(autouse=True)
def own_directories(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point every XDG directory, HOME's git configuration and our own variables to an empty place."""
    home = tmp_path_factory.mktemp("home")
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    others = ("QWENCODE_", "GIT_", "HF_", "HUGGING", "OLLAMA_", "LLAMA_CACHE")
    for name in [key for key in os.environ if key.startswith(others)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    return home


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return an empty git repository with one empty commit."""
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    return root


@pytest.fixture
def run_git() -> Callable[..., str]:
    """Return a function that runs git in a directory as a test user and returns its output."""
    return git


def git(root: Path, *arguments: str) -> str:
    """Run git as a test user and return its output."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(root), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout
