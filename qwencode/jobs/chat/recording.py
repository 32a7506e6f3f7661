"""A conversation on disk, as it happens: from its first turn on."""

from pathlib import Path

from qwencode.events import Event, TurnStarted
from qwencode.session import Session


class Recording:
    """The session of a conversation. Nothing is written before the first turn, so that none is kept without a word.

    `begun`: it is there already and goes on. Raises UsageError as Session does.
    """

    def __init__(self, folder: Path, session: str, begun: bool = False):
        self.id = session
        self.folder = folder
        self._waiting: list[Event] = []
        self._session = Session(folder, session) if begun else None

    @property
    def path(self) -> Path | None:
        """The file, if there is one by now."""
        return self._session.path if self._session else None

    def record(self, event: Event) -> None:
        """Keep an event."""
        if self._session is None and isinstance(event, TurnStarted):
            self._session = Session(self.folder, self.id)
            for before in self._waiting:
                self._session.record(before)
            self._waiting.clear()
        if self._session is None:
            self._waiting.append(event)
        else:
            self._session.record(event)

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
