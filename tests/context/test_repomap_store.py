"""What is kept between runs: whole or not at all, only for its owner, within bounds, and never believed when stale."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwencode.context.repomap import store
from qwencode.context.repomap.parsing import Parsed
from qwencode.context.repomap.repository import RepositoryMap
from qwencode.context.repomap.store import Entry, Stamp, load, save
from qwencode.workspace import Workspace

ROOT = Path("/some/where")
ENTRIES = {
    "a.py": Entry(Stamp(3, 4, 5, 6), Parsed("d1", "f g", "f g h", b"\0\1packed")),
    "b\udcff.py": Entry(None, Parsed("d2", "", "", b"")),
    "dir/c.py": Entry(Stamp(2**40, 2**62, 2**62, 2**63), Parsed("d3", "grüße", "", b"x" * 5_000)),
}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    save(tmp_path / "maps", ROOT, ENTRIES)
    (path,) = (tmp_path / "maps").iterdir()
    return path


def test_what_is_kept_comes_back_for_the_same_repository_alone(kept: Path):
    assert load(kept.parent, ROOT) == ENTRIES
    assert load(kept.parent, ROOT / "else") == {} and load(kept.parent / "none", ROOT) == {}


def test_only_its_owner_may_read_it(kept: Path):
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.booleans())
def test_any_damage_is_a_miss(kept: Path, place: int, bit: int, cut: bool):
    whole = kept.read_bytes()
    place %= len(whole)
    damaged = whole[:place] if cut else whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
    kept.write_bytes(damaged)
    assert load(kept.parent, ROOT) == {}
    kept.write_bytes(whole)


def test_an_older_format_is_a_miss(kept: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "_MAGIC", b"qwencode repository map 0\n")
    assert load(kept.parent, ROOT) == {}


def test_links_and_pipes_in_its_place_are_not_read(kept: Path, tmp_path: Path):
    kept.rename(tmp_path / "moved")
    kept.symlink_to(tmp_path / "moved")
    assert load(kept.parent, ROOT) == {}
    kept.unlink()
    os.mkfifo(kept)
    assert load(kept.parent, ROOT) == {}


def test_a_place_that_cannot_be_written_keeps_nothing(tmp_path: Path):
    (tmp_path / "file").write_text("")
    save(tmp_path / "file", ROOT, ENTRIES)
    save(tmp_path / "file" / "below", ROOT, ENTRIES)
    assert load(tmp_path / "file", ROOT) == {} and (tmp_path / "file").read_text() == ""


def test_room_is_made_by_removing_what_was_not_used_for_longest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    roots = [Path(f"/repository/{number}") for number in range(4)]
    for number, root in enumerate(roots[:3]):
        save(tmp_path, root, ENTRIES)
        newest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_ctime_ns)
        os.utime(newest, (number + 1, number + 1))
    load(tmp_path, roots[0])  # used just now
    monkeypatch.setattr(store, "ALL_BYTES", sum(path.stat().st_size for path in tmp_path.iterdir()))
    save(tmp_path, roots[3], ENTRIES)
    assert [bool(load(tmp_path, root)) for root in roots] == [True, False, True, True]


def test_a_repository_too_large_to_keep_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "MAX_BYTES", 100)
    save(tmp_path / "maps", ROOT, ENTRIES)
    assert load(tmp_path / "maps", ROOT) == {}


class TestStaleness:
    def map_of(self, repository: Path, tmp_path: Path) -> str:
        return RepositoryMap(Workspace(repository), tmp_path / "cache").render(1_000)

    def test_every_kind_of_change_is_seen(self, repository: Path, tmp_path: Path):
        source = repository / "a.py"
        source.write_text("def one(): 0\n")
        (repository / "b.py").write_text("def other(): 0\n")
        assert "def one" in self.map_of(repository, tmp_path)
        times = source.stat().st_atime_ns, source.stat().st_mtime_ns
        source.write_text("def two(): 0\n")  # of the same size, and at once
        os.utime(source, ns=times)
        assert "def two" in self.map_of(repository, tmp_path)
        source.rename(repository / "c.py")
        text = self.map_of(repository, tmp_path)
        assert "c.py:\n1|def two" in text and "a.py" not in text
        (repository / ".gitignore").write_text("c.py\n")
        assert "def two" not in self.map_of(repository, tmp_path)
        (repository / "b.py").unlink()
        assert "def" not in self.map_of(repository, tmp_path)

    def test_a_file_of_long_ago_is_not_read_again(
        self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        (repository / "a.py").write_text("def one(): 0\n")
        late = (repository / "a.py").stat().st_ctime_ns + 10_000_000_000
        monkeypatch.setattr("qwencode.context.repomap.repository.time.time_ns", lambda: late)
        first = self.map_of(repository, tmp_path)

        def refuse(path: str) -> bytes:
            raise AssertionError(f"{path} is read again")

        monkeypatch.setattr("qwencode.context.repomap.repository.read_bytes", refuse)
        assert self.map_of(repository, tmp_path) == first != ""

    def test_a_damaged_cache_gives_the_same_map(self, repository: Path, tmp_path: Path):
        (repository / "a.py").write_text("def one(): 0\n")
        first = self.map_of(repository, tmp_path)
        (kept,) = (tmp_path / "cache").iterdir()
        kept.write_bytes(kept.read_bytes()[:-3])
        assert self.map_of(repository, tmp_path) == first
        assert load(tmp_path / "cache", repository)
