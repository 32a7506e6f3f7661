from sluice import Limiter, SlidingWindow, TokenBucket


def test_keys_do_not_share(clock):
    limiter = Limiter(lambda clock: SlidingWindow(1, 10, clock), clock)
    assert limiter.allow("anna")
    assert limiter.allow("ben")
    assert not limiter.allow("anna")


def test_wait_does_not_remember_the_key(clock):
    limiter = Limiter(lambda clock: SlidingWindow(1, 10, clock), clock)
    assert limiter.wait("anna") == 0
    assert len(limiter) == 0


def test_sweep_forgets_the_idle(clock):
    limiter = Limiter(lambda clock: TokenBucket(1, 2, clock), clock)
    limiter.allow("anna")
    clock.advance(5)
    limiter.allow("ben")
    assert limiter.sweep() == 1
    assert len(limiter) == 1


def test_sweep_happens_by_itself(clock):
    limiter = Limiter(lambda clock: SlidingWindow(5, 1, clock), clock, sweep_every=3)
    limiter.allow("anna")
    limiter.allow("ben")
    clock.advance(2)
    limiter.allow("carl")
    assert len(limiter) == 1
