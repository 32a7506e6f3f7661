"""`qwencode warm`: what every run begins with is on disk afterwards, and the runs find it there."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwencode.settings import Places

Qwencode = Callable[..., "subprocess.CompletedProcess[str]"]


def entries() -> list[Path]:
    folder = Places.of_user().prefixes
    return sorted(folder.iterdir()) if folder.exists() else []


def events(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(autouse=True)
def one_thread(own_directories: Path, monkeypatch: pytest.MonkeyPatch):
    """Two threads wait for each other where the cores are not free."""
    monkeypatch.setenv("QWENCODE_THREADS", "1")


def start(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", "from qwencode.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until_prefill(*arguments: object) -> list[dict[str, Any]]:
    """Run until the first prompt is read, and end it there. Returns the events, that one last."""
    process = start(*arguments)
    assert process.stdout
    told: list[dict[str, Any]] = []
    for line in process.stdout:
        told.append(json.loads(line))
        if told[-1]["type"] == "prefill_progress":
            break
    process.terminate()
    process.communicate()
    return told


def test_it_says_what_was_done(qwencode: Qwencode, tiny: Path):
    done = qwencode("warm", "--seconds", 0, "--model", tiny)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    kept = entries()
    assert len(kept) == 3
    for kind in ("fix", "chat", "review"):
        assert re.search(
            rf"For {kind}, read [\d,]+ tokens in .* MB in {kept[0].parent}\.", " ".join(done.stdout.split())
        )
    before = [entry.stat().st_ino for entry in kept]
    again = qwencode("warm", "--seconds", 0, "--model", tiny)
    assert again.returncode == 0, again.stderr
    assert "were there already" in again.stdout
    assert entries() == kept
    assert [entry.stat().st_ino for entry in kept] == before


@pytest.mark.slow
def test_a_head_is_measured_and_the_prefix_is_kept_for_how_it_will_be_run(
    qwencode: Qwencode, foreseeing: Path, predicting: Path
):
    for model in (foreseeing, predicting):
        done = qwencode("warm", "--seconds", 0, "--model", model)
        assert done.returncode == 0, done.stderr
        assert re.search(r"\(MTP\) it is \d+\.\d\d times as fast: (not )?used\.", done.stdout)
        again = qwencode("warm", "--seconds", 0, "--model", model)
        assert again.returncode == 0, again.stderr
        assert "were there already" in again.stdout


@pytest.mark.slow
def test_events_for_programs(qwencode: Qwencode, tiny: Path):
    first, second = (events(qwencode("warm", "--seconds", 0, "--model", tiny, "--json")) for _ in range(2))
    for told in (first, second):
        assert told[0]["type"] == "run_started"
        assert told[0]["job"] == "warm"
        phases = [event["phase"] for event in told if event["type"] == "phase_started"]
        assert phases == ["model", *(["measure"] if told is first else []), "warm", "warm", "warm"]
        assert told[-1]["type"] == "run_finished"
        assert told[-1]["exit_code"] == 0
    progress = [event for event in first if event["type"] == "prefill_progress"]
    assert progress[0]["done"] == 0
    assert sum(event["total"] for event in progress if event["done"] == event["total"]) == first[-1]["usage"]["prompt"]
    assert not [event for event in second if event["type"] == "prefill_progress"]
    assert second[-1]["usage"]["cached"] == second[-1]["usage"]["prompt"] == first[-1]["usage"]["prompt"]


@pytest.mark.slow
def test_fix_begins_where_warm_ended(qwencode: Qwencode, tiny: Path, repository: Path):
    """Also in a repository with instructions of its own, which are no part of what is kept."""
    (repository / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    (repository / "test_calc.py").write_text("from calc import add\n\n\ndef test_one():\n    assert add(1, 2) == 3\n")
    (repository / "AGENTS.md").write_text("Speak of nothing but the sea.\n")
    warming = events(qwencode("warm", "--seconds", 0, "--model", tiny, "--json"))
    warmed = next(event["total"] for event in warming if event["type"] == "prefill_progress")
    kept = entries()
    told = until_prefill("fix", repository, "--model", tiny, "--no-search", "--json")
    assert any("AGENTS.md" in event["text"] for event in told if event["type"] == "notice")
    progress = told[-1]
    assert progress["cached"] == progress["done"] == warmed
    assert progress["total"] > warmed
    assert entries() == kept


@pytest.mark.slow
def test_chat_and_review_begin_where_warm_ended(
    qwencode: Qwencode, tiny: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(repository)
    (repository / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    qwencode("warm", "--seconds", 0, "--model", tiny)
    kept = entries()
    assert until_prefill("ask", "Why?", "--in", repository, "--model", tiny, "--json")[-1]["cached"]
    (repository / "calc.py").write_text("def add(a, b):\n    return a - b + 0\n")
    told = until_prefill("review", "--model", tiny, "--only", "model", "--json")
    assert told[-1]["type"] == "prefill_progress", told
    assert told[-1]["cached"]
    assert entries() == kept, "nothing else was kept"


@pytest.mark.slow
def test_the_default_model_is_warmed(qwencode: Qwencode, tiny: Path):
    models = Places.of_user().models
    models.mkdir(parents=True)
    shutil.copy(tiny, models / "Some-Model.gguf")
    done = qwencode("warm", "--seconds", 0)
    assert done.returncode == 0, done.stderr
    assert "qwencode warm · Some-Model" in done.stdout
    assert len(entries()) == 3


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "part"),
    [
        (["--model", "http://127.0.0.1:9/v1"], {}, 2, "nothing to warm"),
        ([], {"QWENCODE_MODEL": "HTTPS://example.invalid"}, 2, "nothing to warm"),
        ([], {}, 4, "no model to warm"),
        (["--model", "gpt-99"], {}, 4, "no model 'gpt-99'"),
        (["--model", "nowhere.gguf/"], {}, 4, "nowhere.gguf"),
        (["--model", "x"], {"QWENCODE_PREFIX_STORE_MB": "0"}, 2, "`prefix_store_mb` is 0"),
        (["--model", "x"], {"QWENCODE_PREFIX_STORE_MB": "-1"}, 2, "0 or more"),
    ],
)
def test_what_cannot_be_warmed(
    qwencode: Qwencode, arguments: list[str], environment: dict[str, str], code: int, part: str
):
    done = qwencode("warm", *arguments, **environment)
    assert done.returncode == code
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("qwencode: ")
    assert part in done.stderr
    assert entries() == []


def test_a_place_that_cannot_be_written(qwencode: Qwencode, tiny: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    done = qwencode("warm", "--seconds", 0, "--model", tiny, "--json", XDG_CACHE_HOME=str(tmp_path / "file"))
    assert done.returncode == 2
    assert f"not kept in {tmp_path / 'file'}" in done.stderr
    assert "Not a directory" in done.stderr
    assert events(done)[-1]["exit_code"] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_stopped(tiny: Path, number: signal.Signals):
    process = start("warm", "--seconds", 0, "--model", tiny, "--json")
    assert process.stdout
    assert any('"prefill_progress"' in line for line in process.stdout)
    process.send_signal(number)
    out, said = process.communicate()
    if process.returncode == 0:
        pytest.skip("it was done before the signal came")
    assert process.returncode == 130
    assert json.loads(out.splitlines()[-1])["exit_code"] == 130
    assert len(said.splitlines()) == 1
    assert entries() == []
