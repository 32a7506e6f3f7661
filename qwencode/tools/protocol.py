"""The tool seam: what a tool is and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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


Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that the model may call.

    `run` takes the parameters of `spec` by name and raises ToolError when the model asked for what cannot be done.

    `preflight` is asked while a call is still being written, with the arguments that are complete: '' to go on, else
    what the answer would be whatever comes after them, returned or raised as a ToolError. It never refuses what `run`
    would take.

    `changes` names the files that a call may change, as `Files.named` does; a tool that only looks has
    `changes_nothing`. None: it may be any file, and no preflight is asked about what follows such a call in a reply.
    """

    spec: ToolSpec
    run: Callable[..., ToolResult]
    preflight: Callable[[Arguments], str] | None = None
    changes: Callable[[Arguments], frozenset[str]] | None = None


def changes_nothing(arguments: Arguments) -> frozenset[str]:
    """Say of a tool that it only looks."""
    return frozenset()
