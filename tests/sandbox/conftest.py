"""A repository in a fake home, and a sandbox on every rung that this machine has."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sandbox_ground import Ground, git

from qwencode.sandbox.ladder import ConfinedSandbox, RungName, survey
from qwencode.sandbox.protocol import Completed, Sandbox


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("template")
    (project / "src").mkdir()
    (project / "src" / "code.py").write_text("VALUE = 1\n")
    git("init", "-q", cwd=project)
    git("add", ".", cwd=project)
    git("commit", "-qm", "first", cwd=project)
    return project


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch, template: Path) -> Iterator[Ground]:
    # Not under /tmp: that is private inside anyway, and would hide whether the other protections work.
    cache = Path.home() / ".cache"
    if not os.access(cache if cache.exists() else cache.parent, os.W_OK):
        pytest.skip(f"{cache} is not writable, and the tests need a place outside the temporary directories")
    cache.mkdir(exist_ok=True)
    base = Path(tempfile.mkdtemp(prefix="qwencode-tests-", dir=cache)).resolve()
    found = Ground(base, base / "home", base / "home" / "project", base / "outside")
    found.project.mkdir(parents=True)
    found.outside.mkdir()
    (found.outside / "kept.txt").write_text("kept\n")
    shutil.copytree(template, found.project, dirs_exist_ok=True)
    monkeypatch.setenv("HOME", str(found.home))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    yield found
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="session")
def obstacles(template: Path) -> dict[str, str]:
    """Why a rung is not available on this machine; '' where it is."""
    return {rung.name: rung.reason for rung in survey(template)}


@pytest.fixture(params=["bubblewrap", "landlock"])
def rung(request: pytest.FixtureRequest) -> RungName:
    return request.param


@pytest.fixture
def opened(rung: RungName, obstacles: dict[str, str]) -> Iterator[Callable[..., Sandbox]]:
    """Open sandboxes on the rung under test; skip with the reason where this machine does not have it."""
    sandboxes: list[Sandbox] = []
    if obstacles[rung]:
        pytest.skip(f"{rung}: {obstacles[rung]}")

    def open_here(root: Path, *, writable: Sequence[Path] = (), readable: Sequence[Path] = ()) -> Sandbox:
        sandboxes.append(ConfinedSandbox(rung, root, writable, readable))
        return sandboxes[-1]

    yield open_here
    for sandbox in sandboxes:
        sandbox.close()


@pytest.fixture
def sandbox(ground: Ground, opened: Callable[..., Sandbox]) -> Sandbox:
    return opened(ground.project)


@pytest.fixture
def python(ground: Ground, sandbox: Sandbox) -> Callable[..., Completed]:
    """Run Python code inside, in the repository."""

    def run(code: str, *arguments: object, **options: object) -> Completed:
        words = [sys.executable, "-c", code, *map(str, arguments)]
        return sandbox.run(words, cwd=ground.project, **options)  # pyright: ignore

    return run
