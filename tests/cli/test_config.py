"""`qwencode config` as a user types it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Qwencode = Callable[..., "subprocess.CompletedProcess[str]"]


def test_set_get_show_unset(qwencode: Qwencode, own_directories: Path, repository: Path):
    path = own_directories / "config" / "qwencode" / "config.toml"
    assert qwencode("config", "path").stdout == f"{path}\n"
    assert qwencode("config", "set", "gpu_layers", "-1").stdout == f"{path}: gpu_layers = -1\n"
    assert qwencode("config", "get", "gpu_layers").stdout == "-1\n"
    (repository / ".qwencode").mkdir()
    (repository / ".qwencode" / "config.toml").write_text("max_steps = 9\n")
    done = qwencode("config", "set", "max_steps", 5, cwd=repository)
    assert "max_steps = 5; but " in done.stdout
    shown = qwencode("config", cwd=repository, QWENCODE_THREADS="2").stdout
    assert f"gpu_layers       -1     {path}\n" in shown
    assert "threads          2      QWENCODE_THREADS\n" in shown
    told = json.loads(qwencode("config", "show", "--json", cwd=repository).stdout)
    assert told["max_steps"] == {"value": 9, "origin": str(repository / ".qwencode" / "config.toml")}
    assert qwencode("config", "unset", "gpu_layers").stdout == f"{path}: gpu_layers removed\n"


def test_mistakes_get_a_sentence(qwencode: Qwencode, own_directories: Path):
    for arguments, sentence in (
        (("set", "modle", "x"), "There is no setting 'modle'; did you mean 'model'?"),
        (("get", "modle"), "There is no setting 'modle'; did you mean 'model'?"),
        (("set", "threads", "two"), "threads='two' is not a whole number."),
    ):
        done = qwencode("config", *arguments)
        assert (done.returncode, done.stderr) == (2, f"qwencode: {sentence}\n")
    assert not (own_directories / "config" / "qwencode").exists()


def test_edit_opens_the_editor_and_checks_what_it_left(qwencode: Qwencode, tmp_path: Path):
    editor = tmp_path / "my editor"
    editor.write_text('#!/bin/sh\necho "$1" >> "$2"\n')
    editor.chmod(0o755)
    done = qwencode("config", "edit", VISUAL="", EDITOR=f"'{editor}' 'threads = 3'")
    assert (done.returncode, done.stderr) == (0, "")
    assert qwencode("config", "get", "threads").stdout == "3\n"
    done = qwencode("config", "edit", VISUAL=f"'{editor}' 'max_stepz = 3'")
    assert done.returncode == 2
    assert "sets 'max_stepz', which is not a setting; did you mean 'max_steps'?" in done.stderr
    for command, sentence in (("/no/such", "cannot be started"), ("false", "exit code 1"), ("'", "no command")):
        done = qwencode("config", "edit", VISUAL=command)
        assert done.returncode == 2
        assert sentence in done.stderr
