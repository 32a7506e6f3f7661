"""What the toolbar of a session shows."""

from dataclasses import dataclass
from typing import Literal, get_args

Mode = Literal["plan", "ask", "auto"]
"""plan: the model only reads. ask: edits and commands need consent. auto: neither does, inside the sandbox."""
MODES: tuple[Mode, ...] = get_args(Mode)


def mode_of(name: str) -> Mode:
    """Return the mode of this name. Raises StopIteration for one that is none."""
    return next(mode for mode in MODES if mode == name)


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
