"""A file is whole and verified, or not there: whatever the network, the disk or the user does meanwhile."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub import COMMIT, Hub, serving_hub
from qwencode.errors import ModelUnavailable, UsageError
from qwencode.events import Event, Notice, PhaseStarted, Progress
from qwencode.machine.first_run import measure
from qwencode.machine.hub import Source, source_of
from qwencode.machine.pull import Pulled, checksum_of, part_of, pull
from qwencode.model.found import own
from qwencode.settings import Places

SOURCE = Source("tiny", "someone/Tiny-GGUF", "tiny.gguf")
NAME = "someone/Tiny-GGUF/tiny.gguf"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(*(tmp_path / name for name in ("config", "data", "state", "cache")))


@pytest.fixture(scope="module")
def data(tiny: Path) -> bytes:
    return tiny.read_bytes()


@contextmanager
def serving(data: bytes, **options: Any) -> Iterator[Hub]:
    with serving_hub(files={NAME: data}, **options) as hub:
        yield hub


def fetched(hub: Hub, places: Places, source: Source = SOURCE) -> tuple[Pulled | None, list[Event], list[float]]:
    """Pull to the end; return what came of it, what was said, and how long it would have waited."""
    pauses: list[float] = []
    events: list[Event] = []
    work = pull(source, places, {"HF_ENDPOINT": hub.url}, pauses.append)
    while True:
        try:
            events.append(next(work))
        except StopIteration as stop:
            return stop.value, events, pauses


def said(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Notice))


def test_the_whole_file_comes(places: Places, data: bytes) -> None:
    with serving(data) as hub:
        found, events, pauses = fetched(hub, places)
    assert found == Pulled(places.models / NAME, len(data), hashlib.sha256(data).hexdigest(), True)
    assert found.path.read_bytes() == data
    assert checksum_of(found.path).read_text() == f"{found.sha256}\n"
    assert [each.name for each in own(places)] == ["tiny"]
    assert not list(found.path.parent.glob(".*.part"))
    assert pauses == []
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].seconds_left == 0
    assert "Its checksum is taken from the hub" in said(events)
    assert COMMIT[:8] in said(events)
    assert hub.requests[0][0] == "HEAD"
    assert f"/resolve/{COMMIT}/" in hub.requests[1][1]


def test_what_is_there_is_not_fetched_again(places: Places, data: bytes) -> None:
    with serving(data) as hub:
        fetched(hub, places)
        asked = len(hub.requests)
        found, events, _ = fetched(hub, places)
    assert found is None
    assert "is there already" in said(events)
    assert len(hub.requests) == asked


def test_a_broken_connection_is_taken_up_again(places: Places, data: bytes) -> None:
    with serving(data, cuts=[1000, 0, 300_000]) as hub:
        found, events, pauses = fetched(hub, places)
    assert found
    assert found.path.read_bytes() == data
    assert hub.fetched[0] == ""
    assert all(span.startswith("bytes=") for span in hub.fetched[1:])
    assert len(hub.fetched) == 4
    assert pauses == [1.0, 2.0, 1.0]
    assert "trying again" in said(events)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 900_000), max_size=4), st.booleans())
def test_cuts_anywhere_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[int], ranges: bool
) -> None:
    folder = tmp_path_factory.mktemp("pull")
    places = Places(*[folder / name for name in ("config", "data", "state", "cache")])
    with serving(data, cuts=cuts, ranges=ranges) as hub:
        found, _, _ = fetched(hub, places)
    assert found
    assert found.path.read_bytes() == data


def test_where_nothing_comes_it_ends_and_keeps_what_came(places: Places, data: bytes) -> None:
    with (
        serving(data, cuts=[5000] + [0] * 6) as hub,
        pytest.raises(ModelUnavailable, match=r"6 times in a row.*is kept"),
    ):
        fetched(hub, places)
    (part,) = places.models.rglob("*.part")
    assert part.read_bytes() == data[:5000]
    assert own(places) == []
    with serving(data) as hub:
        found, _, _ = fetched(hub, places)
    assert hub.fetched == ["bytes=5000-"]
    assert found
    assert found.path.read_bytes() == data


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1_000_000), st.booleans())
def test_it_goes_on_from_whatever_is_there(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, have: int, ranges: bool
) -> None:
    folder = tmp_path_factory.mktemp("pull")
    places = Places(*[folder / name for name in ("config", "data", "state", "cache")])
    digest = hashlib.sha256(data).hexdigest()
    part = places.models / "someone/Tiny-GGUF" / f".tiny.gguf.{digest[:16]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes((data + b"too much" * 50_000)[:have])
    with serving(data, ranges=ranges) as hub:
        found, _, _ = fetched(hub, places)
    assert found
    assert found.path.read_bytes() == data
    if 0 < have < len(data):
        assert hub.fetched == [f"bytes={have}-"]


def test_a_part_that_is_damaged_is_found_out_and_removed(places: Places, data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    part = places.models / "someone/Tiny-GGUF" / f".tiny.gguf.{digest[:16]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes([data[0] ^ 1]) + data[1:1000])
    with serving(data) as hub:
        with pytest.raises(ModelUnavailable, match=r"is not what was published.*removed; pull it again"):
            fetched(hub, places)
        assert not part.exists()
        found, _, _ = fetched(hub, places)
    assert found


def test_a_wrong_checksum_is_refused(places: Places, data: bytes) -> None:
    with serving(data, lies="ab" * 32) as hub, pytest.raises(ModelUnavailable, match=r"should be abababababababab…"):
        fetched(hub, places)
    assert own(places) == []
    assert not list(places.models.rglob("*.part"))
    assert not list(places.models.rglob("*.sha256"))


def test_the_catalogues_word_counts(places: Places, data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    known = replace(SOURCE, revision=COMMIT, size=len(data), sha256=digest)
    with serving(data) as hub:
        for wrong in (replace(known, size=5), replace(known, sha256="cd" * 32)):
            with pytest.raises(ModelUnavailable, match=r"than is known to be right .* it was not fetched"):
                fetched(hub, places, wrong)
        assert not hub.fetched
        _, events, _ = fetched(hub, places, known)
        assert "checksum" not in said(events)
    shutil.rmtree(places.models)
    with serving(data) as hub:
        found, events, _ = fetched(hub, places, replace(known, revision="", sha256="cd" * 32))
        assert found
        assert "was published anew" in said(events)
        assert "taken from the hub" not in said(events)


def test_without_a_checksum_that_is_said(places: Places, data: bytes) -> None:
    with serving(data, etag='W/"abc"') as hub:
        found, events, _ = fetched(hub, places)
    assert found
    assert not found.known
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert "Neither catalogue nor hub know a checksum" in said(events)


def test_what_is_no_model_is_not_kept(places: Places) -> None:
    with (
        serving(b"GGUF and nothing else, " * 100) as hub,
        pytest.raises(ModelUnavailable, match=r"^tiny\.gguf has GGUF"),
    ):
        fetched(hub, places)
    assert not list(places.models.rglob("*.gguf*[!k]"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"head_statuses": [401]}, "is not open to everybody.*HF_TOKEN"),
        ({"head_statuses": [403]}, "is not open to everybody.*HF_TOKEN"),
        ({"head_statuses": [503] * 6}, r"cannot be reached \(the hub says 503\), 6 times"),
        ({"statuses": [404]}, "the server answers 404"),
        ({"statuses": [416]}, "the server answers 416"),
        ({"no_hub": True}, "does not answer as a hub does"),
    ],
)
def test_refusals_are_one_sentence(places: Places, data: bytes, options: dict[str, Any], sentence: str) -> None:
    with serving(data, **options) as hub, pytest.raises(ModelUnavailable, match=sentence):
        fetched(hub, places)
    assert own(places) == []


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("EntryNotFound", "no such file"),
        ("RevisionNotFound", "no revision main"),
        ("RepoNotFound", "no such repository"),
    ],
)
def test_what_the_hub_does_not_have(places: Places, code: str, sentence: str) -> None:
    with serving_hub(code=code) as hub, pytest.raises(ModelUnavailable, match=f"does not have {NAME}: {sentence}"):
        fetched(hub, places)


def test_too_many_requests_are_waited_for(places: Places, data: bytes) -> None:
    with serving(data, head_statuses=[429], statuses=[429, 503], retry_after="7") as hub:
        found, events, pauses = fetched(hub, places)
    assert found
    assert pauses == [7.0, 7.0, 7.0]
    assert "429" in said(events)
    with serving(data, head_statuses=[429], retry_after="86400") as hub:
        (places.models / NAME).unlink()
        assert fetched(hub, places)[2] == [60.0]


def test_a_repository_that_moved_is_followed(places: Places, data: bytes) -> None:
    with serving(data, moved=True) as hub:
        found, _, _ = fetched(hub, places)
    assert found


def test_nobody_there(places: Places, data: bytes) -> None:
    with serving(data) as hub:
        pass
    with pytest.raises(ModelUnavailable, match=r"cannot be reached .*6 times in a row"):
        fetched(hub, places)


def test_a_token_goes_to_the_hub_and_to_nobody_else(
    places: Places, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serving(data) as hub:
        fetched(hub, places)
    assert hub.store != hub.url
    assert {(path.startswith("/store/"), sent) for path, sent in hub.authorized} == {(False, True), (True, False)}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("HF_TOKEN", "hf_schlüssel", "The token for the hub .* has characters that no token has"),
        ("HF_ENDPOINT", "nowhere", "nowhere/.* is no address to ask at. Is HF_ENDPOINT right?"),
        ("HF_ENDPOINT", f"http://{'a' * 64}.net", "is no address to ask at. Is HF_ENDPOINT right?"),
        ("HF_ENDPOINT", "http://x:port", "is no address to ask at. Is HF_ENDPOINT right?"),
        ("SSL_CERT_FILE", "/none.pem", "The certificates cannot be loaded"),
        ("ALL_PROXY", "socks5://127.0.0.1:9", "speaks SOCKS"),
    ],
)
def test_surroundings_that_cannot_be_used(
    places: Places, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    for work in (lambda: list(pull(SOURCE, places)), lambda: measure(SOURCE)):
        with pytest.raises(ModelUnavailable, match=sentence) as caught:
            work()
        assert "hf_" not in str(caught.value)


def test_offline_is_offline(places: Places, data: bytes) -> None:
    with serving(data) as hub:
        work = pull(SOURCE, places, {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "1"})
        with pytest.raises(ModelUnavailable, match="HF_HUB_OFFLINE is set"):
            list(work)
        assert hub.requests == []


def test_too_little_room_is_known_before(places: Places, data: bytes) -> None:
    """The hub promises a file larger than any disk; nothing of it is asked for."""
    with serving(data) as hub:
        hub.files[NAME] = Endless(data)
        with pytest.raises(ModelUnavailable, match=r"needs [\d.]+ GB more on the disk of .* are free"):
            fetched(hub, places)
        assert not hub.fetched


class Endless(bytes):
    """Says of itself that it is larger than a disk."""

    def __len__(self) -> int:
        return 1 << 60


def test_one_at_a_time(places: Places, data: bytes) -> None:
    with serving(data, slow=1000) as hub:
        first = pull(SOURCE, places, {"HF_ENDPOINT": hub.url})
        while not isinstance(event := next(first), PhaseStarted) or event.phase != "pull":
            pass
        with pytest.raises(UsageError, match=r"Another qwencode is pulling tiny\.gguf right now"):
            fetched(hub, places)
        first.close()
        hub.slow = -1
        assert fetched(hub, places)[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 80 MB, where that is allowed."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "none", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_fills_up_meanwhile(places: Places, data: bytes, small_disk: Path) -> None:
    places.data.symlink_to(small_disk)
    with serving(data) as hub:
        work = pull(SOURCE, places, {"HF_ENDPOINT": hub.url})
        filler = small_disk / "filler"
        with pytest.raises(ModelUnavailable, match=r"The disk of .* is full.*same command goes on"):
            for event in work:
                if isinstance(event, PhaseStarted) and event.phase == "pull":
                    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - 300_000))
        assert own(places) == []
        (part,) = places.models.rglob("*.part")
        assert part.read_bytes() == data[: part.stat().st_size]
        filler.unlink()
        found, _, _ = fetched(hub, places)
    assert found
    assert found.path.read_bytes() == data


def test_a_write_that_finds_the_disk_full_keeps_what_came(places: Places, data: bytes) -> None:
    """The limit on the size of a file stands for the disk: the system refuses a write beyond it as on a full one."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with serving(data) as hub:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
            with pytest.raises(ModelUnavailable, match=r"cannot be written: File too large|is full") as caught:
                fetched(hub, places)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, heard)
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno in (errno.EFBIG, errno.ENOSPC)
        (part,) = places.models.rglob("*.part")
        assert part.read_bytes() == data[: part.stat().st_size]
        found, _, _ = fetched(hub, places)
        assert found
        assert found.path.read_bytes() == data


