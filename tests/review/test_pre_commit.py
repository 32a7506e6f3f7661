"""The hooks as the real pre-commit framework runs them, from a local checkout, at real commits."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hook_ground import Done, index, program, run, tree
from review_ground import write_files
from seeded_changes import CALC, PROJECT, edit, made

Git = Callable[..., str]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (Path(sys.executable).with_name("pre-commit")).exists(), reason="pre-commit is not installed"
    ),
]
HOOKS = Path(__file__).parents[2] / ".pre-commit-hooks.yaml"


@pytest.fixture
def hooked(project: Path, tmp_path: Path, run_git: Git, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with the hooks installed by pre-commit from a repository that holds our own manifest."""
    checkout = tmp_path / "qwencode checkout"
    checkout.mkdir()
    run_git(checkout, "init", "-q")
    shutil.copy(HOOKS, checkout)
    run_git(checkout, "add", "--all")
    run_git(checkout, "commit", "-qm", "Hooks")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "pre-commit"))
    monkeypatch.setenv("PATH", f"{program(tmp_path / 'bin')}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("QWENCODE_HOOK_SECONDS", "60")
    rev = run_git(checkout, "rev-parse", "HEAD").strip()
    hooks = "".join(f"      - id: {name}\n" for name in ("qwencode-review", "qwencode-tests", "qwencode-fix"))
    config = f"repos:\n  - repo: {checkout}\n    rev: {rev}\n    hooks:\n{hooks}"
    write_files(project, {**PROJECT, ".pre-commit-config.yaml": config})
    run_git(project, "add", "--all")
    run_git(project, "commit", "-qm", "Calc")
    done = run(project, "pre-commit", "install")
    assert done.code == 0, done.out
    return project


def commit(root: Path, *words: str) -> Done:
    """Commit, and see that the tree is as it was and the index what was committed."""
    before, listed = tree(root), run(root, "git", "ls-files", "--stage").out
    done = run(root, "git", "commit", "-m", "Change", *words)
    assert tree(root) == before
    if not words:
        assert run(root, "git", "ls-files", "--stage").out == listed
    return done


def test_commits_of_every_kind(hooked: Path, run_git: Git, tmp_path: Path):
    (hooked / "calc.py").write_text(CALC + "\n# The end.\n")
    run_git(hooked, "add", "--all")
    done = commit(hooked)
    assert done.code == 0, done.out
    assert "Passed" in done.out
    assert "finding" not in done.out

    (hooked / "calc.py").write_text(edit(CALC, "values[1:]", "values[2:]"))
    run_git(hooked, "add", "--all")
    done = commit(hooked)
    assert done.code == 0, done.out
    assert "test_calc.py::test_largest[values0-2] fails with this change; before, it did not" in done.out

    (hooked / "calc.py").write_text(CALC)  # staged: whole again; in the tree: broken in another way
    run_git(hooked, "add", "calc.py")
    (hooked / "calc.py").write_text(edit(CALC, "+=", "-="))
    done = commit(hooked)
    assert done.code == 0, done.out
    assert "finding" not in done.out
    assert run_git(hooked, "show", "HEAD:calc.py") == CALC
    assert "-=" in (hooked / "calc.py").read_text()
    run_git(hooked, "checkout", "-q", "--", "calc.py")

    (hooked / "keys.py").write_text(f'TOKEN = "ghp_{made(36)}"\n')
    run_git(hooked, "add", "--all")
    done = commit(hooked)
    assert "keys.py:1: error: This looks like a GitHub token" in done.out
    assert made(36) not in done.out

    run_git(hooked, "mv", "calc.py", "sums.py")
    done = commit(hooked)
    assert "test_calc.py cannot be loaded with this change; before, it could" in done.out, done.out

    run_git(hooked, "rm", "-q", "test_calc.py")
    done = commit(hooked)
    assert "test_calc.py:1: error: 3 tests are gone" in done.out, done.out

    (hooked / "data.bin").write_bytes(bytes(range(256)) * 9)
    run_git(hooked, "add", "--all")
    done = commit(hooked)
    assert done.code == 0
    assert "finding" not in done.out

    other = tmp_path / "other"
    run_git(tmp_path, "init", "-q", "other")
    run_git(other, "commit", "-q", "--allow-empty", "-m", "One")
    run_git(hooked, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "sub")
    done = commit(hooked)
    assert done.code == 0, done.out
    run_git(hooked / "sub", "commit", "-q", "--allow-empty", "-m", "Two")
    run_git(hooked, "add", "sub")
    done = commit(hooked)
    assert done.code == 0, done.out
    assert "finding" not in done.out


def test_strict_holds_a_commit_up_and_fix_mends_what_is_staged(hooked: Path, run_git: Git):
    config = (hooked / ".pre-commit-config.yaml").read_text()
    strict = config.replace("- id: qwencode-review\n", "- id: qwencode-review\n        args: [--strict]\n")
    (hooked / ".pre-commit-config.yaml").write_text(strict)
    run_git(hooked, "add", "--all")
    run_git(hooked, "commit", "-qnm", "Strict")
    broken = edit(CALC, "values[1:]", "values[2:]")
    (hooked / "calc.py").write_text(broken)
    run_git(hooked, "add", "calc.py")
    done = commit(hooked)
    assert done.code == 1
    assert "Failed" in done.out
    assert run_git(hooked, "log", "--format=%s", "-1").strip() == "Strict"
    listed = index(hooked)
    fixed = run(hooked, "pre-commit", "run", "--hook-stage", "manual", "qwencode-fix")
    assert fixed.code == 1, fixed.out
    assert "files were modified by this hook" in fixed.out
    assert (hooked / "calc.py").read_text() == CALC
    assert index(hooked) == listed
    run_git(hooked, "add", "calc.py")
    (hooked / "more.py").write_text("x = 1\n")
    run_git(hooked, "add", "more.py")
    assert commit(hooked).code == 0


def test_before_a_push_the_commits_are_looked_at(hooked: Path, run_git: Git, tmp_path: Path):
    run_git(tmp_path, "init", "-q", "--bare", "remote.git")
    run_git(hooked, "remote", "add", "origin", str(tmp_path / "remote.git"))
    assert run(hooked, "pre-commit", "install", "-t", "pre-push").code == 0
    assert run(hooked, "git", "push", "-q", "origin", "main").code == 0
    (hooked / "calc.py").write_text(edit(CALC, "+=", "-="))
    run_git(hooked, "commit", "-qanm", "Break")
    (hooked / "calc.py").write_text(CALC)
    before = tree(hooked)
    done = run(hooked, "git", "push", "-q", "origin", "main", SKIP="qwencode-fix")
    assert done.code != 0
    assert "fails with this change; before, it did not" in done.out
    assert tree(hooked) == before
