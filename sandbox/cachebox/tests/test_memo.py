import pytest

from cachebox import Cache, memoize


def test_a_function_runs_once():
    calls = []

    @memoize(Cache(10))
    def square(n):
        calls.append(n)
        return n * n

    assert [square(3), square(3), square(4)] == [9, 9, 16]
    assert calls == [3, 4]


def test_none_is_remembered():
    calls = []

    @memoize(Cache(10))
    def nothing():
        calls.append(1)

    nothing()
    nothing()
    assert calls == [1]


def test_keyword_arguments_in_any_order():
    cache = Cache(10)
    add = memoize(cache)(lambda a, b: a + b)
    add(a=1, b=2)
    add(b=2, a=1)
    assert cache.stats.hits == 1


def test_types_are_told_apart():
    half = memoize(Cache(10))(lambda n: repr(n))
    assert [half(1), half(1.0), half(True)] == ["1", "1.0", "True"]


def test_exceptions_are_not_remembered():
    cache = Cache(10)
    with pytest.raises(ZeroDivisionError):
        memoize(cache)(lambda n: 1 / n)(0)
    assert len(cache) == 0


def test_results_have_groups():
    cache = Cache(10)
    page = memoize(cache, group=lambda user, number: user)(lambda user, number: f"{user} {number}")
    for user, number in (("ada", 1), ("ada", 2), ("ben", 1)):
        page(user, number)
    assert cache.invalidate_group("ada") == 2
    assert len(cache) == 1
