import pytest

from waymark import Network, NetworkError, reachable, shortest


@pytest.fixture
def network():
    return Network.read("a - b: 1\nb - c: 1\na - c: 5\nc - d: 1\nx - y: 1")


def test_the_shortest_route(network):
    route = shortest(network, "a", "d")
    assert str(route) == "a > b > c > d"
    assert route.length == 3


def test_a_route_to_itself(network):
    assert shortest(network, "a", "a").places == ("a",)


def test_no_route(network):
    assert shortest(network, "a", "x") is None


def test_avoiding_places(network):
    assert shortest(network, "a", "d", avoiding={"b"}).length == 6
    assert shortest(network, "a", "d", avoiding={"c"}) is None


def test_the_goal_may_be_a_place_to_avoid(network):
    assert shortest(network, "a", "c", avoiding={"c"}).length == 2


def test_the_shorter_of_parallel_links_is_taken():
    network = Network.read("a - b: 9\na - b: 4\na - b: 7")
    assert shortest(network, "b", "a").length == 4


def test_unknown_places(network):
    with pytest.raises(NetworkError):
        shortest(network, "a", "nowhere")


def test_reachable_nearest_first(network):
    assert list(reachable(network, "c").items()) == [("c", 0), ("b", 1), ("d", 1), ("a", 2)]


def test_reachable_within_a_limit(network):
    assert set(reachable(network, "a", limit=1.5)) == {"a", "b"}
