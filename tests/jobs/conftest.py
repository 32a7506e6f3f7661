"""A whole `fix` in a practice repository: real sandbox, real tests, real snapshots; only the model is scripted."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fix_ground import SUM, SUM_TESTS, SUM_TEXT, Ran
from qwencode import practice
from qwencode.errors import QwencodeError
from qwencode.events import Event
from qwencode.jobs.fix import Fix, FixTask, Parts
from qwencode.model.protocol import Model, Options
from qwencode.repair.proposals import Proposals
from qwencode.sandbox.ladder import open_sandbox
from qwencode.sandbox.protocol import Sandbox
from qwencode.workspace import Workspace


@pytest.fixture
def practice_copy(tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: practice.copy(name, tmp_path / name)


@pytest.fixture
def confined() -> Iterator[Callable[[Path], Sandbox]]:
    """Open sandboxes, as `fix` does, and close them at the end."""
    opened: list[Sandbox] = []

    def make(root: Path) -> Sandbox:
        opened.append(open_sandbox(root, allow_none=True))
        return opened[-1]

    yield make
    for sandbox in opened:
        sandbox.close()


@pytest.fixture
def run_fix(confined: Callable[[Path], Sandbox]) -> Callable[..., Ran]:
    """Return a function that runs `fix` in a repository to its end and keeps everything that happened."""

    def run(
        root: Path,
        model: Model | None = None,
        *,
        approve: bool = True,
        options: Options | None = None,
        lines: bool = False,
        asked_for: bool = True,
        opener: Callable[[], Model] | None = None,
        proposer: Callable[[], Proposals] | None = None,
        seconds_to_read: Callable[[int], float] | None = None,
        stop_at: Callable[[Event], bool] = lambda event: False,
        **task: Any,
    ) -> Ran:
        workspace = Workspace.find(root)
        parts = Parts(
            workspace,
            confined(root),
            "test-session",
            root.parent / "maps",
            opener or (None if model is None else lambda: model),
            lambda: approve,
            "Get a model.",
            options or Options(),
            lines,
            asked_for,
            proposer,
            seconds_to_read,
        )
        fix, ran = Fix(FixTask(**task), parts), Ran()
        work = fix.work()
        try:
            while True:
                ran.events.append(next(work))
                if stop_at(ran.events[-1]):
                    break
        except StopIteration as end:
            ran.outcome = end.value
        except QwencodeError as error:
            ran.error = error
        finally:
            work.close()
            ran.aside = fix.aside
        return ran

    return run


@pytest.fixture
def small(repository: Path, run_git: Callable[..., str]) -> Path:
    """A repository with two faults in one function, tested with unittest, which starts quickly."""
    (repository / SUM).write_text(SUM_TEXT)
    (repository / "tests").mkdir()
    (repository / "tests" / "__init__.py").write_text("")
    (repository / "tests" / "test_total.py").write_text(SUM_TESTS)
    (repository / "README.md").write_text("A sum.\n")
    run_git(repository, "add", "--all")
    run_git(repository, "commit", "-qm", "Sum")
    return repository


@pytest.fixture
def run_small(run_fix: Callable[..., Ran], small: Path) -> Callable[..., Ran]:
    return partial(run_fix, small, test="python3 -m unittest")
