"""Which rung is taken, what is said when none works, and what each rung claims."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox_ground import Ground

from qwencode.errors import SandboxUnavailable
from qwencode.sandbox.ladder import open_rung, open_sandbox, survey

NOTHING_WORKS = """
import ctypes, os, struct, sys
from pathlib import Path
from qwencode.errors import SandboxUnavailable
from qwencode.sandbox.inside_shim import prctl, seccomp
from qwencode.sandbox.ladder import open_sandbox, survey
# A kernel without Landlock: the three system calls (444 to 446) answer ENOSYS.
code = [(0x20, 0, 0, 0), (0x35, 0, 2, 444), (0x35, 1, 0, 447), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)]
prctl(38, 1)
seccomp(b"".join(struct.pack("<HBBI", *line) for line in code))
os.environ["PATH"] = sys.argv[2]
try:
    open_sandbox(Path(sys.argv[1]))
except SandboxUnavailable as error:
    print(error.exit_code, error)
with_none = open_sandbox(Path(sys.argv[1]), allow_none=True)
print(with_none.rung, with_none.run(["/bin/echo", "ran"], cwd=Path(sys.argv[1])).text.strip())
with_none.close()
"""


def test_the_ladder_of_this_machine(ground: Ground, capsys: pytest.CaptureFixture[str]):
    found = survey(ground.project)
    assert [rung.name for rung in found] == ["bubblewrap", "landlock", "none"]
    with capsys.disabled():
        for rung in found:
            print(f"\n  {rung.name}: {'works' if rung.available else rung.reason}", end="")
    assert all(rung.available != bool(rung.reason) for rung in found)
    assert found[-1].available and any("NO CONFINEMENT" in gap for gap in found[-1].gaps)
    best = next(rung for rung in found if rung.available)
    if best.name == "none":
        pytest.skip("neither bubblewrap nor Landlock works here")
    sandbox = open_sandbox(ground.project)
    assert (sandbox.rung, sandbox.covers, sandbox.gaps) == (best.name, best.covers, best.gaps)
    sandbox.close()
    assert sorted(path.name for path in ground.project.iterdir()) == [".git", "src"]


def without(ground: Ground, path: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", NOTHING_WORKS, str(ground.project), path]
    return subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False)


def test_no_rung_is_one_sentence_and_exit_code_6(ground: Ground):
    done = without(ground, "/nowhere")
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first.startswith("6 No sandbox works here. bubblewrap: bubblewrap is not installed (Debian")
    assert "landlock: the kernel has no Landlock" in first and "--no-sandbox" in first
    assert second == "none ran"


def test_a_broken_bubblewrap_is_found_out(ground: Ground, tmp_path: Path):
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    assert "bubblewrap: " in without(ground, str(tmp_path)).stdout
    assert "setting up uid map: Permission denied" in without(ground, str(tmp_path)).stdout


def test_a_bwrap_in_the_repository_is_not_used(ground: Ground, monkeypatch: pytest.MonkeyPatch):
    (ground.project / "bwrap").write_text("#!/bin/sh\necho up\n")
    (ground.project / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(ground.project))
    monkeypatch.chdir(ground.project)
    with pytest.raises(SandboxUnavailable, match="not installed"):
        open_rung("bubblewrap", ground.project)
    monkeypatch.setenv("PATH", ".")
    with pytest.raises(SandboxUnavailable, match="not installed"):
        open_rung("bubblewrap", ground.project)


def test_none_still_bounds_and_cleans_up(ground: Ground, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GITHUB_TOKEN", "s3cr3t")
    sandbox = open_rung("none", ground.project)
    done = sandbox.run(["sh", "-c", "env; setsid sleep 66 & exit 4"], cwd=ground.project)
    assert (done.returncode, done.leftovers) == (4, 1) and "s3cr3t" not in done.text
    sandbox.close()


def test_what_a_killed_qwencode_left_is_swept_up(ground: Ground, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "t").mkdir()
    code = "import os, sys\nfrom pathlib import Path\nfrom qwencode.sandbox.ladder import open_rung\n"
    code += "sandbox = open_rung('none', Path(sys.argv[1]))\nos.kill(os.getpid(), 9)"
    words = [sys.executable, "-c", code, str(ground.project)]
    environ = {**os.environ, "TMPDIR": str(tmp_path / "t")}
    subprocess.run(words, cwd=Path(__file__).parents[2], env=environ, check=False)
    (left,) = (tmp_path / "t").iterdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    open_rung("none", ground.project).close()
    assert left.exists(), "so young a one may be about to be locked by its owner"
    os.utime(left / "lock", (0, 0))
    first, second = open_rung("none", ground.project), open_rung("none", ground.project)
    assert not left.exists()
    assert first.scratch.exists() and second.scratch.exists(), "the living keep theirs"
    first.close()
    second.close()


def test_closing_removes_what_tests_made_unreadable(ground: Ground, opened):
    sandbox = opened(ground.project)
    line = f"mkdir -p $TMPDIR/a/b && touch $TMPDIR/a/b/c && ln -s {ground.outside} $TMPDIR/l && chmod 000 $TMPDIR/a"
    ground.outside.chmod(0o755)
    assert sandbox.run(["sh", "-ec", line], cwd=ground.project).returncode == 0
    sandbox.close()
    assert not sandbox.scratch.parent.exists()
    assert ground.outside.stat().st_mode & 0o777 == 0o755
    assert os.listdir(ground.project / "src") == ["code.py"]  # noqa: PTH208
