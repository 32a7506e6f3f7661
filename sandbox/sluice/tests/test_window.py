import pytest

from sluice import SlidingWindow


def test_so_many_and_no_more(clock):
    window = SlidingWindow(3, 10, clock)
    assert [window.allow() for _ in range(4)] == [True, True, True, False]


def test_calls_leave_the_window_one_by_one(clock):
    window = SlidingWindow(2, 10, clock)
    window.allow()
    clock.advance(6)
    window.allow()
    clock.advance(4)
    assert [window.allow(), window.allow()] == [True, False]


def test_a_full_window_opens_again(clock):
    window = SlidingWindow(1, 10, clock)
    window.allow()
    clock.advance(9.5)
    assert not window.allow()
    clock.advance(0.5)
    assert window.allow()


def test_half_full_after_a_while(clock):
    window = SlidingWindow(4, 10, clock)
    window.allow(2)
    clock.advance(11)
    assert window.allow()
    assert window.used == 1


def test_costly_calls(clock):
    window = SlidingWindow(5, 10, clock)
    assert window.allow(3)
    assert not window.allow(3)
    assert window.allow(2)


def test_wait_until_the_oldest_leaves(clock):
    window = SlidingWindow(2, 10, clock)
    window.allow()
    clock.advance(3)
    window.allow()
    assert window.wait() == pytest.approx(7)
    assert window.wait(2) == pytest.approx(10)


def test_no_wait_while_there_is_room(clock):
    assert SlidingWindow(2, 10, clock).wait(2) == 0


def test_wait_for_more_than_fits(clock):
    with pytest.raises(ValueError):
        SlidingWindow(2, 10, clock).wait(3)


def test_used_and_idle(clock):
    window = SlidingWindow(2, 10, clock)
    window.allow()
    assert (window.used, window.idle()) == (1, False)
    clock.advance(10)
    assert (window.used, window.idle()) == (0, True)
