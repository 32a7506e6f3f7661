"""Every entry of the catalogue is well formed, and says nothing that it cannot know."""

import re
from collections import Counter
from pathlib import Path

import pytest

from qwencode.errors import UsageError
from qwencode.model.catalogue import Entry, catalogue, find
from qwencode.model.llama.fitting import Wishes, fit
from qwencode.model.llama.footprint import Scale
from qwencode.model.llama.machine import Gpu, Machine
from qwencode.model.llama.shapes import header_of

ENTRIES = list(catalogue().entries.values())
GIB = 1 << 30
STATE_MIB = {
    "35b-a3b": 62.81,
    "27b": 149.62,
    "9b": 50.25,
    "4b": 50.25,
    "0.8b": 19.27,
    "llama-8b": 0,
    "coder-30b-a3b": 0,
}  # as llama.cpp logs them
CACHE = {
    "35b-a3b": 20_480,
    "27b": 65_536,
    "9b": 32_768,
    "4b": 32_768,
    "0.8b": 12_288,
    "llama-8b": 131_072,
    "coder-30b-a3b": 98_304,
}  # bytes a token, 16 bits


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_well_formed(entry: Entry) -> None:
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.repository)
    assert re.fullmatch(r"[\w.-]+\.gguf", entry.file)
    assert re.fullmatch(r"[\w.-]+", entry.name)
    assert entry.quantisation in entry.file
    assert entry.shape in catalogue().shapes
    assert re.fullmatch(r"|[0-9a-f]{40}", entry.revision)
    assert re.fullmatch(r"|[0-9a-f]{64}", entry.sha256)
    assert not (entry.bytes and entry.gigabytes)
    assert not entry.size or 0.3e9 < entry.size < 50e9
    assert bool(entry.perplexity) == bool(entry.divergence)
    assert entry.mtp == ("MTP" in entry.repository)
    assert find(entry.name.upper()) == find(f"{entry.repository}/{entry.file}") == entry


MODELS = [entry for entry in ENTRIES if entry.size and entry.shape != "projector"]


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.name)
def test_the_head_of_an_entry_is_that_of_its_shape(entry: Entry) -> None:
    header = header_of(entry)
    assert header
    assert header.predicts == entry.mtp
    assert round(header.state_bytes / 2**20, 2) == STATE_MIB[entry.shape]
    assert header.cache_bytes == CACHE[entry.shape]
    assert sum(header.tensors.values()) == pytest.approx(entry.size, rel=1e-6)
    experts = sum(size for name, size in header.tensors.items() if "_exps" in name)
    assert (experts > entry.size // 2) == entry.shape.endswith("-a3b")


def test_names_places_and_checksums_are_given_once() -> None:
    for values in (
        [entry.name.lower() for entry in ENTRIES],
        [entry.place.as_posix().lower() for entry in ENTRIES],
        [entry.sha256 for entry in ENTRIES if entry.sha256],
    ):
        assert not [value for value, count in Counter(values).items() if count > 1]


def test_more_bits_are_more_bytes_and_less_divergence() -> None:
    measured = sorted((entry for entry in ENTRIES if entry.divergence), key=lambda entry: entry.size)
    divergences = [entry.divergence for entry in measured]
    assert divergences == sorted(divergences, reverse=True)
    assert len(measured) == 5


def test_what_is_recommended_is_there_with_size_and_falls_in_size() -> None:
    sizes = [catalogue().entries[name].size for name in catalogue().recommended]
    assert all(sizes)
    assert sizes == sorted(sizes, reverse=True)


def test_a_name_that_is_none() -> None:
    assert find("Qwen3.6-35B-A3B") is None
    assert find("") is None


def test_the_experts_of_a_published_file_are_moved_as_people_report() -> None:
    """A GPU of 8 GB keeps the four-bit file's experts of about 30 of 40 blocks in main memory."""
    header = header_of(catalogue().entries["Qwen3.6-35B-A3B-UD-Q4_K_XL"])
    assert header
    machine = Machine(8, 28 * GIB, 32 * GIB, (Gpu("card", int(7.5 * GIB)),))
    found = fit(header, machine, Wishes(context=32_768, draft_tokens=0))
    assert 28 <= found.cpu_experts <= 36
    assert Scale(header, machine).fits(found)


OWN = """
recommended = ["mine", "Qwen3.5-0.8B-UD-Q4_K_XL"]
[[file]]
name = "mine"
repository = "someone/Mine-GGUF"
file = "mine.gguf"
quantisation = "Q4_K_M"
shape = "9b"
bytes = 5_000_000_000
[[file]]
name = "Qwen3.5-0.8B-UD-Q4_K_XL"
repository = "mirror/Qwen3.5-0.8B-GGUF"
file = "Qwen3.5-0.8B-UD-Q4_K_XL.gguf"
quantisation = "UD-Q4_K_XL"
shape = "0.8b"
gigabytes = 1
"""


@pytest.fixture
def own(own_directories: Path) -> Path:
    """Return the place of the user's own catalogue."""
    path = own_directories / "config" / "qwencode" / "catalogue.toml"
    path.parent.mkdir(parents=True)
    return path


def test_a_catalogue_of_ones_own_adds_and_overrides(own: Path) -> None:
    before = catalogue()
    own.write_text(OWN)
    assert catalogue().recommended == ("mine", "Qwen3.5-0.8B-UD-Q4_K_XL")
    assert set(catalogue().entries) == set(before.entries) | {"mine"}
    found = find("MINE")
    assert found and found.size == 5_000_000_000
    assert header_of(found)
    changed = find("Qwen3.5-0.8B-UD-Q4_K_XL")
    assert changed and changed.repository == "mirror/Qwen3.5-0.8B-GGUF"
    own.unlink()
    assert catalogue() == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[file", "is not valid TOML"),
        ("\xff", "is not valid TOML"),
        (OWN.replace('shape = "9b"', 'shape = "9a"'), "'mine' has the shape '9a', and there are 35b-a3b"),
        (OWN.replace('quantisation = "Q4_K_M"', ""), "'mine' has no 'quantisation'"),
        (OWN.replace("bytes = 5_000", 'bytes = "many"\nx = 5_000'), "'bytes' of 'mine' is 'many'"),
        (OWN.replace("bytes = 5_000", "bytes = -5_000"), "'bytes' of 'mine' is -5000"),
        (OWN.replace("bytes = 5_000", "gigabytes = nan\nbytes = 5_000"), "'gigabytes' of 'mine' is nan"),
        (OWN.replace("bytes = 5_000", "mtp = 1\nbytes = 5_000"), "'mtp' of 'mine' is 1"),
        (OWN.replace("bytes = 5_000", "size = 5_000"), "'mine' has 'size', which is not known"),
        (OWN.replace('"mine.gguf"', '"../../mine.gguf"'), "which is no place for a model"),
        (OWN.replace('["mine", ', '["nothing", '), "'nothing' is recommended"),
        ("recommended = 3", "`recommended` a list of names"),
        ("file = [3]", "each .* is a table"),
        ("shape = 3", "it has 'shape', and may have"),
    ],
)
def test_a_catalogue_that_is_wrong_is_named(own: Path, text: str, says: str) -> None:
    own.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=says) as caught:
        catalogue()
    assert str(caught.value).startswith(str(own))
    assert "\n" not in str(caught.value)
