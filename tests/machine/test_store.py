"""Files are taken in whole, checked against whatever is known of them, and removed only below our own directory."""

import hashlib
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import gguf
import numpy as np
import pytest

from qwencode.errors import ModelUnavailable, UsageError
from qwencode.events import Event, Progress
from qwencode.machine.pull import checksum_of
from qwencode.machine.store import Verified, remove, take_in, verify, what_goes
from qwencode.model.found import OURS, Found, others, own
from qwencode.model.llama.gguf_header import check
from qwencode.settings import Places

Done = TypeVar("Done")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    folder = Places(*(tmp_path / name for name in ("config", "data", "state", "cache")), home=tmp_path / "home")
    folder.models.mkdir(parents=True)
    return folder


def done(work: Generator[Event, None, Done]) -> tuple[Done, list[Event]]:
    events: list[Event] = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as stop:
            return stop.value, events


def checked(file: Found) -> Verified:
    return done(verify(file))[0]


def put(path: Path, tiny: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(tiny, path))


def test_a_file_is_copied(places: Places, tiny: Path) -> None:
    target, events = done(take_in(tiny, places, link=False))
    assert target == places.models / tiny.name
    assert target.read_bytes() == tiny.read_bytes()
    assert any(isinstance(event, Progress) and event.phase == "copy" for event in events)
    assert [path.name for path in places.models.iterdir()] == [tiny.name]
    with pytest.raises(UsageError, match="is there already"):
        done(take_in(tiny, places, link=False))


