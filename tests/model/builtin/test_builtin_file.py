"""The file of the built-in model: the right one, small enough, in git and in what is published."""

import hashlib
import subprocess
import tomllib
from pathlib import Path

import pytest

from qwencode.model.llama.catalogue import BUILTIN_BYTES, BUILTIN_SHA256
from qwencode.model.llama.gguf_header import LINE_FORM, check

ROOT = Path(__file__).parents[3]
NAME = "qwencode/model/builtin/builtin.gguf"
FILE = ROOT / NAME
shipped = pytest.mark.skipif(not BUILTIN_SHA256, reason="the catalogue names no built-in model yet")


@shipped
def test_it_is_the_file_of_the_catalogue():
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == BUILTIN_SHA256
    assert FILE.stat().st_size <= BUILTIN_BYTES
    assert check(FILE).form == LINE_FORM


@shipped
def test_git_tracks_it():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", NAME], capture_output=True, text=True, check=True)
    assert listed.stdout.strip() == NAME


def test_a_file_that_the_catalogue_does_not_name_is_not_there():
    assert FILE.exists() == bool(BUILTIN_SHA256)


def test_git_ignores_every_other_model_file():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")

    def ignored(name: str) -> bool:
        return subprocess.run(["git", "-C", str(ROOT), "check-ignore", "-q", "--no-index", name]).returncode == 0

    assert ignored("other.gguf")
    assert ignored("qwencode/model/builtin/other.gguf")
    assert not ignored(NAME)


def test_it_is_in_the_wheel_and_in_the_source_distribution():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert build["artifacts"] == [f"/{NAME}"], "hatch leaves out what git ignores"
    assert build["targets"]["wheel"]["packages"] == ["qwencode"]
    assert "qwencode" in build["targets"]["sdist"]["include"]
