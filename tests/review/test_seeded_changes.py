"""Recall and noise of the checks that need no model, over changes that were seeded by hand: see `seeded.py`."""

from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest
from review_ground import write_files
from seeded_changes import SEEDED, Seeded

from qwencode.events import FindingReported
from qwencode.jobs.review import QUICK
from qwencode.jobs.tests_part import TestsPart
from qwencode.review.change import FileChange, hunks_of, staged, texts
from qwencode.review.quick import CHECKS, quick
from qwencode.review.repository import Repository
from qwencode.review.weakened import weakened

Git = Callable[..., str]


def stage(root: Path, git: Git, seeded: Seeded) -> None:
    write_files(root, seeded.before)
    git(root, "add", "--all")
    git(root, "commit", "-qm", "Before")
    write_files(root, seeded.after)
    git(root, "add", "--all")


def changed(seeded: Seeded, path: str) -> FileChange:
    before, after = seeded.before.get(path), seeded.after[path]
    hunks = tuple(hunks_of(before or "", after or ""))
    return FileChange(path, path, before, after, hunks, frozenset(line for hunk in hunks for line in hunk.new))


def looked_at(files: list[FileChange]) -> list[FindingReported]:
    assert set(CHECKS) | {"weakened"} == set(QUICK)
    return [*quick(files, list(CHECKS)), *weakened(files)]


def test_half_of_the_changes_are_harmless_and_there_are_enough():
    harmless = [each for each in SEEDED if not each.finds]
    assert len(SEEDED) >= 40
    assert 2 * len(harmless) >= len(SEEDED)


@pytest.mark.parametrize("seeded", [each for each in SEEDED if not each.runs_tests], ids=lambda each: each.name)
def test_what_is_seen_without_running_anything(seeded: Seeded):
    rules = [found.rule for found in looked_at([changed(seeded, path) for path in seeded.after])]
    if seeded.finds:
        assert any(rule.startswith(seeded.finds) for rule in rules), rules
        assert all(rule.startswith(seeded.finds.partition("/")[0]) for rule in rules), rules
    else:
        assert not rules


@pytest.mark.slow
@pytest.mark.parametrize("seeded", [each for each in SEEDED if each.runs_tests], ids=lambda each: each.name)
def test_what_the_tests_say(project: Path, run_git: Git, tmp_path: Path, seeded: Seeded):
    stage(project, run_git, seeded)
    part = TestsPart(staged(Repository.find(project)), "", False, tmp_path / "maps", lambda: inf)
    found = [event for event in part.work(tmp_path / "work") if isinstance(event, FindingReported)]
    assert ([each.rule for each in found][:1] or [""]) == [seeded.finds]
    assert not looked_at(texts(staged(Repository.find(project)))[0])
