"""Texts that a check of a commit could stumble over: it comes to an end, and the other files are looked at."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hook_ground import program, run
from seeded_changes import made

from qwencode.events import FindingReported
from qwencode.review.change import FileChange, hunks_of
from qwencode.review.quick import CHECKS, guarded, quick
from qwencode.review.weakened import weakened

Git = Callable[..., str]
WEAK = "def test_b():\n    assert b() == 1\n"


def changed(path: str, before: str | None, after: str) -> FileChange:
    hunks = tuple(hunks_of(before or "", after))
    return FileChange(path, path, before, after, hunks, frozenset(line for hunk in hunks for line in hunk.new))


def rules(*files: FileChange) -> list[str]:
    return [found.rule for found in (*quick(files, list(CHECKS)), *weakened(files))]


@pytest.mark.parametrize(
    "expression", ["+".join(["a"] * 900), f"a{'.b()' * 900}", f"{'f(' * 80}a{')' * 80}", f"{'-' * 900}a"]
)
def test_deep_expressions_of_python(expression: str):
    deep = changed("test_a.py", f"def test_a():\n    assert {expression} == 1\n", "def test_a():\n    assert 1 < a\n")
    assert "weakened/assert-removed" in rules(deep, changed("test_b.py", WEAK, "def test_b():\n    b()\n"))
    assert "weakened/assert-removed" in rules(changed("test_b.py", WEAK, "def test_b():\n    b()\n"), deep)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", f'print(f"{" ".join(f"{{a{at}=}}" for at in range(60))}", file=err)'),
        ("a.yaml", f"my_token: {'-'.join(['word', 'is', 'another', 'value'] * 9)}-1"),
    ],
)
def test_patterns_that_come_to_an_end(path: str, line: str):
    """Tried in every way, the first would take longer than there is time in the world."""
    assert "syntax/error" not in rules(changed(path, None, f"{line}\n"))


def test_what_one_check_cannot_stand_is_said():
    file = changed("a.py", None, "x = 1\n")

    def stumbling() -> Iterator[FindingReported]:
        yield FindingReported("a.py", 1, "error", "syntax/error", "It is wrong.")
        raise RecursionError

    found = list(guarded("syntax", file, stumbling()))
    assert [(each.rule, each.severity) for each in found] == [
        ("syntax/error", "error"),
        ("syntax/not-looked-at", "note"),
    ]


@pytest.mark.parametrize("lines", [1, 3, 5])
def test_keys_that_begin_after_what_is_said_of_them(lines: int):
    head = ["-----BEGIN PGP PRIVATE KEY BLOCK-----", *(f"Comment: {at}" for at in range(lines - 1)), ""]
    assert rules(changed("key.txt", None, "\n".join([*head, made(64), ""]))) == ["secrets/private-key"]


def test_a_secret_far_out_in_a_long_line():
    file = changed("min.js", None, f'x("{"ab " * 3000}", "ghp_{made(36)}")\n')
    found = [each for each in quick([file], ["secrets"]) if isinstance(each, FindingReported)]
    assert [each.rule for each in found] == ["secrets/github-token"]
    assert made(36) not in found[0].what


def test_an_odd_file_does_not_hold_up_a_commit(repository: Path, run_git: Git, tmp_path: Path):
    (repository / "big.json").write_text("9" * 5000)
    (repository / "key.py").write_text(f'KEY = "ghp_{made(36)}"\n')
    (repository / "test_a.py").write_text(f"def test_a():\n    assert {'+'.join(['a'] * 900)}\n")
    run_git(repository, "add", "--all")
    done = run(
        repository,
        program(tmp_path / "bin") / "qwencode",
        "hook",
        "--no-model",
        "--only",
        "syntax",
        "--only",
        "secrets",
    )
    assert done.code == 0
    assert "Traceback" not in done.out
    assert "key.py:1: error" in done.out
