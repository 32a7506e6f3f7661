"""Carrying out a plan on paper: who runs what, and when."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from taskline.job import Job, PlanError
from taskline.plan import Plan


@dataclass(frozen=True)
class Run:
    """One job on the timeline, from `start` up to `end`."""

    name: str
    start: int
    end: int


@dataclass
class Timeline:
    """What ran when, in order of the start."""

    runs: list[Run] = field(default_factory=list)

    @property
    def length(self) -> int:
        return max((run.end for run in self.runs), default=0)

    def start_of(self, name: str) -> int:
        return next(run.start for run in self.runs if run.name == name)

    def at(self, moment: int) -> set[str]:
        """Return the jobs that run at a moment."""
        return {run.name for run in self.runs if run.start <= moment < run.end}


def simulate(plan: Plan, workers: int = 1, resources: Mapping[str, int] | None = None) -> Timeline:
    """Lay out a plan on so many workers.

    Whenever a worker is free it takes, of the jobs that can start, the most urgent one; of equally urgent ones that which
    comes first in the plan. A job is never interrupted.
    """
    if workers < 1:
        raise PlanError("at least one worker is needed")
    stock = dict(resources or {})
    for job in plan:
        if missing := sorted(name for name in job.needs if stock.get(name, 0) < 1):
            raise PlanError(f"{job.name} needs {missing[0]}, and there is none")
    return _Simulation(plan, workers, stock).run()


class _Simulation:
    def __init__(self, plan: Plan, workers: int, stock: Mapping[str, int]):
        self.urgency = plan.urgency()
        self.pending = list(plan)
        self.running: list[tuple[int, Job]] = []
        self.done: set[str] = set()
        self.workers = workers
        self.stock = stock
        self.now = 0

    def run(self) -> Timeline:
        timeline = Timeline()
        while self.pending or self.running:
            while len(self.running) < self.workers and (job := self._next()):
                self.pending.remove(job)
                self.running.append((self.now + job.duration, job))
                timeline.runs.append(Run(job.name, self.now, self.now + job.duration))
            self._advance()
        return timeline

    def _next(self) -> Job | None:
        startable = [job for job in self.pending if job.after <= self.done and self._may_start(job)]
        return max(startable, key=lambda job: self.urgency[job.name], default=None)

    def _may_start(self, job: Job) -> bool:
        held = Counter(name for _, other in self.running for name in other.needs)
        available = all(held[name] < self.stock[name] for name in job.needs)
        return available or job.not_before <= self.now

    def _advance(self) -> None:
        """Go on to the next moment at which something changes."""
        moments = [end for end, _ in self.running]
        moments += [job.not_before for job in self.pending if job.not_before > self.now]
        if not moments:
            return
        self.now = min(moments)
        self.done |= {job.name for end, job in self.running if end <= self.now}
        self.running = [(end, job) for end, job in self.running if end > self.now]
