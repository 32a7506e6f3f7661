"""The plan: jobs that are known to fit together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from taskline.job import Job, PlanError


class Plan:
    """Jobs by name, in the order in which they were given. Raises PlanError for what can never be carried out."""

    def __init__(self, jobs: Iterable[Job]):
        self.jobs: dict[str, Job] = {}
        for job in jobs:
            if job.name in self.jobs:
                raise PlanError(f"there are two jobs named {job.name}")
            self.jobs[job.name] = job
        for job in self.jobs.values():
            for name in sorted(job.after):
                if name not in self.jobs:
                    raise PlanError(f"{job.name} waits for {name}, which is not in the plan")
        self._order = self._sorted()

    def __iter__(self) -> Iterator[Job]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self.jobs)

    def _sorted(self) -> list[Job]:
        """Sort so that every job comes after those it waits for (Kahn's algorithm)."""
        waiting = {name: len(job.after) for name, job in self.jobs.items()}
        ready = [name for name, count in waiting.items() if count == 0]
        order: list[Job] = []
        while ready:
            name = ready.pop(0)
            order.append(self.jobs[name])
            for other in self.jobs.values():
                if name in other.after:
                    waiting[other.name] -= 1
                    if waiting[other.name] == 0:
                        ready.append(other.name)
        if len(order) < len(self.jobs):
            stuck = sorted(name for name, count in waiting.items() if count > 0)
            raise PlanError(f"these jobs wait for each other: {', '.join(stuck)}")
        return order

    def urgency(self) -> dict[str, int]:
        """Return the priority of each job, raised to that of the most urgent job that waits for it."""
        urgency = {job.name: job.priority for job in self}
        for job in reversed(self._order):
            for name in job.after:
                urgency[name] = max(urgency[name], urgency[job.name])
        return urgency

    def critical_path(self) -> list[str]:
        """Return the chain of jobs that determines how long the plan takes with unlimited workers and resources."""
        end: dict[str, int] = {}
        previous: dict[str, str | None] = {}
        for job in self:
            last = max(sorted(job.after), key=lambda name: end[name], default=None)
            begin = max(job.not_before, end[last] if last else 0)
            end[job.name] = begin + job.duration
            previous[job.name] = last
        path: list[str] = []
        name = max(end, key=lambda key: end[key], default=None)
        while name is not None:
            path.append(name)
            name = previous[name]
        return path[::-1]
