"""Whatever a user can get wrong is told in one sentence, with the exit code of its kind, and changes nothing."""

import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Qwencode = Callable[..., "subprocess.CompletedProcess[str]"]
GREEN = "def test_one():\n    assert 1 + 1 == 2\n"
RED = "from calc import add\n\n\ndef test_one():\n    assert add(1, 2) == 3\n"


def refused(done: "subprocess.CompletedProcess[str]", code: int, *parts: str) -> None:
    assert done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    assert "Traceback" not in done.stdout + done.stderr
    sentences = [line for line in done.stderr.splitlines() if line.startswith("qwencode: ")]
    assert len(sentences) == 1, done.stderr
    for part in parts:
        assert part in done.stderr


@pytest.fixture
def broken(repository: Path) -> Path:
    (repository / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    (repository / "test_calc.py").write_text(RED)
    return repository


def test_not_a_repository(qwencode: Qwencode, tmp_path: Path):
    refused(qwencode("fix", tmp_path), 2, str(tmp_path), "git init")


def test_a_path_that_does_not_exist(qwencode: Qwencode, tmp_path: Path):
    refused(qwencode("fix", tmp_path / "nowhere"), 2, "nowhere does not exist")


def test_a_path_outside_the_repository(qwencode: Qwencode, broken: Path, tmp_path: Path):
    other = tmp_path / "other.py"
    other.write_text("")
    refused(qwencode("fix", "test_calc.py", other, cwd=broken), 2, "other.py is outside the repository")


def test_a_blank_goal(qwencode: Qwencode, broken: Path):
    refused(qwencode("fix", broken, "--no-model", "-m", " \n\t"), 2, "The goal given with -m is blank. Say what")


def test_no_tests(qwencode: Qwencode, repository: Path):
    (repository / "calc.py").write_text("x = 1\n")
    refused(qwencode("fix", repository, "--no-model"), 2, "--test")


def test_a_test_command_that_is_not_there(qwencode: Qwencode, broken: Path):
    refused(qwencode("fix", broken, "--no-model", "--test", "no-such-runner --all"), 2, "no-such-runner")


def test_tests_that_are_green_already(qwencode: Qwencode, repository: Path):
    (repository / "test_green.py").write_text(GREEN)
    done = qwencode("fix", repository, "--no-model")
    assert done.returncode == 0
    assert "The only test passes already" in done.stdout
    assert done.stderr == ""


def test_a_model_name_that_nobody_knows(qwencode: Qwencode, broken: Path):
    refused(qwencode("fix", broken, "--model", "gpt-99"), 4, "gpt-99")


def test_a_file_that_is_no_model(qwencode: Qwencode, broken: Path, tmp_path: Path):
    file = tmp_path / "x.gguf"
    file.write_bytes(b"not a model, but long enough to look at" * 10)
    refused(qwencode("fix", broken, "--model", file), 4, "x.gguf")


def test_a_model_that_was_cut_off(qwencode: Qwencode, broken: Path, tmp_path: Path):
    file = tmp_path / "cut.gguf"
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 700, 40))
    refused(qwencode("fix", broken, "--model", file), 4, "cut.gguf")


def test_a_model_of_another_architecture(qwencode: Qwencode, broken: Path, tmp_path: Path):
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    entry = text("general.architecture") + struct.pack("<I", 8) + text("mamba")
    file = tmp_path / "mamba.gguf"
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry + b"\0" * 64)
    refused(qwencode("fix", broken, "--model", file), 4, "mamba")


def test_a_server_that_is_not_there(qwencode: Qwencode, broken: Path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        refused(qwencode("fix", broken, "--model", url, "--no-search"), 4, url)


def test_no_model_at_all(qwencode: Qwencode, broken: Path):
    refused(qwencode("fix", broken, "--no-search"), 4, "--no-search needs a model")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--issue", "missing.md"], "missing.md"),
        (["--issue", "-"], "empty"),
        (["--issue", "calc.py", "-m", "x"], "not with both"),
        (["--no-model", "--no-search"], "leave nothing"),
        (["--no-model", "--model", "x"], "contradict"),
        (["--keep", "--dry-run"], "contradict"),
    ],
)
def test_words_that_contradict_each_other(qwencode: Qwencode, broken: Path, arguments: list[str], part: str):
    refused(qwencode("fix", broken, *arguments, cwd=broken), 2, part)


def test_an_unknown_option_and_a_wrong_number(qwencode: Qwencode, broken: Path):
    for arguments in (["fix", "--nope"], ["nope"], ["fix", "--max-steps", "many"], ["fix", "--max-steps", "0"]):
        done = qwencode(*arguments, cwd=broken)
        assert done.returncode == 2
        assert "Error: " in done.stderr
        assert "Traceback" not in done.stderr


def test_settings_that_are_wrong(qwencode: Qwencode, broken: Path):
    folder = broken / ".qwencode"
    folder.mkdir()
    (folder / "config.toml").write_text("no_sandbox = true\n")
    refused(qwencode("fix", broken), 2, "config.toml", "no_sandbox")
    (folder / "config.toml").write_text("max_steps = [\n")
    refused(qwencode("fix", broken), 2, "config.toml", "TOML")


def test_a_place_for_sessions_that_cannot_be_written(qwencode: Qwencode, broken: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    refused(qwencode("fix", broken, "--no-model", XDG_STATE_HOME=str(tmp_path / "file")), 2, str(tmp_path / "file"))


@pytest.mark.usefixtures("permissions_hold_everywhere")
def test_a_repository_that_cannot_be_written(qwencode: Qwencode, broken: Path):
    git = broken / ".git"
    git.chmod(0o555)
    try:
        refused(qwencode("fix", broken, "--no-model"), 2, ".git")
    finally:
        git.chmod(0o755)


@pytest.mark.slow
def test_binary_and_oddly_encoded_files_are_no_obstacle(qwencode: Qwencode, broken: Path):
    (broken / "image.py").write_bytes(b"\x00\x01\x02" * 100)
    latin = "# -*- coding: latin-1 -*-\n# gr\xfc\xdfe\ndef add(a, b):\n    return a - b\n".encode("latin-1")
    (broken / "calc.py").write_bytes(latin)
    done = qwencode("fix", broken, "--no-model")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (broken / "calc.py").read_bytes() == latin.replace(b"a - b", b"a + b")


def test_undo_without_a_run(qwencode: Qwencode, repository: Path, tmp_path: Path):
    refused(qwencode("undo", repository), 2, "no run")
    refused(qwencode("undo", tmp_path), 2, "git")


def test_a_practice_repository_that_does_not_exist(qwencode: Qwencode, tmp_path: Path):
    refused(qwencode("demo", "no-such", "--into", tmp_path / "x"), 2, "no-such", "stencil")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    refused(qwencode("demo", "--into", tmp_path / "full"), 2, "full")


@pytest.mark.parametrize("path", ["x" * 300, "\x1b[2Jx"])
def test_a_path_that_cannot_be(qwencode: Qwencode, path: str):
    done = qwencode("chat", path)
    assert done.returncode == 2 and done.stderr.endswith("does not exist.\n") and "\x1b" not in done.stderr
