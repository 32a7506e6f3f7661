"""From a name to a model, or to one sentence that helps."""

import math
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from qwencode.errors import ModelUnavailable
from qwencode.model.choose import (
    check_model,
    find_default,
    find_file,
    mends_lines,
    open_model,
    seconds_to_read,
    wishes,
)
from qwencode.model.llama.calibration import Calibration, keep
from qwencode.model.llama.fitting import Wishes
from qwencode.model.llama.machine import Gpu, Machine, free_memory, total_memory, uncached
from qwencode.model.llama.model import LlamaModel
from qwencode.model.server import ServerModel
from qwencode.settings import Places, Settings


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(*(tmp_path / name for name in ("config", "data", "state", "cache")))
    places.models.mkdir(parents=True)
    return places


def put(places: Places, *names: str) -> None:
    for name in names:
        path = places.models / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"GGUF")


def said(name: str, places: Places) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        open_model(name, Settings(), places)
    assert str(caught.value).endswith(".")
    with pytest.raises(ModelUnavailable) as checked:
        check_model(name, places)
    assert str(checked.value) == str(caught.value)
    return str(caught.value)


def test_an_address_is_a_server(places: Places) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"HTTP://127.0.0.1:{listening.getsockname()[1]}/v1"
        check_model(address, places)
        model = open_model(address, Settings(), places)
        assert isinstance(model, ServerModel)
        model.close()
    for nowhere in (address, "http://127.0.0.1:99999/v1"):
        with pytest.raises(ModelUnavailable, match=r"cannot be reached .*right\?$"):
            check_model(nowhere, places)


def test_a_name_may_be_short_and_in_any_case(places: Places) -> None:
    put(places, "Qwen3.6-35B-A3B-UD-Q4_K_XL.gguf", "Qwen3.5-4B-Q4.gguf", "Qwen3.5-4B-Q4-MTP.gguf", "mmproj-F16.gguf")
    big = places.models / "Qwen3.6-35B-A3B-UD-Q4_K_XL.gguf"
    for name in ("qwen3.6", "QWEN3.6-35b-a3b", big.name, big.stem, str(big)):
        assert find_file(name, places) == big
    assert find_file("qwen3.5-4b-q4", places).name == "Qwen3.5-4B-Q4.gguf"  # exact before prefix
    assert "could be Qwen3.5-4B-Q4-MTP, Qwen3.5-4B-Q4" in said("qwen3.5", places)


def test_files_may_lie_deeper(places: Places) -> None:
    put(places, "models--unsloth--x/snapshots/abc/Some-Model.gguf")
    assert find_file("some", places).name == "Some-Model.gguf"


def test_what_is_there_is_listed(places: Places) -> None:
    assert "there is none at all" in said("nothing", places)
    put(places, *(f"m{number}.gguf" for number in range(10)), "mmproj-x.gguf")
    sentence = said("nothing", places)
    assert str(places.models) in sentence
    assert "m0, m1" in sentence
    assert "…" in sentence
    assert "mmproj" not in sentence
    assert "http://" in sentence


def test_a_path_is_a_path(places: Places, tmp_path: Path) -> None:
    assert f"no model file {tmp_path}/none.gguf" in said(f"{tmp_path}/none.gguf", places)
    assert "directory" in said(f"{tmp_path}/", places)
    (tmp_path / "text.gguf").write_text("hello, this is not a model")
    assert "not a GGUF" in said(str(tmp_path / "text.gguf"), places)
    long = "m" * 300
    assert f"no model '{long}.gguf'" in said(f"{long}.gguf", places)
    assert "File name too long" in said(f"./{long}", places)
    assert "no model file ~nobody-of-this-name/none.gguf" in said("~nobody-of-this-name/none.gguf", places)
    assert "no model '~nobody-of-this-name'" in said("~nobody-of-this-name", places)


def test_a_file_is_opened_with_the_settings(places: Places, tiny: Path) -> None:
    shutil.copy(tiny, places.models / "Tiny.gguf")
    model = open_model("tiny", Settings(context=1024, threads=1), places)
    assert isinstance(model, LlamaModel)
    assert model.name == "Tiny"
    assert model.context_length == 1024
    model.close()


