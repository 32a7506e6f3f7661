"""Files of other programs are found where those keep them, each once, and only what can be run."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.errors import ModelUnavailable
from qwencode.model.choose import find_default, find_file
from qwencode.model.found import OURS, Found, others, own
from qwencode.settings import Places, Settings

REPOSITORY = "models--unsloth--Qwen3.6-35B-A3B-GGUF"
FILE = "Qwen3.6-35B-A3B-UD-Q4_K_XL.gguf"
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def places(tmp_path: Path) -> Places:
    folder = Places(*(tmp_path / name for name in ("config", "data", "state", "cache")), home=tmp_path / "home")
    folder.models.mkdir(parents=True)
    return folder


@pytest.fixture
def put(tiny: Path) -> Callable[[Path], Path]:
    def copy(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(tiny, path))

    return copy


def ollama(models: Path, name: str, manifest: Any) -> None:
    place = models / "manifests/registry.ollama.ai/library" / name / "9b"
    place.parent.mkdir(parents=True)
    place.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))


def layer(digest: Any, kind: str = "application/vnd.ollama.image.model") -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": 1}


def test_every_program_is_looked_at_in_its_place(places: Places, put: Callable[[Path], Path]) -> None:
    home = places.home
    assert home
    hub = home / ".cache/huggingface/hub" / REPOSITORY
    blob = put(hub / "blobs" / "0123")
    (hub / "snapshots/abc").mkdir(parents=True)
    (hub / "snapshots/abc" / FILE).symlink_to(blob)
    (hub / "snapshots/def").mkdir()
    (hub / "snapshots/def" / FILE).symlink_to(blob)  # another revision, the same file
    put(home / ".lmstudio/models/unsloth/Qwen3.6-35B-A3B-MTP-GGUF" / FILE)
    put(home / ".cache/llama.cpp/bartowski_Qwen_Qwen3.6-35B-A3B-GGUF_Qwen_Qwen3.6-35B-A3B-Q4_K_M.gguf")
    put(home / ".ollama/models/blobs" / DIGEST.replace(":", "-"))
    ollama(home / ".ollama/models", "qwen3.5", {"layers": [layer("sha256:00", "template"), layer(DIGEST)]})
    assert [(each.name, each.owner) for each in others(places, {})] == [
        ("Qwen3.6-35B-A3B-UD-Q4_K_XL", "Hugging Face"),
        ("Qwen3.6-35B-A3B-MTP-UD-Q4_K_XL", "LM Studio"),
        ("Qwen_Qwen3.6-35B-A3B-Q4_K_M", "llama.cpp"),
        ("qwen3.5:9b", "Ollama"),
    ]
    assert find_file("qwen3.5:9b", places).name == DIGEST.replace(":", "-")
    assert find_file("qwen3.6-35b-a3b-mtp", places).parts[-3] == "unsloth"
    shutil.rmtree(home / ".cache")
    shutil.rmtree(home / ".lmstudio")
    assert [each.name for each in others(places, {})] == ["qwen3.5:9b"]
    assert find_default(Settings(), places) == ""  # not without being asked for
    assert others(replace(places, home=None), {}) == []


def test_variables_say_where(places: Places, put: Callable[[Path], Path], tmp_path: Path) -> None:
    put(tmp_path / "a" / REPOSITORY / "snapshots/abc/UD-Q4" / "One.gguf")
    put(tmp_path / "b/hub" / REPOSITORY / "snapshots/abc" / "Two.gguf")
    put(tmp_path / "c" / "Three.gguf")
    put(tmp_path / "d/blobs" / DIGEST.replace(":", "-"))
    ollama(tmp_path / "d", "Four", {"layers": [layer(DIGEST)]})
    assert places.home
    places.home.mkdir()
    (places.home / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'e'}\n")
    put(tmp_path / "e/models/x/y" / "Five.gguf")

    def names(**environment: str) -> set[str]:
        return {each.name for each in others(places, environment)}

    assert names() == {"Five"}
    assert names(HF_HUB_CACHE=str(tmp_path / "a"), HF_HOME=str(tmp_path / "b")) == {"One", "Five"}
    assert names(HF_HOME=str(tmp_path / "b")) == {"Two", "Five"}
    assert names(LLAMA_CACHE=str(tmp_path / "c")) == {"Three", "Five"}
    assert names(OLLAMA_MODELS=str(tmp_path / "d")) == {"Four:9b", "Five"}


def test_what_cannot_be_run_is_left_out(places: Places, put: Callable[[Path], Path], builder: Any) -> None:
    assert places.home
    folder = places.home / ".lmstudio/models/x/y"
    good = put(folder / "Good.gguf")
    put(folder / "mmproj-F16.gguf")
    data = good.read_bytes()
    (folder / "Other.gguf").write_bytes(data.replace(b"qwen35moe", b"gemma4moe"))
    (folder / "Text.gguf").write_text("hello")
    (folder / "Short.gguf").write_bytes(b"GGUF")
    (folder / "Gone.gguf").symlink_to(folder / "nowhere")
    (folder / "Folder.gguf").mkdir()
    assert [each.name for each in others(places, {})] == ["Good", "Short"]
    assert find_default(Settings(), places) == "Good"  # and not the one that is cut off


def test_our_own_come_first_and_what_is_linked_counts_once(places: Places, put: Callable[[Path], Path]) -> None:
    assert places.home
    theirs = put(places.home / ".lmstudio/models/x/y" / "Qwen3.6-a.gguf")
    assert find_default(Settings(), places) == "Qwen3.6-a"
    assert find_file("qwen3.6", places) == theirs
    mine = put(places.models / "Qwen3.6-b.gguf")
    assert find_file("qwen3.6", places) == mine
    assert find_default(Settings(), places) == "Qwen3.6-b"
    mine.unlink()
    mine.symlink_to(theirs)
    assert [(each.name, each.owner) for each in own(places)] == [("Qwen3.6-b", OURS)]
    assert others(places, {}) == []


def test_other_families_are_there_and_the_default_only_when_they_were_put_there(
    places: Places, put: Callable[[Path], Path], tiny_llama: Path
) -> None:
    assert places.home
    theirs = places.home / ".lmstudio/models/x/y" / "Llama-3.1-8B.gguf"
    mine = places.models / "Llama-3.2-3B.gguf"
    for path in (theirs, mine):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tiny_llama, path)
        assert find_file(path.stem, places) == path
        assert find_default(Settings(), places) == ("Llama-3.2-3B" if path == mine else "")
    put(places.home / ".lmstudio/models/x/y" / "Qwen3.5-9B.gguf")
    assert find_default(Settings(), places) == "Qwen3.5-9B"


def test_two_programs_may_have_the_same(places: Places, put: Callable[[Path], Path]) -> None:
    assert places.home
    first = put(places.home / ".lmstudio/models/unsloth/Qwen3.6-35B-A3B-GGUF" / FILE)
    put(places.home / ".cache/lm-studio/models/unsloth/Qwen3.6-35B-A3B-GGUF" / FILE)
    assert find_file("qwen3.6-35b-a3b-ud-q4_k_xl", places) == first
    assert find_file(find_default(Settings(), places), places) == first
    with pytest.raises(ModelUnavailable, match="could be"):
        find_file("qwen3.6", places)


def test_a_part_of_a_download_is_never_a_model(places: Places, put: Callable[[Path], Path]) -> None:
    put(places.models / ".hidden/x.gguf")
    put(places.models / "unsloth/.x.gguf.part")
    put(places.models / "unsloth/.x.gguf")
    assert own(places) == []


JSON = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))


@settings(max_examples=30, deadline=None)
@given(
    st.one_of(
        JSON,
        st.dictionaries(st.sampled_from(["layers", "x"]), JSON | st.lists(st.dictionaries(
            st.sampled_from(["mediaType", "digest"]),
            st.sampled_from(["application/vnd.ollama.image.model", "sha256:../../x", "sha256:", 5, None]),
        ))),
    ),
)  # fmt: skip
def test_any_manifest_is_survived(tmp_path_factory: pytest.TempPathFactory, manifest: Any) -> None:
    home = tmp_path_factory.mktemp("home")
    ollama(home / ".ollama/models", "x", manifest)
    assert others(Places(*[home / "none"] * 4, home=home), {}) == []


def test_places_that_cannot_be_read_are_survived(places: Places) -> None:
    assert places.home
    places.home.mkdir()
    (places.home / ".lmstudio-home-pointer").write_bytes(b"\xff")
    (places.home / ".ollama").write_text("no directory")
    os.symlink(".cache", places.home / ".cache")  # noqa: PTH211 (a loop)
    assert others(places, {}) == []


def test_a_file_that_went_has_no_size(tmp_path: Path) -> None:
    assert Found("x", tmp_path / "x.gguf", OURS).size == 0
