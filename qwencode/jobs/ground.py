"""What a job mends on: the tree with a way back, and how a state of it is proven."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

from qwencode.context.repomap.repository import RepositoryMap
from qwencode.events import Event, Notice, TreeChanged, VerdictReached
from qwencode.jobs.undisturbed import undisturbed
from qwencode.sandbox.protocol import Sandbox
from qwencode.snapshots import Run
from qwencode.snapshots.tree import Snapshot
from qwencode.tools.files import nothing_protected
from qwencode.verify.protected import is_test_path
from qwencode.verify.results import Baseline, TestRun
from qwencode.verify.verdict import prove
from qwencode.workspace import Workspace

TEST_SECONDS = 600.0
"""A test run longer than this counts as hanging."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The repository with its map, what confines commands in it, and the run that can put it back.

    What is written by this workspace is the run's own work; what a command writes is, where `run.working` says so.
    """

    workspace: "Worked"
    sandbox: Sandbox
    run: Run
    outline: RepositoryMap
    goal_text: bool = False
    """Whether the user gave a goal in words."""
    allow_test_changes: bool = False
    follow: bool = True
    """Whether the model is told what the repository's AGENTS.md files say."""

    @property
    def protected(self) -> Callable[[str], bool]:
        """Says of a path whether it is a test or a test setting, which the model may not change."""
        return nothing_protected if self.allow_test_changes else is_test_path

    def proven(self, baseline: Baseline, by: str) -> Generator[Event, None, tuple[VerdictReached, TestRun]]:
        """Show the change and judge it against a baseline; with the verdict comes the run of the tests."""
        changed = tuple(sorted(self.run.own()))
        if changed:
            yield TreeChanged(self.run.diff(files=changed), changed)
        verdict, after = yield from prove(
            self.workspace,
            self.sandbox,
            baseline,
            goal_text=self.goal_text,
            by=by,
            allow_test_changes=self.allow_test_changes,
            seconds=TEST_SECONDS,
        )
        return replace(verdict, changed_files=changed), after

    def put_back(self, mark: Snapshot) -> Generator[Event, None, None]:
        """Put the tree back to what it was at a mark; what somebody else has saved since is kept, and told of."""
        if kept := self.run.set_aside(mark):
            yield Notice(kept, "warning")
        self.run.restore(mark)


class Worked(Workspace):
    """A workspace in which whatever is written is the own work of a run, also where a Ctrl-C comes meanwhile."""

    def __init__(self, workspace: Workspace, run: Run):
        super().__init__(workspace.root, workspace.start)
        self._run = run

    def _write(self, path: str | Path, text: str, encoding: str, check: Callable[[], None]) -> None:
        with undisturbed(), self._run.working(self.relative(self.resolve(path))):
            super()._write(path, text, encoding, check)
