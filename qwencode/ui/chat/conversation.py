"""What the terminal needs of a conversation, and nothing else of it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Protocol

from qwencode.jobs.chat.status import Status

if TYPE_CHECKING:
    from qwencode.events import Event  # takes a tenth of the time until the prompt is there


class Offered(Protocol):
    """A completion: `text` replaces what stands from `start` (0 or less, counted from the cursor) to the cursor."""

    @property
    def text(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def help(self) -> str: ...


class Conversation(Protocol):
    """A conversation in a repository. `take` never raises for what a user may type."""

    @property
    def over(self) -> bool:
        """Whether the user has said that it is."""
        ...

    @property
    def status(self) -> Status:
        """How it stands. Cheap, and callable from any thread at any time."""
        ...

    def open(self) -> Generator[Event, None, None]:
        """Load the model; the prompt is on the screen already."""
        ...

    def take(self, line: str) -> Generator[Event, None, None]:
        """Answer one input. KeyboardInterrupt may arise at any event of it."""
        ...

    def completions(self, text: str) -> Sequence[Offered]:
        """Return what may follow `text`, the input left of the cursor. Called from another thread."""
        ...

    def switch_mode(self) -> None:
        """Go on to the next mode: plan, ask, auto. Callable from any thread at any time."""
        ...

    def close(self) -> None:
        """Let go of the model and the session."""
        ...
