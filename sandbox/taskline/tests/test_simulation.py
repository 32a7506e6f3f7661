import pytest

from taskline import Job, Plan, PlanError, Run, simulate


def test_nothing_to_do():
    assert simulate(Plan([])).length == 0


def test_one_worker_does_one_job_after_the_other():
    timeline = simulate(Plan([Job("a", 2), Job("b", 3)]))
    assert timeline.runs == [Run("a", 0, 2), Run("b", 2, 5)]


def test_two_workers_share():
    timeline = simulate(Plan([Job("a", 4), Job("b", 1), Job("c", 2)]), workers=2)
    assert timeline.runs == [Run("a", 0, 4), Run("b", 0, 1), Run("c", 1, 3)]
    assert timeline.at(2) == {"a", "c"}


def test_dependencies_are_waited_for():
    timeline = simulate(Plan([Job("a", 4), Job("b", 1, after={"a"})]), workers=2)
    assert timeline.start_of("b") == 4


def test_all_dependencies_are_waited_for():
    timeline = simulate(Plan([Job("a", 1), Job("b", 3), Job("c", 1, after={"a", "b"})]), workers=3)
    assert timeline.start_of("c") == 3


def test_priority_decides():
    timeline = simulate(Plan([Job("low", 1), Job("high", 1, priority=3)]))
    assert [run.name for run in timeline.runs] == ["high", "low"]


def test_what_an_urgent_job_waits_for_is_urgent():
    plan = Plan([Job("other", 5, priority=1), Job("first", 1), Job("urgent", 1, after={"first"}, priority=9)])
    assert [run.name for run in simulate(plan).runs] == ["first", "urgent", "other"]


def test_a_job_does_not_start_before_its_time():
    timeline = simulate(Plan([Job("late", 1, not_before=6, priority=9), Job("now", 2)]))
    assert timeline.runs == [Run("now", 0, 2), Run("late", 6, 7)]


def test_a_scarce_resource_is_shared_in_turn():
    plan = Plan([Job("a", 3, needs={"gpu"}), Job("b", 2, needs={"gpu"}), Job("c", 1)])
    timeline = simulate(plan, workers=3, resources={"gpu": 1})
    assert timeline.runs == [Run("a", 0, 3), Run("c", 0, 1), Run("b", 3, 5)]


def test_a_resource_may_be_there_twice():
    plan = Plan([Job("a", 3, needs={"gpu"}), Job("b", 3, needs={"gpu"})])
    assert simulate(plan, workers=2, resources={"gpu": 2}).length == 3


def test_missing_resource():
    with pytest.raises(PlanError, match="a needs gpu"):
        simulate(Plan([Job("a", 1, needs={"gpu"})]))


def test_no_workers():
    with pytest.raises(PlanError):
        simulate(Plan([]), workers=0)
