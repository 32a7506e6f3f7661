"""The files of one turn: kept as they are before anything can change them, and not before.

What the model, or a command of the turn, has changed is told apart from what the user does at the same time in an
editor: only the former is taken back later. What the user changes while a command runs cannot be told from its work.
"""

from collections.abc import Generator
from contextlib import contextmanager

from qwencode.snapshots import UNCHANGED, Run
from qwencode.workspace import Workspace


class Step:
    """A run of the snapshots that begins when it is needed. `name` names what it keeps, within its session.

    `changed`: files of which it is known that they have changed, in a run of its own under this name.
    """

    def __init__(self, workspace: Workspace, session: str, name: str):
        self.name = name
        self.changed: tuple[str, ...] = ()
        self._workspace, self._session = workspace, session
        self._run: Run | None = None

    @contextmanager
    def working(self) -> Generator[None]:
        """Take what changes meanwhile for the work of this turn. Raises UsageError when the files cannot be kept."""
        if self._run is None:
            self._run = Run.begin(self._workspace, self._session, self.name)
        with self._run.working():
            yield

    def state(self) -> str:
        """Name the state of the files, as `Run.state` does."""
        return self._run.state() if self._run else UNCHANGED

    def diff(self) -> str:
        """Return the change since the turn began, as a diff."""
        return self._run.diff() if self._run else ""

    def finish(self) -> tuple[str, ...]:
        """Close the run, with the files as they are now, and return those that the turn has changed."""
        run, self._run = self._run, None
        if run is None:
            return self.changed
        done = run.own()
        run.finish(kept=True, done=done)
        return tuple(sorted(done))
