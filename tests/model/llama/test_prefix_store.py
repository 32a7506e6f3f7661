"""States on disk: what comes back is what was put there, or nothing. No model is needed to find out."""

import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.model.llama.fit import Fit
from qwencode.model.llama.prefix_store import Prefixes, PrefixStore, State, fingerprint, prefixes
from qwencode.model.llama.state import LiveState, Logits

HEAD = 80
KEY, OTHER = bytes(range(32)), bytes(32)
FIELDS = {"magic": 0, "key": 8, "length": 40, "checksum": 48, "state": HEAD}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")

LOOP = """
import sys
from pathlib import Path
import numpy as np
from qwencode.model.llama.prefix_store import PrefixStore
folder, limit, size, keys, rounds = Path(sys.argv[1]), *map(int, sys.argv[2:])
store = PrefixStore(folder, limit)
print("ready", flush=True)
for number in range(rounds):
    key = bytes([number % keys]) * 32
    problem = store.put(key, np.full(size, number % keys, np.uint8))
    assert not problem, problem
    state = store.get(key)
    assert state is None or (len(state) == size and (state == number % keys).all())
    if number % 3 == 0:
        store.remove(key)
"""
"""Puts, gets and removes, over and over; the state of a key is its first byte, repeated."""


def state(size: int = 1000, seed: int = 1) -> State:
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


def key(number: int) -> bytes:
    return bytes([number]) * 32


def entry(store: PrefixStore, key: bytes = KEY) -> Path:
    return store.directory / f"{key.hex()}.prefix"


def names(store: PrefixStore) -> set[str]:
    return {path.name for path in store.directory.iterdir()}


def total(store: PrefixStore) -> int:
    return sum(path.stat().st_size for path in store.directory.iterdir())


@pytest.fixture
def store(tmp_path: Path) -> PrefixStore:
    return PrefixStore(tmp_path / "cache" / "prefixes", 1_000_000)


def test_a_state_comes_back_byte_for_byte(store: PrefixStore):
    assert store.get(KEY) is None
    assert store.size(KEY) == 0
    assert not store.directory.exists()  # asking makes nothing
    for size in (1, 7, 4096, 300_001):
        assert store.put(key(size % 251), state(size)) == ""
        found = store.get(key(size % 251))
        assert found is not None
        assert (found == state(size)).all()
        assert store.size(key(size % 251)) == HEAD + size
    assert store.get(OTHER) is None
    store.remove(key(7))
    store.remove(key(7))
    assert store.get(key(7)) is None


def test_nobody_else_may_look(store: PrefixStore):
    old = os.umask(0)
    try:
        assert store.put(KEY, state()) == ""
        assert store.directory.stat().st_mode & 0o777 == 0o700
        assert entry(store).stat().st_mode & 0o777 == 0o600
        store.directory.chmod(0o777)
        assert store.put(OTHER, state()) == ""
        assert store.directory.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(old)


lengths = [*(at + by for at in FIELDS.values() for by in (-1, 0, 1) if at + by >= 0), 500, HEAD + 999]


@pytest.mark.parametrize("length", sorted({*lengths, HEAD + 1001, HEAD + 9000}))
def test_any_other_length_is_a_miss(store: PrefixStore, length: int):
    store.put(KEY, state())
    whole = entry(store).read_bytes()
    assert len(whole) == HEAD + 1000
    entry(store).write_bytes((whole + bytes(9000))[:length])
    assert store.get(KEY) is None
    assert names(store) == set()
    assert store.put(KEY, state()) == ""
    assert store.get(KEY) is not None


@pytest.mark.parametrize("field", FIELDS)
def test_any_flipped_bit_is_a_miss(store: PrefixStore, field: str):
    store.put(KEY, state())
    whole = entry(store).read_bytes()
    end = min([at for at in FIELDS.values() if at > FIELDS[field]], default=len(whole))
    for at in range(FIELDS[field], end, 1 if field != "state" else 37):
        garbled = bytearray(whole)
        garbled[at] ^= 1 << at % 8
        entry(store).write_bytes(garbled)
        assert store.get(KEY) is None, at
        assert not entry(store).exists()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_miss(tmp_path_factory: pytest.TempPathFactory, data: bytes, magic: bool):
    store = PrefixStore(tmp_path_factory.getbasetemp() / "any", 1_000)
    store.directory.mkdir(exist_ok=True)
    entry(store).write_bytes(b"qwprefix" + KEY + data if magic else data)
    assert store.get(KEY) is None
    assert not entry(store).exists()


