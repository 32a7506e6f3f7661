import pytest

from sluice import All, SlidingWindow, TokenBucket, parse_rate


def test_the_strictest_limit_decides(clock):
    both = All([SlidingWindow(10, 60, clock), TokenBucket(1, 2, clock)])
    assert [both.allow() for _ in range(3)] == [True, True, False]


def test_a_refused_call_counts_nowhere(clock):
    window, bucket = SlidingWindow(10, 60, clock), TokenBucket(1, 2, clock)
    both = All([window, bucket])
    for _ in range(5):
        both.allow()
    assert window.used == 2


def test_wait_for_the_slowest(clock):
    both = All([SlidingWindow(1, 60, clock), TokenBucket(1, 1, clock)])
    both.allow()
    assert both.wait() == pytest.approx(60)


def test_all_of_nothing():
    with pytest.raises(ValueError):
        All([])


def test_parse_rate(clock):
    limit = parse_rate("2/second, 3 per 5 minutes", clock)
    assert [limit.allow() for _ in range(3)] == [True, True, False]
    clock.advance(1)
    assert [limit.allow() for _ in range(2)] == [True, False]
    assert limit.wait() == pytest.approx(299)


@pytest.mark.parametrize("text", ["", "ten/second", "10/fortnight", "10", "10/second;5/minute"])
def test_parse_rate_refuses(text):
    with pytest.raises(ValueError):
        parse_rate(text)