def test_a_file_of_another_family_is_opened_and_says_how_it_runs(places: Places, tiny_llama: Path) -> None:
    model = open_model(str(tiny_llama), Settings(context=2048, draft_tokens=4), places)
    assert isinstance(model, LlamaModel)
    assert model.context_length == 2048
    (about, *_) = model.about
    assert about.startswith("Context of 2,048 tokens (f16 cache, 0.0 GiB)")
    assert "drafts of 4. The weights" in about  # there is no state to keep in checkpoints
    model.close()


def test_every_setting_of_the_fit_is_a_wish() -> None:
    assert wishes(Settings()) == Wishes()
    settings = Settings(
        context=4096, threads=2, batch=64, gpu_layers=0, cpu_experts=1, cache_type="q8_0", draft_tokens=3
    )
    assert wishes(settings) == Wishes(4096, 2, 64, 0, 1, "q8_0", 3)


def test_the_default_is_what_can_be_run_best(places: Places, tiny: Path) -> None:
    assert find_default(Settings(), places) == ""
    assert find_default(Settings(model="x"), places) == "x"
    put(places, "Qwen3.6-35B-A3B-broken.gguf", "mmproj-F16.gguf")
    assert find_default(Settings(), places) == ""
    shutil.copy(tiny, places.models / "other.gguf")
    assert find_default(Settings(), places) == "other"
    shutil.copy(tiny, places.models / "qwen3.6-x.gguf")
    assert find_default(Settings(), places) == "qwen3.6-x"
    (places.models / "b").mkdir()
    shutil.copy(tiny, places.models / "b" / "Qwen3.6-X.gguf")
    path = find_default(Settings(), places)
    assert find_file(path, places).exists()


def test_memory_of_gpus_counts_where_main_memory_does_not_do(places: Places, tiny: Path) -> None:
    large = places.models / "qwen3.6-large.gguf"
    shutil.copy(tiny, places.models / "qwen3.6-small.gguf")
    shutil.copy(tiny, large)
    plain = Machine(2, free_memory(), total_memory())
    assert find_default(Settings(), places, lambda: pytest.fail("not needed")) == "qwen3.6-large"
    os.truncate(large, 2 * plain.total)  # what comes behind the weights is not looked at
    assert find_default(Settings(), places, lambda: plain) == "qwen3.6-small"
    own, shared = (replace(plain, gpus=(Gpu("GPU", 2 * plain.total, shared),)) for shared in (False, True))
    assert find_default(Settings(), places, lambda: own) == "qwen3.6-large"
    assert find_default(Settings(), places, lambda: shared) == "qwen3.6-small"


def test_a_file_that_mends_lines_is_run_small_and_never_the_default(places: Places, tiny: Path, lined: Path) -> None:
    shutil.copy(lined, places.models / "qwen3.6-lines.gguf")
    assert find_default(Settings(), places) == ""
    assert mends_lines("qwen3.6-lines", places)
    assert not mends_lines(str(tiny), places)
    assert not mends_lines("http://127.0.0.1:9/v1", places)
    model = open_model("qwen3.6-lines", Settings(), places)
    assert isinstance(model, LlamaModel)
    assert (model.fit.context, model.fit.threads, model.fit.draft_tokens) == (4096, 1, 0)
    model.close()
    assert not places.prefixes.exists()
    wished = open_model("qwen3.6-lines", Settings(context=1024, threads=2), places)
    assert isinstance(wished, LlamaModel)
    assert (wished.fit.context, wished.fit.threads) == (1024, 2)
    wished.close()


def test_the_built_in_model_has_a_name(places: Places) -> None:
    assert mends_lines("BuiltIn", places)
    assert find_default(Settings(), places) == ""
    model = open_model("builtin", Settings(), places)
    assert (model.name, model.context_length) == ("builtin", 4096)
    model.close()


def test_how_soon_a_model_could_judge(places: Places, tiny: Path, lined: Path) -> None:
    settings = Settings(context=1024, threads=1)
    for name in ("http://127.0.0.1:9/v1", "nothing", str(lined), str(tiny)):
        assert seconds_to_read(name, settings, places, 3000) == math.inf, (
            "a server, none, one for lines, one not measured"
        )
    model = open_model(str(tiny), settings, places)
    assert isinstance(model, LlamaModel)
    keep(Calibration(((1, 0.1), (512, 10.24))), tiny, model.fit, places.cache)
    model.close()
    soon = seconds_to_read(str(tiny), settings, places, 512)
    assert soon == pytest.approx(0.5 + uncached(tiny) / 1e9 + 10.24)
    assert seconds_to_read(str(tiny), settings, places, 5120) > soon
