"""The benchmark runs on the tiny file, prints every row, and counts what had to be evaluated rightly."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "tools" / "bench_engine.py"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(PROGRAM), *words], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_prints_every_row_and_one_line_of_json(tiny: Path) -> None:
    done = run("--model", str(tiny), "--quick", "--repeat", "1", "--threads", "1")
    assert done.returncode == 0, done.stderr
    *table, last = done.stdout.splitlines()
    told = json.loads(last)
    assert len(table) == 1 + len(told["rows"]) >= 10
    rows = {row["name"].split(",")[0]: row for row in told["rows"]}
    assert "--llama-bench" in rows["prefill"]["note"]
    assert "--llama-server" in rows["evaluated / new tokens"]["note"]
    counts = rows["evaluated / new tokens"]["numbers"]
    assert counts["engine"]["evaluated"] == counts["engine"]["new"]
    assert counts["llama_cpp.Llama"]["evaluated"] > counts["engine"]["evaluated"]
    parts = rows["resident memory over what it must hold"]["numbers"]
    assert min(parts[name] for name in ("file", "KV", "RS", "compute", "checkpoints", "anonymous")) > 0
    assert told["machine"]["cores"] >= 1
    assert told["file"] == tiny.name


def test_a_row_alone_as_json(tiny: Path) -> None:
    done = run("--model", str(tiny), "--quick", "--repeat", "1", "--threads", "1", "--only", "checkpoint", "--json")
    (row,) = json.loads(done.stdout)["rows"]
    assert row["numbers"]["bytes"] > 0
    assert row["numbers"]["save_ms"]["count"] == row["numbers"]["restore_ms"]["count"]


@pytest.mark.slow
def test_a_peer_that_fails_is_said_in_its_row(tiny: Path) -> None:
    words = ["--model", str(tiny), "--quick", "--repeat", "1", "--threads", "1", "--only", "tokens", "checkpoint"]
    done = run(*words, "--llama-server", sys.executable, "--json")
    assert done.returncode == 0, done.stderr
    failed, checkpoint = json.loads(done.stdout)["rows"]
    assert failed["note"].startswith("llama-server did not start")
    assert checkpoint["numbers"]["bytes"] > 0


def test_a_bad_path_is_one_sentence(tmp_path: Path) -> None:
    for option in ("--model", "--llama-server", "--llama-bench"):
        done = run(option, str(tmp_path / "missing"))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"{tmp_path / 'missing'} is not a file.\n"


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("no model")
    done = run("--model", str(tmp_path / "text.gguf"), "--only", "checkpoint")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
