"""Reading plans from text."""

from taskline.job import Job, PlanError
from taskline.plan import Plan

KEYWORDS = {"after", "needs", "priority", "not-before"}


def read(text: str) -> Plan:
    """Read a plan: one job a line, `#` starts a comment. Raises PlanError that names the line."""
    jobs: list[Job] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            jobs.append(_job(words))
        except (ValueError, IndexError) as error:
            raise PlanError(f"line {number}: {error}") from error
    return Plan(jobs)


def _job(words: list[str]) -> Job:
    if len(words) < 2:
        raise PlanError("a job has a name and a duration")
    name, duration, *rest = words
    values: dict[str, list[str]] = {}
    keyword = ""
    for word in rest:
        if word in KEYWORDS:
            keyword = word
            values[keyword] = []
        elif keyword:
            values[keyword].append(word.strip(","))
        else:
            raise PlanError(f"{word!r} is none of: {', '.join(sorted(KEYWORDS))}")
    return Job(
        name,
        int(duration),
        after=frozenset(values.get("after", [])),
        needs=frozenset(values.get("needs", [])),
        priority=int(values.get("priority", ["0"])[0]),
        not_before=int(values.get("not-before", ["0"])[0]),
    )
