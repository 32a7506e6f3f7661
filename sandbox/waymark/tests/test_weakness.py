import pytest

from waymark import Network, bridges, cut_places, parts

RING = "a - b\nb - c\nc - a\n"


def names(links):
    return [str(link) for link in links]


def test_parts():
    assert parts(Network.read(RING + "x - y\nz")) == [{"a", "b", "c"}, {"x", "y"}, {"z"}]


def test_every_link_of_a_chain_is_a_bridge():
    assert names(bridges(Network.read("a - b\nb - c"))) == ["a - b", "b - c"]


def test_a_ring_has_no_bridge():
    assert bridges(Network.read(RING)) == []


def test_a_bridge_between_two_rings():
    assert names(bridges(Network.read(RING + "c - x\nx - y\ny - z\nz - x"))) == ["c - x"]


def test_bridges_of_every_part():
    assert names(bridges(Network.read("a - b\nx - y"))) == ["a - b", "x - y"]


def test_parallel_links_are_no_bridges():
    assert bridges(Network.read("a - b\na - b")) == []


def test_a_spare_link_in_the_middle_of_a_chain():
    network = Network.read("a - b\nb - c\nc - b\nc - d")
    assert names(bridges(network)) == ["a - b", "c - d"]


def test_a_bridge_when_the_spare_link_is_gone():
    network = Network.read("a - b\na - b")
    network.unlink(next(network.links()))
    assert names(bridges(network)) == ["a - b"]


@pytest.mark.parametrize(
    "start", ["m1 - m2\nm2 - m1\n", "k - m1\nm1 - m2\nm1 - m2\nm2 - k\n"], ids=["two-links", "two-links-in-a-ring"]
)
def test_a_bridge_is_what_splits_the_network(start):
    network = Network.read(start + "m2 - n\nn - o\no - m2\no - p\n")
    before = len(parts(network))
    found = bridges(network)
    for link in list(network.links()):
        network.unlink(link)
        assert (len(parts(network)) > before) == (link in found)
        network.link(link.one, link.other, link.length)
        found = bridges(network)


def test_cut_places():
    assert cut_places(Network.read("a - b\nb - c")) == {"b"}
    assert cut_places(Network.read(RING)) == set()
    assert cut_places(Network.read(RING + "c - x\nx - y")) == {"c", "x"}


def test_a_place_between_spare_links_is_still_a_cut():
    assert cut_places(Network.read("a - b\na - b\nb - c\nb - c")) == {"b"}


def test_a_long_chain():
    network = Network()
    for number in range(5000):
        network.link(str(number), str(number + 1))
    assert len(bridges(network)) == 5000
