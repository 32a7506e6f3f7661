"""How a run of the agent ended."""

from dataclasses import dataclass
from typing import Literal

from qwencode.agent.budget import Meter
from qwencode.messages import Usage

Ended = Literal["done", "unmet", "silent", "stuck", "full", "budget"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Why a run ended.

    `done`: the model stopped and the check had nothing to say. `unmet`: it stopped, the check's last word is `reason`.
    `silent`: it said nothing, twice. `stuck`: guards stepped in, in vain. `full`: the context is, with nothing to
    leave out. `budget`: a limit was reached. `text` is its last visible text.
    """

    ended: Ended
    reason: str
    text: str
    steps: int
    usage: Usage
    seconds: float


def ended(how: Ended, reason: str, text: str, meter: Meter) -> Outcome:
    """Return the outcome with what was used."""
    return Outcome(how, reason, text, meter.steps, meter.usage, meter.seconds)


def nothing_missing() -> str:
    """Take the model's word for it."""
    return ""
