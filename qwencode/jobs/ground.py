"""What a job mends on: the tree with a way back, and how a state of it is proven."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from qwencode.context.repomap.repository import RepositoryMap
from qwencode.events import Event, TreeChanged, VerdictReached
from qwencode.sandbox.protocol import Sandbox
from qwencode.snapshots import Run
from qwencode.tools.files import nothing_protected
from qwencode.verify.protected import is_test_path
from qwencode.verify.results import Baseline, TestRun
from qwencode.verify.verdict import prove
from qwencode.workspace import Workspace

TEST_SECONDS = 600.0
"""A test run longer than this counts as hanging."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The repository with its map, what confines commands in it, and the run that can put it back."""

    workspace: Workspace
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
        changed = self.run.changed()
        if changed:
            yield TreeChanged(self.run.diff(), changed)
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
