"""Small repositories on disk, and a sandbox that is not one: these tests are about repair, not confinement."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from qwencode.repair.localise import Ranking, rank
from qwencode.sandbox.ladder import open_rung
from qwencode.sandbox.protocol import Sandbox
from qwencode.verify import commands, runners
from qwencode.verify.results import Baseline, Outcome, TestResult, TestRun
from qwencode.workspace import Workspace

Files = Mapping[str, str | bytes]
Lab = tuple[Workspace, Sandbox, Baseline, Ranking]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    root = tmp_path / "repository"
    root.mkdir()
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    opened = open_rung("none", root)
    yield opened
    opened.close()


@pytest.fixture
def lab(sandbox: Sandbox, tmp_path: Path) -> Callable[..., Lab]:
    """Build a repository from its files, run its tests with coverage, and rank.

    With `known` outcomes (test to passed or failed) the tests are not run, which saves a second or two.
    """
    root = tmp_path / "repository"

    def build(files: Files, test: str = "", known: Mapping[str, Outcome] | None = None) -> Lab:
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        workspace = Workspace(root)
        command = commands.discover(workspace, test)
        if known is None:
            run = runners.run(command, sandbox, seconds=60, coverage=True)
        else:
            results = {id_: TestResult(id_, what, 0.01, "", id_.partition("::")[0]) for id_, what in known.items()}
            run = TestRun("ran", results, "", 1.0)
        protected = {name: "" for name in workspace.files() if commands.is_python_test(name)}
        baseline = Baseline(command, run, (), protected)
        return workspace, sandbox, baseline, rank(run, baseline.goal, workspace, protected)

    return build