def test_an_entry_under_another_name_is_a_miss(store: PrefixStore):
    store.put(OTHER, state())
    entry(store, OTHER).rename(entry(store))
    assert store.get(KEY) is None
    assert names(store) == set()


def test_a_link_is_not_followed(store: PrefixStore, tmp_path: Path):
    store.put(KEY, state())
    elsewhere = tmp_path / "elsewhere"
    entry(store).rename(elsewhere)
    whole = elsewhere.read_bytes()
    for target in (elsewhere, tmp_path / "nowhere", entry(store)):
        entry(store).symlink_to(target)
        assert store.size(KEY) == 0
        assert store.get(KEY) is None
        assert names(store) == set()
        entry(store).symlink_to(target)
        assert store.put(KEY, state(seed=2)) == ""
        assert not entry(store).is_symlink()
        entry(store).unlink()
        assert elsewhere.read_bytes() == whole
        assert not (tmp_path / "nowhere").exists()


def test_what_is_no_file_is_a_miss(store: PrefixStore, monkeypatch: pytest.MonkeyPatch):
    store.directory.mkdir(parents=True)
    os.mkfifo(entry(store))
    assert store.get(KEY) is None  # and nobody waits for a writer
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(store.directory)  # the name of a socket has to be short
        listening.bind("socket")
        Path("socket").rename(entry(store))
        assert store.get(KEY) is None
    assert store.put(KEY, state()) == ""
    assert store.get(KEY) is not None


def test_a_directory_at_its_place_stays_there(store: PrefixStore):
    entry(store).mkdir(parents=True)
    (entry(store) / "mine").write_text("mine")
    (store.directory / "x.tmp").mkdir()
    assert store.get(KEY) is None
    assert store.size(KEY) == 0
    assert store.put(KEY, state()) != ""
    assert names(store) == {entry(store).name, "x.tmp"}
    assert (entry(store) / "mine").read_text() == "mine"
    assert store.put(OTHER, state()) == ""
    assert store.get(OTHER) is not None


def test_a_place_that_cannot_be(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    for directory in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/prefixes")):
        store = PrefixStore(directory, 1_000_000)
        assert store.get(KEY) is None
        assert store.size(KEY) == 0
        assert store.put(KEY, state()) != ""
        store.remove(KEY)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def plain_user(tmp_path: Path) -> Iterator[Path]:
    """Become a user for whom permissions hold, and return a directory of that user's; root writes everywhere."""
    if os.geteuid():
        yield tmp_path
        return
    place = Path(tempfile.mkdtemp())  # what pytest makes is closed to others
    os.chown(place, 65534, 65534)
    os.seteuid(65534)
    try:
        yield place
    finally:
        os.seteuid(0)
        shutil.rmtree(place)


def test_a_read_only_place_can_be_read(plain_user: Path):
    store = PrefixStore(plain_user / "prefixes", 1_000_000)
    store.put(KEY, state())
    entry(store).chmod(0o400)
    store.directory.chmod(0o500)
    try:
        assert store.get(KEY) is not None
        assert store.put(OTHER, state()) == "Permission denied"
        store.remove(KEY)
        assert names(store) == {entry(store).name}
    finally:
        store.directory.chmod(0o700)


@as_root
def test_what_belongs_to_another_user_is_not_touched(store: PrefixStore):
    store.put(KEY, state())
    os.chown(entry(store), 12345, 12345)
    assert store.get(KEY) is None
    store.put(KEY, state())
    os.chown(store.directory, 12345, 12345)
    assert store.get(KEY) is None
    assert "another user" in store.put(OTHER, state())
    assert names(store) == {entry(store).name}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if (
        os.geteuid()
        or not shutil.which("mount")
        or subprocess.run(command, capture_output=True, check=False).returncode
    ):
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(small_disk: Path):
    store = PrefixStore(small_disk / "prefixes", 1_000_000)
    assert store.put(OTHER, state(50_000)) == ""
    assert store.put(KEY, state(300_000)) == "No space left on device"
    assert names(store) == {entry(store, OTHER).name}
    assert store.get(KEY) is None
    assert store.get(OTHER) is not None
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert store.get(OTHER) is not None
    assert store.put(KEY, state()) == "Read-only file system"
    entry_before = entry(store, OTHER).read_bytes()
    store.remove(OTHER)
    assert entry(store, OTHER).read_bytes() == entry_before


def test_a_file_that_may_not_grow(store: PrefixStore):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        assert store.put(KEY, state(50_000)) == "File too large"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(store) == set()
    assert store.put(KEY, state(50_000)) == ""


def test_the_least_recently_used_goes_first(tmp_path: Path):
    store = PrefixStore(tmp_path / "prefixes", 3 * (HEAD + 1000) + 10)
    for number in (1, 2, 3):
        assert store.put(key(number), state()) == ""
        os.utime(entry(store, key(number)), (number, number))
    (store.directory / "foreign").write_bytes(bytes(100_000))
    assert store.get(key(1)) is not None
    assert store.put(key(4), state()) == ""
    assert names(store) == {"foreign", *(entry(store, key(number)).name for number in (1, 3, 4))}
    assert store.put(key(5), state(2000)) == ""
    assert names(store) == {"foreign", *(entry(store, key(number)).name for number in (4, 5))}
    assert "the store holds" in store.put(key(6), state(4000))
    assert names(store) == {"foreign", *(entry(store, key(number)).name for number in (4, 5))}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["put", "get", "remove"]), st.integers(0, 5), st.integers(1, 1300))))
