"""What a review found and how its checks ended: the events of a review, also the form in which they are kept."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class FindingReported:
    """What a review found. `line` counts from 1 in the changed file; 1 for a file that is gone.

    `rule` is `check/what`, as `secrets/github-token`; `what` one sentence. `suggestion` says what to do in words;
    `replacement` is what the line is to be instead ('' deletes it), None where that is not known.
    """

    file: str
    line: int
    severity: Severity
    rule: str
    what: str
    suggestion: str = ""
    replacement: str | None = None


@dataclass(frozen=True, slots=True)
class CheckFinished:
    """A check of a review ended: `done` now, `cached` from before, or `skipped`, at least in part, for `reason`."""

    check: str
    status: Literal["done", "cached", "skipped"]
    findings: int
    seconds: float
    reason: str = ""
