"""A repository to change and to look at, and an environment for its tests in which pytest starts at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench_hook import environment

Git = Callable[..., str]


@pytest.fixture
def project(repository: Path, run_git: Git) -> Path:
    """Return a repository whose own virtual environment, ignored by git, holds pytest without any plug-in."""
    run_git(repository, "config", "user.name", "Test")
    run_git(repository, "config", "user.email", "test@example.invalid")
    run_git(repository, "config", "commit.gpgsign", "false")
    environment(repository)
    (repository / ".gitignore").write_text(".venv/\n__pycache__/\n")
    run_git(repository, "add", ".gitignore")
    run_git(repository, "commit", "-qm", "Ignore")
    return repository
