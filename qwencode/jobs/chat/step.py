"""The files of one turn: kept as they are before anything can change them, and not before."""

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

    def begin(self) -> Run:
        """Keep the files as they are, the first time. Raises UsageError when that is not possible."""
        if self._run is None:
            self._run = Run.begin(self._workspace, self._session, self.name)
        return self._run

    def state(self) -> str:
        """Name the state of the files, as `Run.state` does."""
        return self._run.state() if self._run else UNCHANGED

    def diff(self) -> str:
        return self._run.diff() if self._run else ""

    def finish(self) -> tuple[str, ...]:
        """Close the run, with the files as they are now, and return those that have changed."""
        run, self._run = self._run, None
        if run is None:
            return self.changed
        changed = run.changed()
        run.finish(kept=True)
        return changed
