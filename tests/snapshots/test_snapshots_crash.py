"""After a crash: what is said, what is kept of the user's, and when the tree is left alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from snapshot_ground import begin, git, of_git, on_disk

from qwencode.errors import UsageError
from qwencode.snapshots import recover, undo
from qwencode.workspace import Workspace


def crash(root: Path, change: str) -> None:
    """Begin a run in another process, make a change there, and kill it."""
    code = f"""if True:
        import os
        from pathlib import Path
        from qwencode.snapshots import Run
        from qwencode.workspace import Workspace
        root = Path({str(root)!r})
        run = Run.begin(Workspace.find(root), "cut-off")
        {change}
        os.kill(os.getpid(), {signal.SIGKILL})
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


EDIT = '(root / "src/main.py").write_bytes(b"by the run")'


def test_nothing_to_recover(project: Path):
    assert recover(Workspace.find(project)) is None
    with begin(project):
        assert recover(Workspace.find(project)) is None


def test_what_a_killed_run_did_is_put_back_and_kept(project: Path):
    before, users = on_disk(project), of_git(project)
    crash(project, EDIT)
    (project / "later").write_bytes(b"by the user")
    with pytest.raises(UsageError, match=r"cut-off was interrupted here.*qwencode undo"):
        begin(project)
    sentence = recover(Workspace.find(project))
    assert sentence
    assert "The run cut-off was interrupted; as before it are later, src/main.py." in sentence
    assert (on_disk(project), of_git(project)) == (before, users)
    ref = sentence.split()[-1]
    git(project, "gc", "-q", "--prune=now")
    assert git(project, "show", f"{ref}:later") == b"by the user"
    assert git(project, "show", f"{ref}:src/main.py") == b"by the run"
    assert recover(Workspace.find(project)) is None


def test_a_file_of_the_users_that_the_run_has_hidden_is_kept_too(project: Path):
    crash(project, '(root / "src/.gitignore").write_bytes(b"*")')
    (project / "src" / "later").write_bytes(b"by the user")
    assert recover(Workspace.find(project))
    assert not (project / "src" / "later").exists()
    refs = git(project, "for-each-ref", "--format=%(refname)", "refs/qwencode/main/recovered").decode().split()
    assert git(project, "show", f"{refs[-1]}:src/later") == b"by the user"


def test_undo_takes_the_interrupted_run_and_only_it(project: Path):
    run = begin(project)
    (project / "kept").write_bytes(b"x")
    run.finish(kept=True)
    state = on_disk(project)
    crash(project, EDIT)
    assert "cut-off was interrupted" in undo(Workspace.find(project))
    assert on_disk(project) == state
    crash(project, "pass")
    assert "nothing to take back" in undo(Workspace.find(project))
    assert on_disk(project) == state
    undo(Workspace.find(project))
    assert not (project / "kept").exists()


def test_a_killed_run_that_changed_nothing_is_not_worth_a_word(project: Path):
    crash(project, "pass")
    assert recover(Workspace.find(project)) is None
    assert not git(project, "for-each-ref", "refs/qwencode")


def test_the_tree_is_left_alone_when_the_user_has_gone_on(project: Path):
    crash(project, EDIT)
    git(project, "commit", "-q", "-a", "-m", "I went on")
    state = on_disk(project)
    sentence = recover(Workspace.find(project))
    assert sentence
    assert "HEAD has moved since: your files are left as they are" in sentence
    assert on_disk(project) == state
    assert b"by the run" in git(project, "diff", sentence.split()[-1])
    begin(project).finish(kept=False)


def test_an_undo_that_was_cut_off_goes_on(project: Path):
    before = on_disk(project)
    run = begin(project)
    for name in ("src/main.py", "src/unix.txt", "run.sh"):
        (project / name).write_bytes(b"by the run")
    run.finish(kept=True)
    (project / "run.sh").write_bytes(b"#!/bin/sh\n")  # as undo leaves it, before it comes to the others
    (project / "run.sh").chmod(0o755)
    undo(Workspace.find(project))
    assert on_disk(project) == before


def test_the_lock_goes_with_the_process(project: Path):
    crash(project, EDIT)
    lock = project / ".git" / "qwencode" / "lock"
    assert lock.read_text().isdigit()
    assert int(lock.read_text()) != os.getpid()
    assert recover(Workspace.find(project))
