"""What is to be done."""

from collections.abc import Set
from dataclasses import dataclass, field


class PlanError(ValueError):
    """The plan cannot be carried out: an unknown dependency, a cycle, or a resource that is not there."""


@dataclass(frozen=True)
class Job:
    """One job. A higher priority goes first; `needs` names the resources that it holds one of while it runs."""

    name: str
    duration: int
    after: Set[str] = field(default_factory=frozenset)
    needs: Set[str] = field(default_factory=frozenset)
    priority: int = 0
    not_before: int = 0

    def __post_init__(self) -> None:
        if self.duration < 1:
            raise PlanError(f"{self.name}: a job takes at least one unit of time")
        if self.name in self.after:
            raise PlanError(f"{self.name} waits for itself")