def test_it_never_grows_beyond_the_limit(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]):
    store = PrefixStore(tmp_path_factory.mktemp("prefixes"), 3000)
    kept: dict[int, State] = {}
    for what, number, size in steps:
        if what == "remove":
            store.remove(key(number))
            assert store.get(key(number)) is None
        elif what == "get":
            found = store.get(key(number))
            assert found is None or (found == kept[number]).all()
        else:
            if store.get(key(number)) is None:
                kept[number] = state(size, number)
            assert store.put(key(number), state(size, number)) == ""
            assert store.get(key(number)) is not None
        assert total(store) <= 3000


def test_a_lowered_limit_makes_room(tmp_path: Path):
    big = PrefixStore(tmp_path, 1_000_000)
    for number in range(5):
        big.put(key(number), state(10_000))
    small = PrefixStore(tmp_path, 25_000)
    assert small.put(key(9), state(10_000)) == ""
    assert total(small) <= 25_000
    assert PrefixStore(tmp_path, 5_000).get(key(9)) is None


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts Python with some code and waits until it says that it is ready."""
    running: list[subprocess.Popen[str]] = []

    def begin(code: str, *arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", code, *map(str, arguments)]
        pipe = subprocess.PIPE
        running.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        assert running[-1].stdout
        assert running[-1].stdout.readline() == "ready\n"
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kills", [8, pytest.param(80, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_killed_writer_leaves_nothing_bad(start: Start, tmp_path: Path, kills: int):
    limit, size, keys, left = 40_000_000, 8_000_000, 8, 0
    store = PrefixStore(tmp_path / "prefixes", limit)
    chance = random.Random(kills)
    for _ in range(kills):
        process = start(LOOP, store.directory, limit, size, keys, 1_000_000)
        time.sleep(chance.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        assert process.returncode == -signal.SIGKILL, said
        unfinished = list(store.directory.glob("*.tmp")) if store.directory.exists() else []
        left += len(unfinished)
        assert len(unfinished) <= 1
        for number in range(keys):
            before = store.size(key(number))
            found = store.get(key(number))
            assert (found is None) == (before == 0)  # what is there under its name is whole
            assert found is None or (len(found) == size and (found == number).all())
        assert store.put(KEY, state(size)) == ""  # nobody holds the lock any more
        assert not list(store.directory.glob("*.tmp"))
        assert total(store) <= limit
    assert left or kills < 20


@pytest.mark.parametrize(("keys", "room"), [(1, 3), (3, 3), (3, 1)])
def test_two_processes_at_once(start: Start, tmp_path: Path, keys: int, room: int):
    size = 200_000
    limit = room * (HEAD + size)
    store = PrefixStore(tmp_path / "prefixes", limit)
    running = [start(LOOP, store.directory, limit, size, keys, 150) for _ in range(2)]
    while any(process.poll() is None for process in running):
        assert all(store.size(key(number)) in (0, HEAD + size) for number in range(keys))
        found = store.get(key(0))
        assert found is None or (len(found) == size and (found == 0).all())
    for process in running:
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert total(store) <= limit
    assert not list(store.directory.glob("*.tmp"))


def test_a_writer_that_never_ends_is_not_waited_for(start: Start, store: PrefixStore):
    store.put(KEY, state())
    holder = f"import fcntl, os, sys; h = os.open({str(store.directory)!r}, os.O_RDONLY); fcntl.flock(h, 2)"
    code = f"{holder}; print('ready', flush=True); sys.stdin.read()"
    process = start(code)
    hasty = PrefixStore(store.directory, store.limit_bytes, patience=0.2)
    assert hasty.put(OTHER, state()) == "another process is writing there"
    assert store.get(KEY) is not None
    process.communicate("")
    assert store.put(OTHER, state()) == ""


# What a key depends on.


class Engine:
    """As much of llama.cpp as a loaded state needs. `refuses`: it does not take it."""

    batch_size = 4
    recurrent = True

    def __init__(self, refuses: bool = False):
        self.refuses = refuses

    def load(self, state: State) -> bool:
        return not self.refuses

    def save(self) -> State:
        return state(10)

    def logits(self, row: int = -1) -> Logits:
        raise AssertionError

    def rollback(self, length: int) -> bool:
        raise AssertionError

    def decode(self, tokens: Sequence[int], position: int, outputs: int) -> None:
        raise AssertionError

    def restore(self, state: State, length: int) -> bool:
        raise AssertionError

    def clear(self) -> None:
        raise AssertionError


FIT = Fit(context=2048, threads=2)
TOKENS = [5, 6, 7]


def fetched(prefixes: Prefixes, tokens: list[int] = TOKENS, refuses: bool = False) -> bool:
    live = LiveState(Engine(refuses), 1_000_000)
    taken = prefixes.fetch(live, tokens)
    assert list(live.tokens) == (tokens if taken else [])
    assert live.checkpoints == ([len(tokens)] if taken else [])
    return taken


def test_another_file_fit_library_or_text_is_another_key(store: PrefixStore):
    here = Prefixes(store, b"file", FIT, "0.5.0")
    assert not fetched(here)
    here.keep(TOKENS, state())
    assert here.problem == ""
    assert fetched(here)
    assert fetched(Prefixes(store, b"file", FIT, "0.5.0"))
    longer = replace(FIT, context=4096, threads=8, checkpoint_bytes=1)
    assert fetched(Prefixes(store, b"file", longer, "0.5.0"))
    assert not fetched(Prefixes(store, b"elif", FIT, "0.5.0"))
    assert not fetched(Prefixes(store, b"file", FIT, "0.5.1"))
    for other in ({"cache_type": "q8_0"}, {"batch": 64}, {"gpu_layers": 1}, {"draft_tokens": 4}):
        assert not fetched(Prefixes(store, b"file", replace(FIT, **other), "0.5.0"))  # type: ignore[arg-type]
    for tokens in ([5, 6], [5, 6, 8], [5, 6, 7, 0], [7, 6, 5], [5, 6, 7 + (1 << 8)], [6, 7]):
        assert not fetched(here, tokens)


def test_a_state_that_is_refused_is_removed(store: PrefixStore):
    here = Prefixes(store, b"file", FIT, "0.5.0")
    here.keep(TOKENS, state())
    assert not fetched(here, refuses=True)
    assert names(store) == set()
    assert not fetched(here)


def test_why_nothing_was_kept_is_known(tmp_path: Path):
    here = Prefixes(PrefixStore(tmp_path, 500), b"file", FIT, "0.5.0")
    here.keep(TOKENS, state())
    done = here.warmed(TOKENS, 0, 1.5)
    assert (done.tokens, done.cached, done.seconds, done.size) == (3, 0, 1.5, 0)
    assert done.problem == "it takes 1,080 bytes, and the store holds 500 at most"
    here.keep(TOKENS, state(400))
    assert here.warmed(TOKENS, 0, 1.5).size == HEAD + 400


def test_without_a_store_or_a_file_there_are_none(store: PrefixStore, tmp_path: Path):
    assert prefixes(None, tmp_path / "nowhere", FIT, "") is None
    assert prefixes(store, tmp_path / "nowhere", FIT, "") is None


def flip(path: Path, at: int) -> None:
    """Change one byte and keep the time."""
    times = path.stat().st_mtime_ns
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times, times))


changes: dict[str, Callable[[Path], object]] = {
    "time": lambda path: os.utime(path, ns=(0, path.stat().st_mtime_ns + 1)),
    "head": lambda path: flip(path, 100),
    "end": lambda path: flip(path, -1),
    "a sample": lambda path: flip(path, (path.stat().st_size - 4096) * 63 // 64 + 5),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "shorter": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("change", changes)
def test_a_changed_model_file_is_another(tmp_path: Path, change: str):
    path = tmp_path / "x.gguf"
    path.write_bytes(random.Random(1).randbytes(20 << 20))
    before = fingerprint(path)
    assert len(before) == 16
    copy = tmp_path / "moved" / "y.gguf"
    copy.parent.mkdir()
    shutil.copy2(path, copy)
    assert fingerprint(copy) == before
    changes[change](path)
    assert fingerprint(path) != before
