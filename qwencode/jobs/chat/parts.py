"""What a conversation works with, each given by the one who knows it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qwencode.jobs.chat.person import Person
from qwencode.model.protocol import Model
from qwencode.sandbox.protocol import Sandbox
from qwencode.settings import Places, Settings
from qwencode.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Parts:
    """What a conversation works with.

    `settings` gives them with the project's file or, while the folder is not trusted, without. `open_model` opens a
    model by its name, `open_sandbox` what confines commands; both take their time. `model` is the name to begin with.
    """

    workspace: Workspace
    places: Places
    person: Person
    settings: Callable[[bool], Settings]
    open_sandbox: Callable[[Settings], Sandbox]
    open_model: Callable[[str, Settings], Model]
    model: str
    trusted: bool = False
    """The user has said that this folder is trusted, so that nobody has to be asked."""
    resume: Path | None = None
    """The session on disk that goes on."""
