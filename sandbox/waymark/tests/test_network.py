import pytest

from waymark import Network, NetworkError


def test_links_are_seen_from_both_ends():
    network = Network()
    link = network.link("a", "b", 3)
    assert network.links_at("a") == network.links_at("b") == [link]
    assert (link.end_from("a"), link.end_from("b")) == ("b", "a")


def test_parallel_links_are_different():
    network = Network()
    assert network.link("a", "b") != network.link("a", "b")
    assert len(list(network.links())) == 2


def test_unlink():
    network = Network()
    link = network.link("a", "b")
    network.unlink(link)
    assert list(network.links()) == []
    assert network.places() == ["a", "b"]
    with pytest.raises(NetworkError):
        network.unlink(link)


@pytest.mark.parametrize(("one", "other", "length"), [("a", "a", 1), ("a", "b", -1)])
def test_links_that_make_no_sense(one, other, length):
    network = Network()
    with pytest.raises(NetworkError):
        network.link(one, other, length)
    assert len(network) == 0


def test_unknown_place():
    with pytest.raises(NetworkError, match="nowhere"):
        Network().links_at("nowhere")


def test_read():
    network = Network.read("Oslo - Bergen: 463\nBergen - Voss  # one unit\n\nTromsø\n")
    assert network.places() == ["Oslo", "Bergen", "Voss", "Tromsø"]
    assert [link.length for link in network.links()] == [463, 1]


def test_read_names_the_line():
    with pytest.raises(NetworkError, match="line 2"):
        Network.read("a - b\nb - c: far\n")