@pytest.mark.usefixtures("permissions_hold")
def test_a_place_that_cannot_be_written(places: Places, data: bytes) -> None:
    places.data.mkdir()
    places.data.chmod(0o555)
    with serving(data) as hub, pytest.raises(ModelUnavailable, match="cannot be written: Permission denied"):
        fetched(hub, places)
    places.data.chmod(0o755)


def test_a_disk_that_is_read_only(places: Places, data: bytes, small_disk: Path) -> None:
    """Root may write everywhere but there."""
    places.data.symlink_to(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with serving(data) as hub, pytest.raises(ModelUnavailable, match="cannot be written: Read-only file system"):
        fetched(hub, places)
    assert not list(small_disk.iterdir())


PULL = """
import sys
from pathlib import Path
from qwencode.machine.hub import Source
from qwencode.machine.pull import pull
from qwencode.settings import Places
folder = Path(sys.argv[1])
places = Places(*(folder / name for name in ("config", "data", "state", "cache")))
try:
    for event in pull(Source("tiny", "someone/Tiny-GGUF", "tiny.gguf"), places, {"HF_ENDPOINT": sys.argv[2]}):
        pass
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_what_another_program_has_is_not_fetched_again(places: Places, tiny: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    name = "unsloth/Qwen3.6-35B-A3B-MTP-GGUF/Qwen3.6-35B-A3B-MXFP4_MOE.gguf"
    theirs = home / ".lmstudio/models" / name
    theirs.parent.mkdir(parents=True)
    shutil.copy(tiny, theirs)
    source = source_of(name)
    with serving_hub() as hub:
        found, events, _ = fetched(hub, replace(places, home=home), source)
        assert found is None
        assert f"is used in place: {theirs} (LM Studio)" in said(events)
        assert hub.requests == []
        other = source_of(name.replace("MXFP4_MOE", "UD-Q4_K_XL"))  # of which the size is known, and this is not it
        shutil.move(theirs, theirs.with_name(Path(other.file).name))
        with pytest.raises(ModelUnavailable, match="does not have"):
            fetched(hub, replace(places, home=home), other)


def test_the_hubs_own_client_gets_the_same_from_this_server(data: bytes, tmp_path: Path) -> None:
    """So that what is proven here is not proven against a fancy of ours."""
    from huggingface_hub import hf_hub_download

    with serving(data) as hub:
        path = hf_hub_download("someone/Tiny-GGUF", "tiny.gguf", endpoint=hub.url, local_dir=tmp_path, token=False)
        assert Path(path).read_bytes() == data
        with pytest.raises(OSError):
            hf_hub_download("someone/Tiny-GGUF", "none.gguf", endpoint=hub.url, local_dir=tmp_path, token=False)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_goes_on_where_it_was(
    places: Places, data: bytes, tmp_path: Path, number: signal.Signals
) -> None:
    at = int.from_bytes(os.urandom(2)) * 10  # anywhere, and another place each time
    with serving(data, slow=at) as hub:
        child = subprocess.Popen([sys.executable, "-c", PULL, str(tmp_path), hub.url])
        assert hub.reached.wait(20)
        wait_for(lambda: sum(path.stat().st_size for path in places.models.rglob("*.part")) >= at // 65536 * 65536)
        child.send_signal(number)
        child.wait(20)
        hub.go.set()
        assert own(places) == []
        have = sum(path.stat().st_size for path in places.models.rglob("*.part"))
        hub.slow = -1
        hub.requests.clear()
        found, _, _ = fetched(hub, places)
    assert found
    assert found.path.read_bytes() == data
    assert hub.fetched == [f"bytes={have}-" if have else ""]


def wait_for(done: Callable[[], bool]) -> None:
    import time

    end = time.monotonic() + 1.0  # what lies in a socket's buffer may stay there; then what came is what counts
    while not done() and time.monotonic() < end:
        time.sleep(0.01)


def test_names() -> None:
    entry = source_of("qwen3.6-35b-a3b-ud-q4_k_xl")
    assert (entry.repository, entry.size) == ("unsloth/Qwen3.6-35B-A3B-GGUF", 22_360_456_160)
    assert entry == source_of(
        "https://huggingface.co/unsloth/Qwen3.6-35B-A3B-GGUF/blob/main/Qwen3.6-35B-A3B-UD-Q4_K_XL.gguf".replace(
            "blob/main/", ""
        )
    )
    other = source_of("https://huggingface.co/someone/x-GGUF/resolve/v1/sub/x.gguf")
    assert other == Source("x", "someone/x-GGUF", "sub/x.gguf", "v1")
    assert source_of("someone/x-GGUF/x.gguf") == Source("x", "someone/x-GGUF", "x.gguf")
    for bad in (
        "qwen3.6-35b-q4",
        "someone/x-GGUF",
        "someone/x/../../y.gguf",
        "/etc/x.gguf",
        "https://example.com/a/b/c.gguf",
        "",
    ):
        with pytest.raises(UsageError, match="is not in the catalogue"):
            source_of(bad)
    assert part_of(Path("/x/y.gguf")).name == ".y.gguf.*.part"
