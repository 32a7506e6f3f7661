"""Schedule jobs with dependencies, priorities and shared resources."""

from taskline.job import Job, PlanError
from taskline.plan import Plan
from taskline.reader import read
from taskline.simulation import Run, Timeline, simulate

__all__ = ["Job", "Plan", "PlanError", "Run", "Timeline", "read", "simulate"]
