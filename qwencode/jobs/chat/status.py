"""What the toolbar of a session shows."""

from dataclasses import dataclass
from typing import Literal

Mode = Literal["plan", "ask", "auto"]
"""plan: the model only reads. ask: edits and commands need consent. auto: neither does, inside the sandbox."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a session stands. `tokens` of `size` fill the context (0: unknown); `speed` is that of the last reply.

    `unsaved` counts the files that differ from the last commit, None while that is not known.
    """

    model: str
    loaded: bool
    mode: Mode
    think: str
    tokens: int
    size: int
    speed: float
    branch: str
    unsaved: int | None
