from cachebox import MISSING, Cache


def test_a_value_dies_when_its_time_has_passed(clock):
    cache = Cache(2, ttl=10, clock=clock)
    cache.put("a", 1)
    clock.now = 9.9
    assert cache.get("a") == 1
    clock.now = 10
    assert cache.get("a") is MISSING
    assert cache.stats.expired == 1


def test_a_ttl_of_its_own(clock):
    cache = Cache(2, ttl=10, clock=clock)
    cache.put("a", 1, ttl=30)
    clock.now = 20
    assert cache.get("a") == 1


def test_putting_again_starts_anew(clock):
    cache = Cache(2, ttl=10, clock=clock)
    cache.put("a", 1)
    clock.now = 8
    cache.put("a", 2)
    clock.now = 15
    assert cache.get("a") == 2


def test_without_a_ttl_values_live_for_ever(clock):
    cache = Cache(2, clock=clock)
    cache.put("a", 1)
    clock.now = 1e9
    assert cache.get("a") == 1


def test_the_dead_make_room_before_the_living(clock):
    cache = Cache(2, clock=clock)
    cache.put("old", 1)
    cache.put("dying", 2, ttl=5)
    clock.now = 6
    cache.put("new", 3)
    assert list(cache) == ["old", "new"]
    assert cache.stats.evicted == 0


def test_purge(clock):
    cache = Cache(5, clock=clock)
    for key, ttl in (("a", 1), ("b", 2), ("c", None)):
        cache.put(key, key, ttl=ttl)
    clock.now = 2
    assert cache.purge() == 2
    assert list(cache) == ["c"]
