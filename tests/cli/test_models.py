"""`qwencode models` and `qwencode doctor` as a user types them."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hub import serving_hub
from loopback import serving
from model_server import Abilities, ModelServer
from qwencode.errors import QwencodeError

Qwencode = Callable[..., "subprocess.CompletedProcess[str]"]
NAME = "someone/Tiny-GGUF/tiny.gguf"


@pytest.fixture
def models(own_directories: Path) -> Path:
    return own_directories / "data" / "qwencode" / "models"


def refused(call: Callable[..., str], code: int, part: str, *arguments: object) -> None:
    with pytest.raises(QwencodeError) as caught:
        call(*arguments)
    assert caught.value.exit_code == code
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_from_nothing_to_a_model_and_back(
    qwencode: Qwencode, call: Callable[..., str], models: Path, tiny: Path
) -> None:
    with serving_hub(files={NAME: tiny.read_bytes()}) as hub:
        done = qwencode("models", "pull", NAME, HF_ENDPOINT=hub.url)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"{models / NAME} is there, 0.00 GB" in done.stdout
    listed = call("models")
    assert " * tiny " in listed
    assert "Qwen3.6-35B-A3B-UD-Q4_K_XL" in listed
    assert "compared with the checksum of its download" in call("models", "verify")
    refused(call, 3, "is removed only with --yes", "models", "rm", "tiny")


def test_json_is_for_programs(
    call: Callable[..., str], models: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.mkdir(parents=True)
    shutil.copy(tiny, models / "tiny.gguf")
    by_name = {row["name"]: row for row in json.loads(call("models", "list", "--json"))}
    assert by_name["tiny"]["here"] and by_name["tiny"]["default"] and by_name["tiny"]["fits"]
    assert by_name["tiny"]["path"] == str(models / "tiny.gguf")
    assert by_name["Qwen3.6-35B-A3B-UD-Q4_K_XL"]["bytes"] == 22_360_456_160
    with serving_hub(files={NAME: tiny.read_bytes()}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        events = [json.loads(line) for line in call("models", "pull", NAME, "--json").splitlines()]
    assert [event["type"] for event in (events[0], events[-1])] == ["run_started", "run_finished"]
    assert {"progress", "phase_started", "notice"} <= {event["type"] for event in events}


def test_mistakes_get_a_sentence(
    call: Callable[..., str], models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(call, 2, "is not in the catalogue (near are: ", "models", "pull", "qwen3.6-35b-q4")
    refused(call, 4, "There is no model 'gpt-99'", "models", "default", "gpt-99")
    known = "Qwen3.6-35B-A3B-UD-Q4_K_XL"
    refused(call, 4, f"`qwencode models pull {known}` gets it", "models", "default", known)
    refused(call, 2, "nothing to verify", "models", "verify")
    refused(call, 2, "There is no model 'nothing'", "models", "rm", "nothing")
    (tmp_path / "x.gguf").write_text("hello, I am no model")
    refused(call, 4, "is not a GGUF file", "models", "import", tmp_path / "x.gguf")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(call, 4, "HF_HUB_OFFLINE is set", "models", "pull", NAME)
    assert not models.exists()


def test_a_file_is_imported_and_found_unsound_when_it_changes(
    call: Callable[..., str], models: Path, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"It is {models / tiny.name} now." in call("models", "import", tiny)
    (models / tiny.name).write_bytes(tiny.read_bytes()[:-1000])
    refused(call, 1, "1 of 1 files are not sound; remove and pull them again.", "models", "verify")
    assert "is not sound: " in capsys.readouterr().out


def test_a_file_of_another_program_is_used_in_place(
    call: Callable[..., str], own_directories: Path, tiny: Path
) -> None:
    theirs = own_directories / ".lmstudio/models/x/y/Theirs.gguf"
    theirs.parent.mkdir(parents=True)
    shutil.copy(tiny, theirs)
    assert call("models", "path", "theirs") == f"{theirs}\n"
    refused(call, 2, "belongs to LM Studio", "models", "rm", "theirs", "--yes")
    assert theirs.exists()


def test_removing_asks(call: Callable[..., str], models: Path, tiny: Path) -> None:
    models.mkdir(parents=True)
    shutil.copy(tiny, models / "tiny.gguf")
    refused(call, 3, "is removed only with --yes", "models", "rm", "tiny")
    assert "0.00 GB are free again" in call("models", "rm", "tiny", "--yes")
    assert not list(models.iterdir())


def test_a_default_is_the_same_in_every_directory(
    call: Callable[..., str], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(tiny, tmp_path / "here.gguf")
    monkeypatch.chdir(tmp_path)
    call("models", "default", "here.gguf")
    assert call("config", "get", "model") == f"{tmp_path / 'here.gguf'}\n"
    call("models", "default", "builtin")
    assert call("config", "get", "model") == "builtin\n"


def test_the_doctor_looks_at_everything(qwencode: Qwencode, models: Path, tiny: Path, repository: Path) -> None:
    models.mkdir(parents=True)
    shutil.copy(tiny, models / "tiny.gguf")
    done = qwencode("doctor", "--json", cwd=repository, QWENCODE_THREADS="1")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    found = {(each["area"], each["name"]): each for each in report["findings"]}
    for area, name in (
        *(("machine", name) for name in ("system", "processor", "memory", "gpu", "disk")),
        *(("llama.cpp", "build"), ("safety", "sandbox"), ("safety", "git")),
        *(("surroundings", "terminal"), ("surroundings", "network")),
        *(("models", "tiny"), ("models", "builtin")),
    ):
        assert found[area, name]["text"]
    assert found["settings", "threads"]["data"] == {"value": 1, "origin": "QWENCODE_THREADS"}
    assert found["models", "tiny"]["data"]["fits"]
    assert not found["models", "tiny"]["data"]["measured"]
    assert report["command"] == "qwencode warm"


def test_the_doctor_says_what_is_wrong(
    call: Callable[..., str], own_directories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("doctor", "--model", tmp_path / "none.gguf")
    assert "Next: qwencode config unset model" in said
    assert "There is no model file" in said
    config = own_directories / "config/qwencode/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("threds = 2\n")
    assert "did you mean 'threads'?" in call("doctor", code=2)


@pytest.mark.parametrize(("can", "code"), [(Abilities(), 0), (Abilities(tools="never"), 4)], ids=["all", "no tools"])
def test_the_doctor_puts_a_server_to_the_test(call: Callable[..., str], can: Abilities, code: int) -> None:
    with serving(ModelServer(can)) as server:
        assert call("doctor", "--model", server.url, code=code).count("tool calls: ") == 1
        report = json.loads(call("doctor", "--model", server.url, "--json", code=code))
    (calls,) = [each for each in report["findings"] if each["area"] == "server" and each["name"] == "tool calls"]
    assert calls["data"] == {"said": "not met" if code else "met", "needed": True}
    assert report["exit_code"] == code
    assert report["command"] == (f"qwencode doctor --model {server.url}" if code else "qwencode fix")


def test_the_doctor_gets_along_without_llama_cpp(qwencode: Qwencode, tmp_path: Path) -> None:
    (tmp_path / "llama_cpp").mkdir()
    (tmp_path / "llama_cpp" / "__init__.py").write_text("raise OSError('libllama.so: cannot open shared object file')")
    done = qwencode("doctor", cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    assert done.returncode == 4
    assert "llama.cpp cannot be loaded: libllama.so: cannot open" in done.stdout
    assert "Next: " in done.stdout
    assert done.stderr == ""


def test_without_a_model_the_advice_names_one(call: Callable[..., str], repository: Path) -> None:
    (repository / "test_x.py").write_text("def test_x():\n    assert open('nothing').read() == 'x'\n")
    with pytest.raises(QwencodeError) as caught:
        call("fix", repository, "--no-search")
    said = str(caught.value)
    assert said.startswith("--no-search needs a model. To go further, qwencode needs a larger model: ")
    assert "`qwencode models pull Qwen3" in said or "none that is known fits" in said
