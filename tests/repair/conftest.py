"""Small repositories on disk, and a sandbox that is not one: these tests are about repair, not confinement."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from qwencode.repair.localise import Ranking, rank
from qwencode.sandbox.ladder import open_rung
from qwencode.sandbox.protocol import Sandbox
from qwencode.verify import commands, runners
from qwencode.verify.results import Baseline
from qwencode.workspace import Workspace

Files = Mapping[str, str | bytes]
Lab = tuple[Workspace, Sandbox, Baseline, Ranking]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Build a repository from its files, run its tests with coverage, and rank."""
    root = tmp_path / "repository"
    root.mkdir()
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    sandbox = open_rung("none", root)

    def build(files: Files, test: str = "") -> Lab:
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        workspace = Workspace(root)
        command = commands.discover(workspace, test)
        run = runners.run(command, sandbox, seconds=60, coverage=True)
        protected = {name: "" for name in workspace.files() if commands.is_python_test(name)}
        baseline = Baseline(command, run, (), protected)
        return workspace, sandbox, baseline, rank(run, baseline.goal, workspace, protected)

    yield build
    sandbox.close()
