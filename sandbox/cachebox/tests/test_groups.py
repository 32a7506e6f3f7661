import pytest

from cachebox import Cache


@pytest.fixture
def cache(clock):
    return Cache(3, clock=clock)


def test_a_group_is_forgotten_at_once(cache):
    cache.put("a", 1, group="g")
    cache.put("b", 2, group="g")
    cache.put("c", 3)
    assert cache.invalidate_group("g") == 2
    assert list(cache) == ["c"]


def test_an_unknown_group(cache):
    assert cache.invalidate_group("g") == 0


def test_a_deleted_value_leaves_its_group(cache):
    cache.put("a", 1, group="g")
    cache.delete("a")
    cache.put("a", 2)
    assert cache.invalidate_group("g") == 0
    assert cache.get("a") == 2


def test_the_group_of_the_last_put_counts(cache):
    cache.put("a", 1, group="old")
    cache.put("a", 2, group="new")
    assert cache.invalidate_group("old") == 0
    assert cache.get("a") == 2
    assert cache.invalidate_group("new") == 1


def test_an_evicted_value_leaves_its_group(cache):
    cache.put("a", 1, group="g")
    for key in "bcd":
        cache.put(key, key)
    cache.put("a", 2)
    assert cache.invalidate_group("g") == 0
    assert cache.get("a") == 2


def test_an_expired_value_leaves_its_group(cache, clock):
    cache.put("a", 1, ttl=5, group="g")
    clock.now = 6
    cache.get("a")
    assert cache.group_size("g") == 0


def test_group_size(cache):
    cache.put("a", 1, group="g")
    cache.put("b", 1, group="g")
    cache.put("b", 1, group="h")
    assert (cache.group_size("g"), cache.group_size("h"), cache.group_size("x")) == (1, 1, 0)
