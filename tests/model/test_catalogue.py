"""Every entry of the catalogue is well formed, and says nothing that it cannot know."""

import re
from collections import Counter

import pytest

from qwencode.model.catalogue import Entry, catalogue, find
from qwencode.model.llama.fitting import Wishes, fit
from qwencode.model.llama.footprint import Scale
from qwencode.model.llama.machine import Gpu, Machine
from qwencode.model.llama.shapes import header_of

ENTRIES = list(catalogue().entries.values())
GIB = 1 << 30
STATE_MIB = {"35b-a3b": 62.81, "27b": 149.62, "9b": 50.25, "4b": 50.25, "0.8b": 19.27}  # as llama.cpp logs them
CACHE = {"35b-a3b": 20_480, "27b": 65_536, "9b": 32_768, "4b": 32_768, "0.8b": 12_288}  # bytes a token, 16 bits


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


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.size], ids=lambda entry: entry.name)
def test_the_head_of_an_entry_is_that_of_its_shape(entry: Entry) -> None:
    header = header_of(entry)
    assert header
    assert header.predicts == entry.mtp
    assert round(header.state_bytes / 2**20, 2) == STATE_MIB[entry.shape]
    assert header.cache_bytes == CACHE[entry.shape]
    assert sum(header.tensors.values()) == pytest.approx(entry.size, rel=1e-6)
    experts = sum(size for name, size in header.tensors.items() if "_exps" in name)
    assert (experts > entry.size // 2) == (entry.shape == "35b-a3b")


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
