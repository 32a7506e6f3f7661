import pytest

from taskline import Job, PlanError, read


def test_a_plan():
    plan = read("build 5\ntest 3 after build needs gpu priority 5 not-before 10  # nightly\n")
    assert list(plan.jobs.values()) == [
        Job("build", 5),
        Job("test", 3, after=frozenset({"build"}), needs=frozenset({"gpu"}), priority=5, not_before=10),
    ]


def test_several_values():
    assert read("a 1\nb 1\nc 1 after a, b").jobs["c"].after == {"a", "b"}


def test_comments_and_empty_lines():
    assert len(read("# nothing\n\n   \na 1\n")) == 1


@pytest.mark.parametrize("line", ["a", "a x", "a 1 soon", "a 1 priority", "a 0", "a 1 not-before noon"])
def test_bad_lines_are_named(line):
    with pytest.raises(PlanError, match="line 2"):
        read("z 1\n" + line)
