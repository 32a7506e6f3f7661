"""`qwencode config` as a user types it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qwencode.errors import UsageError

Qwencode = Callable[..., "subprocess.CompletedProcess[str]"]


def test_set_get_show_unset(
    call: Callable[..., str], own_directories: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own_directories / "config" / "qwencode" / "config.toml"
    monkeypatch.chdir(repository)
    assert call("config", "path") == f"{path}\n"
    assert call("config", "set", "gpu_layers", "-1") == f"{path}: gpu_layers = -1\n"
    assert call("config", "get", "gpu_layers") == "-1\n"
    call("config", "set", "allow_commands", "git status,pytest")
    assert call("config", "get", "allow_commands") == "git status, pytest\n"
    (repository / ".qwencode").mkdir()
    (repository / ".qwencode" / "config.toml").write_text("max_steps = 9\n")
    assert f"max_steps = 5; but {repository / '.qwencode'}" in call("config", "set", "max_steps", 5)
    monkeypatch.setenv("QWENCODE_THREADS", "2")
    shown = [line.split() for line in call("config").splitlines()]
    assert ["gpu_layers", "-1", str(path)] in shown
    assert ["threads", "2", "QWENCODE_THREADS"] in shown
    assert len({line.rindex("  ") for line in call("config").splitlines()}) == 1  # columns
    told = json.loads(call("config", "show", "--json"))
    assert told["max_steps"] == {"value": 9, "origin": str(repository / ".qwencode" / "config.toml")}
    assert call("config", "unset", "gpu_layers") == f"{path}: gpu_layers removed\n"
    assert call("config", "unset", "gpu_layers") == f"{path} does not set 'gpu_layers'\n"


def test_what_is_wrong_elsewhere_is_said(
    call: Callable[..., str], own_directories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWENCODE_THREADS", "many")
    assert "But nothing can be run yet: QWENCODE_THREADS='many' is not a whole" in call("config", "set", "test", "x")


def test_mistakes_get_a_sentence(qwencode: Qwencode, call: Callable[..., str], own_directories: Path) -> None:
    for arguments, sentence in (
        (("set", "modell", "x"), "There is no setting 'modell'; did you mean 'model'?"),
        (("get", "modell"), "There is no setting 'modell'; did you mean 'model'?"),
        (("set", "threads", "two"), "threads='two' is not a whole number."),
    ):
        with pytest.raises(UsageError) as caught:
            call("config", *arguments)
        assert str(caught.value) == sentence
    done = qwencode("config", "set", "threads", "two")
    assert (done.returncode, done.stderr) == (2, "qwencode: threads='two' is not a whole number.\n")
    assert not (own_directories / "config" / "qwencode").exists()


def test_a_value_that_the_terminal_cannot_write(qwencode: Qwencode) -> None:
    done = qwencode("config", QWENCODE_TEST="größer", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert '"größer"' in done.stdout


@pytest.mark.slow
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
