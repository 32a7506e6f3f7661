"""Begin, change, restore, finish: every byte comes back, and nothing of the user's in git is touched."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from snapshot_ground import begin, git, of_git, on_disk

from qwencode.errors import UsageError
from qwencode.snapshots import undo
from qwencode.snapshots.journal import KEPT_RECOVERED, KEPT_SESSIONS, Busy
from qwencode.snapshots.tree import take
from qwencode.workspace import Workspace


def disturb(root: Path) -> None:
    """Do to a tree what a run may do at its worst."""
    (root / "src" / "main.py").write_bytes(b"broken\r\n")
    (root / "src" / "secret.txt").unlink()
    (root / "run.sh").chmod(0o644)
    (root / "link").unlink()
    (root / "link").write_bytes(b"now a file")
    (root / "src" / "unix.txt").unlink()
    (root / "src" / "unix.txt").mkdir()
    (root / "src" / "unix.txt" / "inner").write_bytes(b"x")
    (root / "new" / "deep").mkdir(parents=True)
    (root / "new" / "deep" / "file").write_bytes(b"x")
    shutil.rmtree(root / "empty")


def test_restore_puts_every_byte_back(project: Path):
    before, users = on_disk(project), of_git(project)
    run = begin(project)
    disturb(project)
    assert set(run.changed()) >= {"src/main.py", "src/secret.txt", "run.sh", "link", "new/deep/file"}
    run.restore()
    assert on_disk(project) == before
    run.restore()
    assert run.changed() == ()
    run.finish(kept=False)
    assert (on_disk(project), of_git(project)) == (before, users)
    assert not git(project, "for-each-ref", "refs/qwencode/")


def test_a_mark_is_a_place_to_go_back_to(project: Path):
    before = on_disk(project)
    run = begin(project)
    (project / "src" / "main.py").write_bytes(b"half\r\n")
    (project / "made").write_bytes(b"by the first part")
    (project / "made").chmod(0o755)
    half, mark = on_disk(project), run.mark()
    disturb(project)
    (project / "made").unlink()
    assert "+half" not in run.diff(since=mark) and "+broken" in run.diff(since=mark)
    run.restore(mark)
    assert on_disk(project) == half
    assert set(run.changed()) == {"made", "src/main.py"}
    run.restore()
    assert on_disk(project) == before
    run.finish(kept=False)
    assert on_disk(project) == before


def test_what_was_made_up_to_a_mark_is_kept_and_undone_as_a_whole(project: Path):
    before = on_disk(project)
    run = begin(project)
    (project / "made").write_bytes(b"x")
    half, mark = on_disk(project), run.mark()
    disturb(project)
    run.restore(mark)
    run.finish(kept=True)
    assert on_disk(project) == half
    undo(Workspace.find(project))
    assert on_disk(project) == before


def test_a_kept_run_is_undone_later_and_undone_ones_are_skipped(project: Path):
    states = [on_disk(project)]
    users = of_git(project)
    for number in range(3):
        run = begin(project)
        (project / "src" / "main.py").write_bytes(b"run %d\n" % number)
        (project / f"made{number}").write_bytes(b"x")
        run.finish(kept=True)
        states.append(on_disk(project))
    for number in (2, 1, 0):
        sentence = undo(Workspace.find(project))
        assert f"made{number}, src/main.py" in sentence
        assert on_disk(project) == states[number]
    assert of_git(project) == users
    with pytest.raises(UsageError, match="no run of qwencode to take back"):
        undo(Workspace.find(project))


def test_undo_after_the_worst(project: Path):
    before = on_disk(project)
    run = begin(project)
    disturb(project)
    run.finish(kept=True)
    undo(Workspace.find(project))
    assert on_disk(project) == before


def test_undo_refuses_what_the_user_has_changed_since(project: Path):
    run = begin(project)
    (project / "src" / "main.py").write_bytes(b"by the run\n")
    (project / "other").write_bytes(b"by the run\n")
    run.finish(kept=True)
    (project / "src" / "main.py").write_bytes(b"by the user\n")
    mine = on_disk(project)
    with pytest.raises(UsageError, match=r"you have changed src/main.py; nothing was taken back.*git diff refs/"):
        undo(Workspace.find(project))
    assert on_disk(project) == mine
    (project / "src" / "main.py").write_bytes(b"by the run\n")
    (project / "unrelated").write_bytes(b"by the user\n")
    undo(Workspace.find(project))
    assert (project / "unrelated").read_bytes() == b"by the user\n"
    assert not (project / "other").exists()


def test_undo_refuses_to_remove_what_stands_in_the_way(project: Path):
    run = begin(project)
    (project / "run.sh").unlink()
    (project / "run.sh").mkdir()
    (project / "run.sh" / "part").write_bytes(b"by the run")
    shutil.rmtree(project / "src")
    run.finish(kept=True)
    (project / "run.sh" / "mine").write_bytes(b"by the user")
    (project / "src").write_bytes(b"by the user")
    with pytest.raises(UsageError, match=r"run.sh/mine, src;"):
        undo(Workspace.find(project))
    (project / "run.sh" / "mine").unlink()
    (project / "src").unlink()
    undo(Workspace.find(project))
    assert (project / "src" / "secret.txt").read_bytes() == b"only mine\n"


def test_a_run_that_changed_nothing_leaves_no_trace(project: Path):
    with begin(project) as run:
        run.finish(kept=True)
    assert not git(project, "for-each-ref", "refs/qwencode/")
    with pytest.raises(UsageError, match="no run"):
        undo(Workspace.find(project))


def test_leaving_the_block_puts_back(project: Path):
    before = on_disk(project)
    with pytest.raises(KeyboardInterrupt), begin(project):
        disturb(project)
        raise KeyboardInterrupt
    assert on_disk(project) == before


def test_only_one_run_at_a_time(project: Path):
    with begin(project):
        for attempt in (begin, lambda root: undo(Workspace.find(root))):
            with pytest.raises(Busy, match=rf"at work in .*process {os.getpid()}"):
                attempt(project)
    begin(project).finish(kept=False)


@pytest.mark.slow
def test_old_runs_are_forgotten(project: Path):
    for number in range(KEPT_SESSIONS + 3):
        run = begin(project, f"20260101-000000-{number:04x}")
        (project / "counter").write_bytes(b"%d" % number)
        run.finish(kept=True)
    names = {ref.split(b"/")[3] for ref in git(project, "for-each-ref", "--format=%(refname)", "refs/qwencode").split()}
    assert names == {b"20260101-000000-%04x" % number for number in range(3, KEPT_SESSIONS + 3)}
    assert len(list((project / ".git" / "qwencode" / "runs").iterdir())) == KEPT_SESSIONS


def test_a_garbage_collection_keeps_it(project: Path):
    before = on_disk(project)
    run = begin(project)
    disturb(project)
    run.finish(kept=True)
    git(project, "reset", "-q")
    git(project, "gc", "-q", "--prune=now")
    git(project, "fsck", "--strict")
    undo(Workspace.find(project))
    assert on_disk(project) == before


def test_plain_git_can_show_and_bring_back(project: Path):
    run = begin(project)
    (project / "src" / "main.py").write_bytes(b"changed\n")
    run.finish(kept=True)
    ref = "refs/qwencode/main/20260101-000000-aaaa"
    assert git(project, "show", f"{ref}/before:src/main.py") == b"print('unstaged')\n"
    assert git(project, "show", f"{ref}/before:src/secret.txt") == b"only mine\n"
    assert git(project, "show", f"{ref}/index:src/main.py") == b"print('staged')\n"
    assert b"+changed" in git(project, "diff", f"{ref}/before", f"{ref}/after")
    git(project, "restore", f"--source={ref}/before", "--", "src/main.py")
    assert (project / "src" / "main.py").read_bytes() == b"print('unstaged')\n"


def test_objects_that_git_has_lost_are_written_again(project: Path):
    time.sleep(0.05)  # so that the next look will be trusted
    begin(project).finish(kept=False)
    git(project, "gc", "-q", "--prune=now")
    with pytest.raises(AssertionError):
        git(project, "cat-file", "-e", git(project, "hash-object", "src/secret.txt").decode().strip())
    before = on_disk(project)
    with begin(project):
        (project / "src" / "secret.txt").unlink()
        git(project, "cat-file", "-e", "refs/qwencode/main/20260101-000000-aaaa/before:src/secret.txt")
    assert on_disk(project) == before


def test_conversions_of_git_do_not_touch_the_bytes(project: Path):
    git(project, "config", "core.autocrlf", "true")
    git(project, "config", "filter.upper.clean", "tr a-z A-Z")
    git(project, "config", "filter.upper.smudge", "tr A-Z a-z")
    git(project, "config", "filter.upper.required", "true")
    rules = b"*.crlf text eol=crlf\n*.up filter=upper\n*.id ident\n*.u16 text working-tree-encoding=UTF-16\n"
    (project / ".gitattributes").write_bytes(rules)
    contents = {
        "a.crlf": b"one\ntwo\r\nthree\n",
        "b.up": b"mixed Case\n",
        "c.id": b"$Id: hello $ $Id$\n",
        "d.u16": "text\r\n".encode("utf-16"),
        "e.txt": b"dos\r\n",
    }
    for name, content in contents.items():
        (project / name).write_bytes(content)
    git(project, "add", "--all")
    git(project, "commit", "-q", "-m", "Converted")
    before = on_disk(project)
    run = begin(project)
    for name in contents:
        (project / name).write_bytes(b"x")
    run.restore()
    assert on_disk(project) == before
    for name in contents:
        (project / name).unlink()
    run.finish(kept=False)
    assert on_disk(project) == before


def test_hooks_and_monitors_of_the_user_do_not_run(project: Path):
    told = project.parent / "told"
    hooks = project / ".git" / "hooks"
    for name in ("pre-commit", "post-index-change", "reference-transaction", "fsmonitor-watchman", "post-checkout"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {told}\nexit 1\n")
        (hooks / name).chmod(0o755)
    git(project, "config", "core.logAllRefUpdates", "always")
    git(project, "-c", "core.hooksPath=/dev/null", "config", "core.fsmonitor", str(hooks / "fsmonitor-watchman"))
    told.unlink(missing_ok=True)
    with begin(project) as run:
        disturb(project)
        run.diff()
        run.finish(kept=True)
    undo(Workspace.find(project))
    assert not told.exists()
    assert not (project / ".git" / "logs" / "refs" / "qwencode").exists()


def test_a_git_above_is_not_in_the_way(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = on_disk(project)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    with begin(project):
        disturb(project)
    assert on_disk(project) == before
    assert not (tmp_path / "elsewhere").exists()


class TestIgnored:
    def test_ignored_files_are_left_alone(self, project: Path):
        with begin(project) as run:
            (project / "x.log").write_bytes(b"more\n")
            (project / "build" / "two.bin").write_bytes(b"2")
            assert run.changed() == ()
        assert (project / "x.log").read_bytes() == b"more\n"
        assert (project / "build" / "two.bin").exists()

    def test_files_that_the_run_has_hidden_are_removed(self, project: Path):
        before = on_disk(project)
        with begin(project):
            (project / "src" / ".gitignore").write_bytes(b"*.tmp\nsecret.txt\n")
            (project / "src" / "made.tmp").write_bytes(b"x")
            (project / "src" / "secret.txt").write_bytes(b"gone\n")
        assert on_disk(project) == before

    @pytest.mark.parametrize("later", [False, True], ids=["restore", "undo"])
    def test_files_that_the_run_has_shown_are_not_removed(self, project: Path, later: bool):
        before = on_disk(project)
        run = begin(project)
        (project / ".gitignore").write_bytes(b"nothing\n")
        run.finish(kept=later)
        if later:
            undo(Workspace.find(project))
        assert on_disk(project) == before

    @pytest.mark.parametrize("later", [False, True], ids=["restore", "undo"])
    def test_what_is_ignored_is_still_removed_where_a_file_or_directory_was(self, project: Path, later: bool):
        (project / ".gitignore").write_bytes(b"*\n")
        (project / "src" / "secret.txt").unlink()
        before = on_disk(project)
        run = begin(project)
        shutil.rmtree(project / "src")
        (project / "src").symlink_to("build")
        (project / "run.sh").unlink()
        (project / "run.sh" / "deep").mkdir(parents=True)
        (project / "run.sh" / "deep" / "file").write_bytes(b"ignored")
        (project / "run.sh" / "link").symlink_to("..")
        run.finish(kept=later)
        if later:
            undo(Workspace.find(project))
        assert on_disk(project) == before

    def test_a_file_that_the_user_forced_into_the_index_is_not_removed(self, project: Path):
        with begin(project):
            (project / "mine.log").write_bytes(b"x")
            git(project, "add", "--force", "mine.log")
        assert (project / "mine.log").exists()


class TestPlaces:
    def test_before_the_first_commit(self, tmp_path: Path):
        git(tmp_path, "init", "-q")
        (tmp_path / "a").write_bytes(b"a")
        before = on_disk(tmp_path)
        with begin(tmp_path) as run:
            (tmp_path / "a").write_bytes(b"b")
            (tmp_path / "c").write_bytes(b"c")
            assert run.changed() == ("a", "c")
        assert on_disk(tmp_path) == before
        assert not (tmp_path / ".git" / "index").exists()

    def test_in_linked_work_trees_side_by_side(self, project: Path):
        linked = project.parent / "linked"
        git(project, "worktree", "add", "-q", "-b", "side", str(linked))
        git(project, "gc", "-q")  # gives reflog entries without a message the form that git prefers
        before = on_disk(linked), of_git(linked)
        first, second = begin(project), begin(linked)
        (linked / "run.sh").write_bytes(b"x")
        (project / "run.sh").write_bytes(b"y")
        second.finish(kept=True)
        first.finish(kept=True)
        git(project, "gc", "-q", "--prune=now")
        undo(Workspace.find(linked / "src"))
        assert (on_disk(linked), of_git(linked)) == before
        assert (project / "run.sh").read_bytes() == b"y"
        undo(Workspace.find(project))

    def test_refs_of_a_removed_work_tree_go(self, project: Path):
        linked = project.parent / "linked"
        git(project, "worktree", "add", "-q", "-b", "side", str(linked))
        run = begin(linked)
        (linked / "run.sh").write_bytes(b"x")
        run.finish(kept=True)
        git(project, "worktree", "remove", "--force", str(linked))
        begin(project).finish(kept=False)
        assert not git(project, "for-each-ref", "refs/qwencode/")

    def test_from_a_sub_directory_with_a_detached_head(self, project: Path):
        git(project, "checkout", "-q", "--detach")
        before = on_disk(project), of_git(project)
        with begin(project / "src"):
            disturb(project)
        assert (on_disk(project), of_git(project)) == before

    def test_other_repositories_inside_are_left_alone(self, project: Path):
        git(project, "init", "-q", "nested/one")
        (project / "nested" / "one" / "file").write_bytes(b"x")
        other = project.parent / "other"
        git(project.parent, "init", "-q", str(other))
        git(other, "commit", "-q", "--allow-empty", "-m", "Begin")
        git(project, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "module")
        users = of_git(project)
        with begin(project) as run:
            (project / "module" / "file").write_bytes(b"y")
            (project / "nested" / "one" / "file").write_bytes(b"y")
            assert run.changed() == ()
        assert (project / "module" / "file").exists()
        assert (project / "nested" / "one" / "file").read_bytes() == b"y"
        users.pop("status")
        assert {key: value for key, value in of_git(project).items() if key != "status"} == users

    def test_inside_a_submodule(self, project: Path):
        other = project.parent / "other"
        git(project.parent, "init", "-q", str(other))
        (other / "a").write_bytes(b"a")
        git(other, "add", "a")
        git(other, "commit", "-q", "-m", "A")
        git(project, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "module")
        before = on_disk(project / "module")
        with begin(project / "module"):
            (project / "module" / "a").unlink()
        assert on_disk(project / "module") == before

    def test_in_the_middle_of_a_merge(self, project: Path):
        git(project, "stash", "--quiet", "--include-untracked")
        for branch, content in (("left", b"l\n"), ("right", b"r\n")):
            git(project, "checkout", "-q", "-b", branch, "main")
            (project / "run.sh").write_bytes(content)
            git(project, "commit", "-q", "-a", "-m", branch)
        with pytest.raises(AssertionError):
            git(project, "merge", "left")
        before = on_disk(project), of_git(project)
        with begin(project) as run:
            (project / "run.sh").write_bytes(b"resolved\n")
            assert run.changed() == ("run.sh",)
        assert (on_disk(project), of_git(project)) == before

    def test_in_a_sparse_checkout(self, project: Path):
        git(project, "stash", "--quiet", "--include-untracked")
        (project / "other").mkdir()
        (project / "other" / "file").write_bytes(b"x")
        git(project, "add", "other")
        git(project, "commit", "-q", "-m", "Other")
        git(project, "sparse-checkout", "set", "--cone", "--sparse-index", "src")
        assert not (project / "other").exists()
        before = on_disk(project), of_git(project)
        with begin(project) as run:
            (project / "src" / "main.py").write_bytes(b"x")
            assert run.changed() == ("src/main.py",)
        assert (on_disk(project), of_git(project)) == before

    def test_with_files_that_git_is_told_not_to_look_at(self, project: Path):
        (project / "later").write_bytes(b"later\n")
        git(project, "add", "--intent-to-add", "later")
        git(project, "update-index", "--assume-unchanged", "src/unix.txt")
        git(project, "update-index", "--skip-worktree", "run.sh")
        (project / "src" / "unix.txt").write_bytes(b"local\n")
        (project / "run.sh").write_bytes(b"local\n")
        before = on_disk(project), of_git(project)
        with begin(project) as run:
            for name in ("src/unix.txt", "run.sh", "later"):
                (project / name).write_bytes(b"by the run\n")
            assert run.changed() == ("later", "run.sh", "src/unix.txt")
        assert (on_disk(project), of_git(project)) == before

    def test_with_a_split_index(self, project: Path):
        git(project, "update-index", "--split-index")
        before = on_disk(project), of_git(project)
        with begin(project):
            disturb(project)
        assert (on_disk(project), of_git(project)) == before

    def test_with_sha256_objects(self, tmp_path: Path):
        git(tmp_path, "init", "-q", "--object-format=sha256")
        (tmp_path / "a").write_bytes(b"a")
        with begin(tmp_path):
            (tmp_path / "a").unlink()
        assert (tmp_path / "a").read_bytes() == b"a"

    def test_under_a_root_with_an_odd_name(self, tmp_path: Path):
        root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/o\xffd\n name"))
        root.mkdir()
        git(tmp_path, "init", "-q", str(root))
        (root / "a").write_bytes(b"a")
        with begin(root):
            (root / "a").unlink()
        assert (root / "a").read_bytes() == b"a"


class TestBlocked:
    def test_a_parent_that_became_a_symlink_is_not_followed(self, project: Path):
        outside = project.parent / "outside"
        outside.mkdir(0o700)
        (outside / "main.py").write_bytes(b"not yours\n")
        (outside / "empty").mkdir()
        before, elsewhere = on_disk(project), on_disk(outside)
        for kept in (False, True):
            run = begin(project)
            shutil.rmtree(project / "src")
            (project / "src").symlink_to(outside)
            shutil.rmtree(project / "empty")
            (project / "empty").symlink_to(outside)
            run.finish(kept=kept)
            if kept:
                undo(Workspace.find(project))
            assert (on_disk(project), on_disk(outside)) == (before, elsewhere)

    def test_directories_that_were_closed_are_opened(self, project: Path):
        before = on_disk(project)
        with begin(project):
            (project / "closed").mkdir()
            (project / "closed" / "file").write_bytes(b"x")
            (project / "closed").chmod(0o500)
            (project / "src").chmod(0o000)
        assert on_disk(project) == before

    def test_write_protected_directories_are_written_to_and_stay_protected(self, project: Path):
        (project / "src").chmod(0o555)
        before = on_disk(project)
        for kept in (False, True):
            run = begin(project)
            (project / "src").chmod(0o755)
            (project / "src" / "unix.txt").write_bytes(b"x")
            (project / "src" / "secret.txt").unlink()
            (project / "src" / "new").write_bytes(b"x")
            (project / "src").chmod(0o555)
            run.finish(kept=kept)
            if kept:
                undo(Workspace.find(project))
            assert on_disk(project) == before
        (project / "src").chmod(0o755)

    def test_special_files_are_not_touched(self, project: Path):
        os.mkfifo(project / "pipe")
        with begin(project):
            disturb(project)
        assert (project / "pipe").is_fifo()

    @pytest.mark.usefixtures("permissions_hold_everywhere")  # git reads it
    def test_an_unreadable_file_is_named(self, project: Path):
        (project / "src" / "secret.txt").chmod(0)
        with pytest.raises(UsageError, match=r"secret\.txt"):
            begin(project)

    def test_a_damaged_record_is_named(self, project: Path):
        run = begin(project)
        (project / "run.sh").write_bytes(b"x")
        run.finish(kept=True)
        saved = next((project / ".git" / "qwencode" / "runs").glob("*/before.json"))
        saved.write_bytes(saved.read_bytes()[:-9])
        with pytest.raises(UsageError, match=r"before\.json is damaged.*refs/qwencode/main"):
            undo(Workspace.find(project))
        (project / ".git" / "qwencode" / "open.json").write_bytes(b"{")
        with pytest.raises(UsageError, match=r"open\.json is damaged"):
            begin(project)


def test_says_which_files_held_work_that_was_not_committed(project: Path):
    git(project, "config", "core.autocrlf", "true")
    (project / "src" / "unix.txt").write_bytes(b"a\r\nb\r\n")  # as git itself would write it out
    names = ["src/unix.txt", "src/main.py", "src/secret.txt", "link", "run.sh", "made later"]
    with begin(project) as run:
        (project / "src" / "unix.txt").write_bytes(b"by the run")
        (project / "made later").write_bytes(b"by the run")
        assert run.unsaved(names) == ("src/main.py", "src/secret.txt")
    (project / "run.sh").chmod(0o644)
    (project / "link").unlink()
    (project / "link").symlink_to("run.sh")
    with begin(project) as run:
        assert run.unsaved(["link", "run.sh"]) == ("link", "run.sh")


class TestSomebodyElse:
    """What is saved in an editor while a run is at work: nobody but the run may lose what the run has written."""

    def test_what_it_has_saved_is_set_aside_before_it_is_thrown_away(self, project: Path):
        run = begin(project)
        with run.working("src/unix.txt"):
            (project / "src" / "unix.txt").write_bytes(b"by the run\n")
        with run.working():
            (project / "made").write_bytes(b"by the run\n")
            (project / "run.sh").unlink()
        assert run.set_aside() == ""
        (project / "src" / "main.py").write_bytes(b"by the user\n")
        (project / "src" / "two words").write_bytes(b"by the user, too\n")
        told = run.set_aside()
        assert "you or a test: src/main.py, src/two words. That" in told
        assert run.set_aside() == "", "once is enough"
        run.restore()
        run.finish(kept=False)
        assert (project / "src" / "main.py").read_bytes() == b"print('unstaged')\n"
        _, _, command = told.partition("git restore ")
        subprocess.run(f"git restore {command}", cwd=project / "src", shell=True, check=True)
        assert (project / "src" / "main.py").read_bytes() == b"by the user\n"
        assert (project / "src" / "two words").read_bytes() == b"by the user, too\n"

    def test_an_edit_of_the_run_on_top_makes_nothing_its_own(self, project: Path):
        run = begin(project)
        (project / "src" / "main.py").write_bytes(b"by the user\n")
        mark = run.mark()
        with run.working("src/main.py"):
            (project / "src" / "main.py").write_bytes(b"by the user\nby the run\n")
        assert run.shared(["src/main.py", "run.sh"]) == ("src/main.py",)
        assert "src/main.py" in run.set_aside(mark)
        run.restore(mark)
        assert run.own() == {}
        assert "src/main.py" in run.set_aside()
        run.finish(kept=False)

    def test_undo_goes_back_to_what_the_run_found(self, project: Path):
        run = begin(project)
        (project / "src" / "main.py").write_bytes(b"by the user\n")
        mine = on_disk(project)
        for number in range(2):
            with run.working("src/main.py"):
                (project / "src" / "main.py").write_bytes(b"by the user\nby the run %d\n" % number)
        run.finish(kept=True, done=run.own())
        undo(Workspace.find(project))
        assert on_disk(project) == mine

    def test_what_tests_leave_is_set_aside_without_a_word(self, project: Path):
        run = begin(project)
        (project / "made").write_bytes(b"1")
        (project / "run.sh").write_bytes(b"#!/bin/true\n")
        run.expect()
        (project / "made").write_bytes(b"2")
        assert "you or a test: run.sh. That" in run.set_aside(), "that was there before"
        assert git(project, "cat-file", "blob", "refs/qwencode/main/recovered/20260101-000000-aaaa-1:made") == b"2"
        run.finish(kept=False)

    def test_all_of_it_is_kept_of_the_last_runs(self, project: Path):
        def recovered() -> list[str]:
            return git(project, "for-each-ref", "--format=%(refname:lstrip=4)").decode().split()

        run = begin(project)
        for number in range(KEPT_RECOVERED + 2):
            (project / "run.sh").write_text(f"{number}\n")
            assert run.set_aside()
        run.finish(kept=False)
        assert len(recovered()) == KEPT_RECOVERED + 2, "a run is told of each, until it ends"
        for number in range(KEPT_RECOVERED):
            run = begin(project, f"20260102-000000-{number:04}")
            (project / "run.sh").write_text("later\n")
            assert run.set_aside()
            run.finish(kept=False)
        assert recovered() == [f"20260102-000000-{number:04}-1" for number in range(KEPT_RECOVERED)]

    def test_it_is_no_part_of_a_kept_run(self, project: Path):
        before = on_disk(project)
        run = begin(project)
        with run.working("src/unix.txt"):
            (project / "src" / "unix.txt").write_bytes(b"by the run\n")
        (project / "made").write_bytes(b"by the user\n")
        assert run.own().keys() == {"src/unix.txt"}
        assert "made" not in run.diff(files=["src/unix.txt"])
        run.finish(kept=True, done=run.own())
        undo(Workspace.find(project))
        assert on_disk(project) == {**before, b"made": on_disk(project)[b"made"]}

    def test_undo_refuses_a_file_that_it_has_saved_after_the_run(self, project: Path):
        run = begin(project)
        with run.working("src/unix.txt"):
            (project / "src" / "unix.txt").write_bytes(b"by the run\n")
        (project / "src" / "unix.txt").write_bytes(b"by the run\nand the user\n")
        run.finish(kept=True, done=run.own())
        with pytest.raises(UsageError, match=r"you have changed src/unix.txt; nothing was taken back"):
            undo(Workspace.find(project))


class TestDiff:
    def test_says_what_changed_in_gits_form(self, project: Path):
        with begin(project) as run:
            (project / "src" / "unix.txt").write_bytes(b"a\nB\n")
            (project / "café.txt").write_bytes(b"new")
            (project / "data.bin").write_bytes(b"\0\1")
            (project / "run.sh").chmod(0o644)
            lines = run.diff().splitlines()
        assert "diff --git a/src/unix.txt b/src/unix.txt" in lines
        assert {"-b", "+B", "+++ b/café.txt", "\\ No newline at end of file"} <= set(lines)
        assert "Binary files /dev/null and b/data.bin differ" in lines
        assert {"old mode 100755", "new mode 100644"} <= set(lines)

    def test_is_the_same_whatever_the_user_has_set(self, project: Path):
        run = begin(project)
        (project / "src" / "unix.txt").write_bytes(b"a\nB\n\n")
        shutil.move(project / "run.sh", project / "moved.sh")
        plain = run.diff()
        told = project.parent / "told"
        options = {
            "diff.noprefix": "true",
            "diff.mnemonicPrefix": "true",
            "diff.external": f"touch {told}; true",
            "diff.renames": "copies",
            "diff.context": "0",
            "diff.suppressBlankEmpty": "true",
            "diff.x.textconv": f"touch {told}; true",
            "diff.orderFile": str(project / "run.sh"),
            "color.ui": "always",
            "core.quotePath": "true",
            "core.abbrev": "20",
        }
        for key, value in options.items():
            git(project, "config", key, value)
        assert run.diff() == plain
        run.finish(kept=False)

    def test_nothing_in_the_tree_can_hide_a_change(self, project: Path):
        with begin(project) as run:
            (project / ".gitattributes").write_bytes(b"* -diff\n*.py diff=x\n")
            (project / "src" / "main.py").write_bytes(b"evil = 1\n")
            assert "+evil = 1" in run.diff()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 2 MB with a repository on it."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        git(place, "init", "-q", "--template=")
        (place / "a").write_bytes(b"a\n")
        git(place, "add", "a")
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


class TestDisk:
    def test_no_room_for_a_snapshot(self, small_disk: Path):
        (small_disk / "big").write_bytes(os.urandom(1_200_000))
        before = on_disk(small_disk)
        with pytest.raises(UsageError, match=r"cannot be kept safe.*No space left on device"):
            begin(small_disk)
        assert on_disk(small_disk) == before

    def test_no_room_for_the_record(self, small_disk: Path):
        filler = small_disk / ".git" / "filler"
        with pytest.raises(OSError, match="No space"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
        with pytest.raises(UsageError, match="No space left on device"):
            begin(small_disk)
        filler.unlink()
        begin(small_disk).finish(kept=False)

    def test_no_room_to_put_back_is_no_end(self, small_disk: Path):
        (small_disk / "big").write_bytes(bytes(700_000))
        before = on_disk(small_disk)
        run = begin(small_disk)
        (small_disk / "big").unlink()
        filler = small_disk / ".git" / "filler"
        with pytest.raises(OSError, match="No space"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
        with pytest.raises(UsageError, match="No space left on device"):
            run.restore()
        filler.unlink()
        run.finish(kept=False)
        assert on_disk(small_disk) == before

    def test_a_disk_that_is_read_only(self, small_disk: Path):
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        with pytest.raises(UsageError, match=r"cannot be kept safe: Read-only file system"):
            begin(small_disk)


def test_a_huge_file_is_streamed(project: Path):
    size = 80_000_000
    with (project / "huge").open("wb") as file:
        file.truncate(size)
    code = """if True:
        import resource, sys
        from pathlib import Path
        from qwencode.snapshots import Run
        from qwencode.workspace import Workspace
        resource.setrlimit(resource.RLIMIT_DATA, (60_000_000, 60_000_000))
        run = Run.begin(Workspace.find(Path(sys.argv[1])), "s")
        Path(sys.argv[1], "huge").unlink()
        run.finish(kept=False)
    """
    done = subprocess.run([sys.executable, "-c", code, str(project)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (project / "huge").stat().st_size == size


def test_a_look_trusts_an_earlier_one_only_when_it_must_be_true(project: Path):
    private = project / ".git"
    time.sleep(0.05)  # longer than two changes of a file may share a time stamp
    known = take(project, private, private / "index")
    wrong = replace(known.files["run.sh"], oid=known.files["src/main.py"].oid)
    known = replace(known, files={**known.files, "run.sh": wrong})
    assert take(project, private, private / "index", known=known).files["run.sh"] == wrong  # not read again
    too_soon = replace(known, taken=(project / "run.sh").stat().st_ctime_ns)
    assert take(project, private, private / "index", known=too_soon).files["run.sh"] != wrong
    old = (project / "run.sh").stat()
    (project / "run.sh").write_bytes(b"#!/bin/ls\n")
    os.utime(project / "run.sh", ns=(old.st_atime_ns, old.st_mtime_ns))
    assert take(project, private, private / "index", known=known).files["run.sh"] != wrong


def test_the_commands_of_the_documentation_do_what_it_says(project: Path):
    text = (Path(__file__).parents[2] / "docs" / "safety.md").read_text()
    block = text.split("```sh\n")[1].split("```")[0].replace("RUN", "20260101-000000-aaaa").replace("FILE", "run.sh")
    kept, changed, did, one, every, staged, forget = (line.split("#")[0].strip() for line in block.splitlines())
    before, users = on_disk(project), of_git(project)
    run = begin(project)
    (project / "run.sh").write_bytes(b"by the run\n")
    (project / "src" / "secret.txt").unlink()
    run.finish(kept=True)

    def shell(command: str) -> str:
        done = subprocess.run(command, shell=True, cwd=project, capture_output=True, text=True, check=True)
        return done.stdout

    assert shell(kept).count("tree\trefs/qwencode/main/") == 3
    assert "+by the run" in shell(changed)
    assert "+by the run" in shell(did)
    shell(one)
    assert (project / "run.sh").read_bytes() == b"#!/bin/sh\n"
    shell(every)
    (project / "src" / "secret.txt").chmod(0o600)  # git knows no more of permissions than "executable"
    assert on_disk(project) == before
    git(project, "add", "--all")
    shell(staged)
    assert git(project, "status", "--porcelain=v2", "--branch", "-z") == users["status"]
    shell(forget)
    assert not git(project, "for-each-ref", "refs/qwencode")
    assert not (project / ".git" / "qwencode").exists()
    begin(project).finish(kept=False)
