import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_sandbox import Unconfined, make_repository

from qwencode.workspace import Workspace


@pytest.fixture
def sandbox(tmp_path: Path) -> Unconfined:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Unconfined(scratch)


@pytest.fixture
def repo(tmp_path: Path) -> Callable[..., Workspace]:
    """Make a git repository from `{path: text}` and the directory that the user works in."""

    def make(files: Mapping[str, str], start: str = "") -> Workspace:
        return make_repository(tmp_path / "repo", files, start)

    return make
