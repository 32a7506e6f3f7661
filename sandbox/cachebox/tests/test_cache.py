import pytest

from cachebox import MISSING, Cache


def test_what_was_put_can_be_got():
    cache = Cache(2)
    cache.put("a", 1)
    assert cache.get("a") == 1
    assert "a" in cache


def test_what_is_not_there():
    cache = Cache(2)
    assert cache.get("a") is MISSING
    assert cache.get("a", None) is None


def test_none_is_a_value():
    cache = Cache(2)
    cache.put("a", None)
    assert cache.get("a", 5) is None


def test_the_least_recently_used_goes_first():
    cache = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert list(cache) == ["a", "c"]


def test_putting_again_counts_as_use_and_replaces():
    cache = Cache(2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        cache.put(key, value)
    assert list(cache) == ["a", "c"]
    assert cache.get("a") == 3


def test_peek_is_no_use():
    cache = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.peek("a") == 1
    cache.put("c", 3)
    assert "a" not in cache
    assert cache.stats.lookups == 0


def test_delete():
    cache = Cache(2)
    cache.put("a", 1)
    assert [cache.delete("a"), cache.delete("a")] == [True, False]


def test_clear():
    cache = Cache(2)
    cache.put("a", 1, group="g")
    cache.clear()
    assert len(cache) == cache.group_size("g") == 0


@pytest.mark.parametrize("options", [{"capacity": 0}, {"capacity": 1, "ttl": 0}])
def test_bad_values(options):
    with pytest.raises(ValueError):
        Cache(**options)


def test_stats():
    cache = Cache(1)
    cache.put("a", 1)
    cache.get("a")
    cache.get("b")
    cache.put("b", 2)
    assert (cache.stats.hits, cache.stats.misses, cache.stats.evicted) == (1, 1, 1)
    assert cache.stats.hit_rate == 0.5
    cache.stats.reset()
    assert cache.stats.hit_rate == 0
