"""A file over several connections is the same file, whatever happens to any of them."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub import Hub, serving_hub
from qwencode.errors import ModelUnavailable
from qwencode.events import PhaseStarted
from qwencode.machine.hub import Source
from qwencode.machine.lanes import Lanes, Piece, fetch
from qwencode.machine.pull import Pulled, pull
from qwencode.model.found import own
from qwencode.settings import Places
from replies import drive

SOURCE = Source("tiny", "someone/Tiny-GGUF", "tiny.gguf")
NAME = "someone/Tiny-GGUF/tiny.gguf"
LANES = Lanes(3, 60_000, 0)


@pytest.fixture(scope="module")
def data(tiny: Path) -> bytes:
    return tiny.read_bytes()


def places_in(folder: Path) -> Places:
    return Places(*(folder / name for name in ("config", "data", "state", "cache")))


def fetched(hub: Hub, places: Places) -> Pulled | None:
    return drive(pull(SOURCE, places, {"HF_ENDPOINT": hub.url}, lambda _: None, LANES))[0]


def spans(hub: Hub) -> list[tuple[int, int]]:
    """Return what the store was asked for, in the order of the file."""
    return sorted((int(begin), int(end)) for begin, _, end in (span[6:].partition("-") for span in hub.fetched))


def test_every_byte_is_fetched_once(tmp_path: Path, data: bytes) -> None:
    with serving_hub(files={NAME: data}) as hub:
        found = fetched(hub, places_in(tmp_path))
    assert found
    assert found.path.read_bytes() == data
    asked = spans(hub)
    assert len(asked) == -(-len(data) // LANES.segment)
    assert asked[0][0] == 0
    assert asked[-1][1] == len(data) - 1
    assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(asked))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 70_000), max_size=6), st.booleans(), st.lists(st.sampled_from([429, 503]), max_size=2))
def test_whatever_breaks_it_is_the_same_file(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[int], ranges: bool, statuses: list[int]
) -> None:
    places = places_in(tmp_path_factory.mktemp("lanes"))
    with serving_hub(files={NAME: data}, cuts=cuts, ranges=ranges, statuses=statuses) as hub:
        found = fetched(hub, places)
    assert found
    assert found.path.read_bytes() == data


def test_what_is_kept_is_the_beginning_of_the_file(tmp_path: Path, data: bytes) -> None:
    places = places_in(tmp_path)
    with serving_hub(files={NAME: data}, slow=20_000) as hub:  # each connection waits after so many bytes
        work = pull(SOURCE, places, {"HF_ENDPOINT": hub.url}, lambda _: None, LANES)
        while not isinstance(event := next(work), PhaseStarted) or event.phase != "pull":
            pass
        next(work)
        began = time.monotonic()
        work.close()
        assert time.monotonic() - began < 5
        (part,) = places.models.rglob("*.part")
        have = part.stat().st_size
        assert part.read_bytes() == data[:have]
        assert own(places) == []
        hub.go.set()
        hub.slow = -1
        hub.requests.clear()
        found = fetched(hub, places)
    assert found
    assert found.path.read_bytes() == data
    assert spans(hub)[0][0] == have


def test_a_refusal_of_one_is_a_refusal_of_all(tmp_path: Path, data: bytes) -> None:
    with (
        serving_hub(files={NAME: data}, statuses=[404]) as hub,
        pytest.raises(ModelUnavailable, match="the server answers 404"),
    ):
        fetched(hub, places_in(tmp_path))


def test_little_comes_through_one_connection(tmp_path: Path, data: bytes) -> None:
    with serving_hub(files={NAME: data}) as hub:
        assert drive(pull(SOURCE, places_in(tmp_path), {"HF_ENDPOINT": hub.url}))[0]
    assert hub.fetched == [""]


@pytest.mark.parametrize("short", [0, 1, 2])
def test_a_segment_that_ends_early_ends_all(short: int) -> None:
    """So that nothing is ever put in a wrong place."""

    def read(first: int, last: int) -> Iterator[Piece]:
        for at in range(first, last + (0 if first // 10 == short else 1)):
            yield bytes([at]), at

    came = [at for _, at in fetch(0, 30, Lanes(2, 10, 0), read, ())]
    assert came == list(range(10 * short + 9))


def test_no_more_threads_than_lanes() -> None:
    running, most = set[int](), list[int]()
    lock = threading.Lock()

    def read(first: int, last: int) -> Iterator[Piece]:
        with lock:
            running.add(first)
            most.append(len(running))
        yield bytes(last - first + 1), first
        with lock:
            running.discard(first)

    assert sum(len(piece) for piece, _ in fetch(5, 1000, Lanes(3, 10, 0), read, ())) == 995
    assert max(most) <= 4  # one may have handed over its last piece and not be gone yet
