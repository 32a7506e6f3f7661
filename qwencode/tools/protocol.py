"""The tool seam: what a tool is and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass

from qwencode.events import Event
from qwencode.messages import ToolSpec


@dataclass(frozen=True, slots=True)
class ToolResult:
    """An answered call: `text` for the model, `summary` (one line) for the eye.

    `ok` is False when the call did not reach what it was for: refused, a command that failed, tests that fail. `events`
    are for the readers of the stream and come before the result. `refused`: it was not carried out at all.
    """

    text: str
    summary: str
    ok: bool = True
    events: tuple[Event, ...] = ()
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that the model may call.

    `run` takes the parameters of `spec` by name and raises ToolError when the model asked for what cannot be done.
    """

    spec: ToolSpec
    run: Callable[..., ToolResult]
