"""The file of the built-in model: the right one, small enough, in git and in what is published."""

import hashlib
import subprocess
import tomllib
from pathlib import Path

import pytest

from qwencode.model.builtin.proposer import Proposer
from qwencode.model.builtin.task import task
from qwencode.model.llama.catalogue import BUILTIN_BYTES, BUILTIN_SHA256
from qwencode.model.llama.gguf_header import LINE_FORM, check

ROOT = Path(__file__).parents[3]
NAME = "qwencode/model/builtin/builtin.gguf"
FILE = ROOT / NAME
checkout = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an unpacked source distribution has no git to ask")


def test_it_is_the_file_of_the_catalogue():
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == BUILTIN_SHA256
    assert FILE.stat().st_size <= BUILTIN_BYTES
    assert check(FILE).form == LINE_FORM


def test_it_proposes_what_mends_a_practice_repository():
    text = (ROOT / "sandbox/boxwork/boxwork/drawing.py").read_text(encoding="utf-8")
    wrong = '    return "\\n".join()'
    asked = task(
        "boxwork/drawing.py", text, text.splitlines().index(wrong) + 1, "E TypeError: str.join() takes exactly"
    )
    assert asked is not None
    proposer = Proposer(FILE)
    try:
        news = [proposal.new for proposal in proposer.propose(asked)]
    finally:
        proposer.close()
    assert '    return "\\n".join(lines)' in news


@checkout
def test_git_tracks_it():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", NAME], capture_output=True, text=True, check=True)
    assert listed.stdout.strip() == NAME


@checkout
def test_git_ignores_every_other_model_file():

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
