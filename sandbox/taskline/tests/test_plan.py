import pytest

from taskline import Job, Plan, PlanError


def names(plan):
    return [job.name for job in plan]


def test_jobs_come_after_what_they_wait_for():
    plan = Plan([Job("c", 1, after={"b"}), Job("b", 1, after={"a"}), Job("a", 1)])
    assert names(plan) == ["a", "b", "c"]


def test_independent_jobs_keep_their_order():
    assert names(Plan([Job("x", 1), Job("a", 1), Job("m", 1)])) == ["x", "a", "m"]


def test_an_empty_plan():
    assert len(Plan([])) == 0
    assert Plan([]).critical_path() == []


def test_unknown_dependency():
    with pytest.raises(PlanError, match="b, which is not in the plan"):
        Plan([Job("a", 1, after={"b"})])


def test_cycle():
    with pytest.raises(PlanError, match="a, b"):
        Plan([Job("a", 1, after={"b"}), Job("b", 1, after={"a"}), Job("c", 1)])


def test_same_name_twice():
    with pytest.raises(PlanError):
        Plan([Job("a", 1), Job("a", 2)])


@pytest.mark.parametrize("bad", [{"duration": 0}, {"duration": 1, "after": {"a"}}])
def test_bad_jobs(bad):
    with pytest.raises(PlanError):
        Job("a", **bad)


def test_urgency_is_handed_down():
    plan = Plan([Job("a", 1), Job("b", 1, after={"a"}, priority=2), Job("c", 1, after={"b"}, priority=9)])
    assert plan.urgency() == {"a": 9, "b": 9, "c": 9}


def test_urgency_is_not_handed_up():
    plan = Plan([Job("a", 1, priority=5), Job("b", 1, after={"a"})])
    assert plan.urgency() == {"a": 5, "b": 0}


def test_critical_path():
    plan = Plan([Job("a", 2), Job("b", 7), Job("c", 3, after={"a", "b"}), Job("d", 4, after={"a"})])
    assert plan.critical_path() == ["b", "c"]


def test_critical_path_counts_waiting():
    plan = Plan([Job("a", 2), Job("b", 1, after={"a"}, not_before=10), Job("c", 5)])
    assert plan.critical_path() == ["a", "b"]
