"""What a machine without a model is told, and how long a download takes here."""

import time
from pathlib import Path

import pytest

from hub import serving_hub
from qwencode.errors import ModelUnavailable
from qwencode.machine.first_run import how_long, measure, offer, screen
from qwencode.machine.hub import Source
from qwencode.model.catalogue import catalogue
from qwencode.model.llama.fitting import Wishes
from qwencode.settings import Places

SOURCE = Source("tiny", "someone/Tiny-GGUF", "tiny.gguf")
NAME = "someone/Tiny-GGUF/tiny.gguf"


def test_one_screen_says_all_that_is_needed() -> None:
    found = offer(Wishes())
    assert found
    lines = screen(found, Places.of_user())
    assert len(lines) <= 20
    assert all(len(line) <= 160 for line in lines)
    said = "\n".join(lines)
    for part in (
        found.entry.name,
        f"{found.entry.size / 1e9:.1f} GB",
        found.entry.sha256,
        "tokens of context",
        "GB are free",
    ):
        assert part in said
    assert f"/resolve/{found.entry.revision or 'main'}/{found.entry.file}" in said


def test_where_nothing_fits_that_is_said(own_directories: Path) -> None:
    own = own_directories / "config" / "qwencode" / "catalogue.toml"
    own.parent.mkdir(parents=True)
    largest = max(catalogue().entries.values(), key=lambda entry: entry.size)
    own.write_text(f'recommended = ["{largest.name}"]')
    assert offer(Wishes(context=262_144)) is None
    assert "No model of the catalogue fits" in "\n".join(screen(None, Places.of_user()))


def test_the_rate_is_measured_and_nothing_is_kept(tmp_path: Path) -> None:
    data = bytes(3_000_000)
    with serving_hub(files={NAME: data}) as hub:
        began = time.monotonic()
        remote, rate = measure(SOURCE, {"HF_ENDPOINT": hub.url})
        assert remote.size == len(data)
        assert rate >= len(data) / (time.monotonic() - began)  # the time for asking does not count
        assert hub.fetched == ["bytes=0-"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"statuses": [404]}, "the server answers 404"),
        ({"head_statuses": [503]}, "The hub answers 503"),
        ({"code": "RepoNotFound", "files": {}}, "no such repository"),
    ],
)
def test_what_cannot_be_had_is_a_sentence(options: dict[str, object], says: str) -> None:
    with serving_hub(**{"files": {NAME: b"x"}, **options}) as hub, pytest.raises(ModelUnavailable, match=says):
        measure(SOURCE, {"HF_ENDPOINT": hub.url})
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        measure(SOURCE, {"HF_ENDPOINT": hub.url})
    with pytest.raises(ModelUnavailable, match="HF_HUB_OFFLINE"):
        measure(SOURCE, {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "1"})


@pytest.mark.parametrize(
    ("size", "rate", "says"),
    [(1e8, 1e7, "10 seconds at the 10.0 MB"), (2e10, 1e7, "33 minutes"), (2e10, 1e6, "5.6 hours at the 1.0 MB")],
)
def test_how_long_a_download_takes(size: float, rate: float, says: str) -> None:
    assert how_long(int(size), rate).startswith(says)