def test_a_file_is_linked_to(places: Places, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = put(tmp_path / "elsewhere" / "mine.gguf", tiny)
    monkeypatch.chdir(source.parent)
    target, _ = done(take_in(Path("mine.gguf"), places, link=True))
    assert target.readlink() == source
    assert [file.name for file in own(places)] == ["mine"]
    assert remove([target], places) == 0
    assert source.exists()


def test_what_is_no_model_is_not_taken_in(places: Places, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_text("hello, I am not a model at all")
    for path in (tmp_path / "x.gguf", tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ModelUnavailable):
            done(take_in(path, places, link=False))
    assert not list(places.models.iterdir())


def test_a_copy_that_is_given_up_leaves_nothing(places: Places, tiny: Path) -> None:
    work = take_in(tiny, places, link=False)
    next(work)
    work.close()
    assert not list(places.models.iterdir())


@pytest.mark.usefixtures("permissions_hold")
def test_a_place_that_cannot_be_written(places: Places, tiny: Path) -> None:
    places.models.chmod(0o555)
    try:
        with pytest.raises(UsageError, match=r"cannot be put into .*: Permission denied"):
            done(take_in(tiny, places, link=False))
    finally:
        places.models.chmod(0o755)


def test_a_full_disk(places: Places, tiny: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    places.models.rmdir()
    places.models.symlink_to(small)
    try:
        with pytest.raises(UsageError, match="the disk is full; --link needs no room"):
            done(take_in(tiny, places, link=False))
        assert not list(small.iterdir())
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_checksum_is_compared_with_whatever_knows_it(places: Places, tiny: Path) -> None:
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    plain = Found("plain", put(places.models / "plain.gguf", tiny), OURS)
    assert checked(plain) == Verified(plain, digest, "its own head; no checksum of it is known")
    checksum_of(plain.path).write_text(f"{digest}\n")
    assert checked(plain) == Verified(plain, digest, "the checksum of its download")
    checksum_of(plain.path).write_text("ab" * 32)
    assert "should be abababababababab…" in checked(plain).problem
    checksum_of(plain.path).write_text("no checksum")
    assert not checked(plain).problem

    assert places.home
    repository = places.home / ".cache/huggingface/hub/models--a--b"
    blob = put(repository / "blobs" / digest, tiny)
    link = repository / "snapshots/x/y.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    (theirs,) = others(places, {})
    assert checked(theirs) == Verified(theirs, digest, "the name that Hugging Face gave it")
    wrong = Found("w", put(places.home / "blobs" / f"sha256-{'cd' * 32}", tiny), "Ollama")
    assert "should be cdcdcdcdcdcdcdcd…" in checked(wrong).problem


def test_sizes_and_heads_are_checked(places: Places, tiny: Path) -> None:
    published = put(places.models / "unsloth/Qwen3.6-35B-A3B-GGUF/Qwen3.6-35B-A3B-UD-Q4_K_XL.gguf", tiny)
    (file,) = own(places)
    assert file.name == "Qwen3.6-35B-A3B-UD-Q4_K_XL"
    assert f"It has {tiny.stat().st_size:,} bytes, and 22,360,456,160 were published." in checked(file).problem
    published.write_bytes(tiny.read_bytes()[:-100])
    assert "is cut off" in checked(file).problem
    published.unlink()
    assert "There is no model file" in checked(file).problem


@pytest.mark.parametrize("at", [5, 3000, 400_000, 796_000])
def test_one_wrong_bit_is_found(places: Places, tiny: Path, at: int) -> None:
    path = put(places.models / "x.gguf", tiny)
    data = bytearray(path.read_bytes())
    checksum_of(path).write_text(hashlib.sha256(data).hexdigest())
    data[at] ^= 1
    path.write_bytes(data)
    assert checked(Found("x", path, OURS)).problem


def test_a_model_goes_with_all_that_belongs_to_it(places: Places, tiny: Path) -> None:
    folder = places.models / "unsloth/Qwen3.6-35B-A3B-GGUF"
    path = put(folder / "Qwen3.6-35B-A3B-UD-Q4_K_XL.gguf", tiny)
    kept = put(places.models / "other.gguf", tiny)
    for name in (f".{path.name}.sha256", f".{path.name}.lock", f".{path.name}.0123456789abcdef.part"):
        (folder / name).write_text("x")
    paths = what_goes("QWEN3.6-35B-A3B-UD-Q4_K_XL", places, own(places))
    assert paths[0] == path
    assert len(paths) == 4
    assert remove(paths, places) == tiny.stat().st_size + 3
    assert list(places.models.iterdir()) == [kept]


@pytest.fixture
def projector(tmp_path: Path) -> Path:
    """Return a small file of the kind that turns images into tokens."""
    path = tmp_path / "elsewhere" / "mmproj-F16.gguf"
    path.parent.mkdir()
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_tensor("v.patch_embd.weight", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_projector_is_kept_and_is_no_model(places: Places, projector: Path, tiny: Path) -> None:
    target, _ = done(take_in(projector, places, link=False))
    assert own(places) == []
    assert not checked(Found(target.stem, target, OURS)).problem
    with pytest.raises(ModelUnavailable, match=r"turns images into tokens for a server; qwencode reads text"):
        check(target)
    false = put(projector.with_name("mmproj-BF16.gguf"), tiny)
    with pytest.raises(ModelUnavailable, match=r"is no projector: it holds a model of architecture 'qwen35moe'"):
        done(take_in(false, places, link=False))


def test_a_projector_goes_by_its_name(places: Places, projector: Path) -> None:
    folder = places.models / "unsloth/Qwen3.6-35B-A3B-GGUF"
    path = put(folder / projector.name, projector)
    assert what_goes("qwen3.6-35b-a3b-mmproj-f16", places, own(places)) == [path]


def test_the_part_of_a_download_can_go(places: Places) -> None:
    folder = places.models / "unsloth/Qwen3.6-35B-A3B-GGUF"
    folder.mkdir(parents=True)
    part = folder / ".Qwen3.6-35B-A3B-UD-Q4_K_XL.gguf.0123456789abcdef.part"
    part.write_text("x")
    assert what_goes("qwen3.6-35b-a3b-ud-q4_k_xl", places, []) == [part]


def test_nothing_of_others_and_nothing_elsewhere_goes(places: Places, tiny: Path, tmp_path: Path) -> None:
    assert places.home
    theirs = put(places.home / ".lmstudio/models/x/y/Theirs.gguf", tiny)
    with pytest.raises(UsageError, match="belongs to LM Studio; remove it there"):
        what_goes("theirs", places, others(places, {}))
    for name in ("nothing", "", "../x", str(theirs)):
        with pytest.raises(UsageError, match="There is no model"):
            what_goes(name, places, [])
    outside = put(tmp_path / "data" / "precious.gguf", tiny)
    (places.models / "way").symlink_to(outside.parent)
    mine = put(places.models / "mine.gguf", tiny)
    for path in (outside, places.models / "way" / "precious.gguf", places.models / ".." / "precious.gguf"):
        with pytest.raises(UsageError, match="is not below"):
            remove([mine, path], places)
    assert outside.exists()
    assert mine.exists()
    assert outside.samefile(places.models / "way" / "precious.gguf")


def test_a_name_of_two_files(places: Places, tiny: Path) -> None:
    put(places.models / "a/x.gguf", tiny)
    second = put(places.models / "b/x.gguf", tiny)
    with pytest.raises(UsageError, match=r"could be .*/a/x\.gguf or .*/b/x\.gguf"):
        what_goes("x", places, own(places))
    assert what_goes(str(second), places, own(places)) == [second]
