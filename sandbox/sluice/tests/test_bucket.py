import pytest

from sluice import TokenBucket


def test_a_burst_up_to_the_capacity(clock):
    bucket = TokenBucket(1, 3, clock)
    assert [bucket.allow() for _ in range(4)] == [True, True, True, False]


def test_tokens_come_back_with_time(clock):
    bucket = TokenBucket(2, 4, clock)
    bucket.allow(4)
    clock.advance(1)
    assert bucket.tokens == pytest.approx(2)


def test_it_never_holds_more_than_its_capacity(clock):
    bucket = TokenBucket(10, 4, clock)
    clock.advance(60)
    assert bucket.tokens == 4


def test_a_refused_call_costs_nothing(clock):
    bucket = TokenBucket(1, 3, clock)
    bucket.allow(2)
    assert not bucket.allow(2)
    assert bucket.tokens == pytest.approx(1)


def test_wait(clock):
    bucket = TokenBucket(0.5, 2, clock)
    assert bucket.wait() == 0
    bucket.allow(2)
    assert bucket.wait() == pytest.approx(2)
    assert bucket.wait(2) == pytest.approx(4)


def test_wait_for_more_than_fits(clock):
    with pytest.raises(ValueError):
        TokenBucket(1, 2, clock).wait(3)


@pytest.mark.parametrize(("rate", "capacity"), [(0, 1), (1, 0), (-1, 5)])
def test_bad_values(rate, capacity, clock):
    with pytest.raises(ValueError):
        TokenBucket(rate, capacity, clock)
