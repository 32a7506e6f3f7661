"""Whatever a run does to the files, and wherever it is killed, the tree comes back byte for byte."""

import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snapshot_ground import begin, git, of_git, on_disk, visible

from qwencode.snapshots import recover, undo
from qwencode.workspace import Workspace

NAMES = [
    b"a",
    b"d",
    b"d/a",
    b"d/e",
    b"d/e/f",
    b"two words",
    b"new\nline",
    b"caf\xe9",
    b'"q"',
    b"\\t",
    b"end\r",
    b"-x",
    b"git~1",
]
RULES = [b".gitignore", b"d/.gitignore"]
CONTENTS = [b"", b"one\n", b"one\r\ntwo\n", b"\0\xff", b"$Id$\n", b"*\n", b"a\n", b"/d/\n!a\n"]
MODES = [0o644, 0o755, 0o600, 0o400, 0o4755]


def write(root: Path, name: bytes, content: bytes) -> None:
    path = root / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def delete(root: Path, name: bytes) -> None:
    path = root / os.fsdecode(name)
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def change_mode(root: Path, name: bytes, mode: int) -> None:
    path = root / os.fsdecode(name)
    if not path.is_symlink():
        path.chmod(mode | (0o700 if path.is_dir() else 0))


def link(root: Path, name: bytes, target: bytes) -> None:
    with suppress(OSError):
        delete(root, name)
    (root / os.fsdecode(name)).symlink_to(os.fsdecode(target))


def rename(root: Path, name: bytes, other: bytes) -> None:
    (root / os.fsdecode(name)).rename(root / os.fsdecode(other))


def make_folder(root: Path, name: bytes) -> None:
    (root / os.fsdecode(name)).mkdir(parents=True)


def operations(names: list[bytes]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    name = st.sampled_from(names)
    one = st.one_of(
        st.tuples(st.just(write), name, st.sampled_from(CONTENTS)),
        st.tuples(st.just(write), name, st.binary(max_size=20)),
        st.tuples(st.just(delete), name),
        st.tuples(st.just(change_mode), name, st.sampled_from(MODES)),
        st.tuples(st.just(link), name, st.sampled_from([*names, b"..", b"nowhere", b"\xff"])),
        st.tuples(st.just(rename), name, name),
        st.tuples(st.just(make_folder), name),
    )
    return st.lists(one, max_size=12)


def carry_out(root: Path, plan: list[tuple[Any, ...]]) -> None:
    for operation, *arguments in plan:
        with suppress(OSError):  # what cannot be done in this state is not done
            operation(root, *arguments)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    git(root, "init", "-q")
    for name, content in ((b"a", b"one\n"), (b"d/a", b"two\r\n"), (b"d/e/f", b"\0")):
        write(root, name, content)
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", "Begin")
    return root


def fresh(template: Path) -> tempfile.TemporaryDirectory[str]:
    place = tempfile.TemporaryDirectory(prefix="snapshot-")
    shutil.copytree(template, place.name, symlinks=True, dirs_exist_ok=True)
    return place


Plan = list[tuple[Any, ...]]
a_few = settings(deadline=None, max_examples=15)
many = settings(deadline=None, max_examples=400)


def restore_is_the_inverse(template: Path, users: Plan, runs: Plan):
    with fresh(template) as place:
        root = Path(place)
        carry_out(root, users)
        before, users_git, there = visible(root), of_git(root), on_disk(root)
        run = begin(root)
        carry_out(root, runs)
        run.restore()
        clear_ignored(root, there)
        assert visible(root) == before
        run.finish(kept=False)
        assert (visible(root), of_git(root)) == (before, users_git)


def undo_walks_back(template: Path, users: Plan, runs: list[Plan]):
    with fresh(template) as place:
        root = Path(place)
        carry_out(root, users)
        users_git, states = of_git(root), [(visible(root), on_disk(root))]
        for plan in runs:
            run = begin(root)
            carry_out(root, plan)
            run.finish(kept=True)
            if visible(root) != states[-1][0]:
                states.append((visible(root), on_disk(root)))
        while len(states) > 1:
            assert visible(root) == states.pop()[0]
            undo(Workspace.find(root))
            clear_ignored(root, states[-1][1])
        clear_ignored(root, states[0][1])  # a run that made nothing else left nothing to undo
        assert (visible(root), of_git(root)) == (states[0][0], users_git)


def clear_ignored(root: Path, there: Collection[bytes]) -> None:
    """Remove the ignored files that a run made, which a restore leaves, and the directories that held only these."""
    seen = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split(b"\0")
    found = on_disk(root)
    for name in found.keys() - set(there) - set(seen):
        if not stat.S_ISDIR(found[name][0]):
            path = root / os.fsdecode(name)
            path.unlink()
            for folder in [folder for folder in path.parents if folder.is_relative_to(root) and folder != root]:
                if os.fsencode(folder.relative_to(root)) not in there and not any(folder.iterdir()):
                    folder.rmdir()


ANY = {"users": operations(NAMES + RULES), "runs": operations(NAMES + RULES)}
SEVERAL = {"users": operations(NAMES + RULES), "runs": st.lists(operations(NAMES), min_size=1, max_size=3)}
test_restore_is_the_inverse_of_anything = a_few(given(**ANY)(restore_is_the_inverse))
test_undo_walks_back_through_anything = a_few(given(**SEVERAL)(undo_walks_back))


STANDS_IN_PLACE = [  # all of it ignored, where a tracked directory was
    ([(link, b"d", b"a")], [[(write, b"a", b"")], [(delete, b"d")]]),
    ([(link, b"d", b"two words")], [[(link, b"two words", b"d")]]),
    ([(delete, b"d")], [[(write, b"d", b"")]]),
]


@pytest.mark.parametrize(("users", "runs"), STANDS_IN_PLACE)
def test_what_stands_where_tracked_files_were_is_kept_even_if_ignored(template: Path, users: Plan, runs: list[Plan]):
    everything: Plan = [(write, b".gitignore", b"*\n")]
    undo_walks_back(template, [*everything, *users], runs)
    restore_is_the_inverse(template, [*everything, *users], [step for run in runs for step in run])


def test_a_directory_that_a_run_moved_keeps_what_is_ignored_there(template: Path):
    restore_is_the_inverse(template, [(write, b".gitignore", b"a\n")], [(rename, b"d", b"two words")])


@pytest.mark.long
@pytest.mark.timeout(1800)
@many
@given(**ANY)
def test_restore_is_the_inverse_of_many_things(template: Path, users: Plan, runs: Plan):
    restore_is_the_inverse(template, users, runs)


@pytest.mark.long
@pytest.mark.timeout(1800)
@many
@given(**SEVERAL)
def test_undo_walks_back_through_many_things(template: Path, users: Plan, runs: list[Plan]):
    undo_walks_back(template, users, runs)


WORK = """
import os, random, sys
from pathlib import Path
from qwencode.snapshots import Run, undo
from qwencode.workspace import Workspace

root, seed, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
names = ["a", "d/a", "d/e/f", "run.sh", "new", "d/new", "gone/deep", b"caf\\xe9\\n".decode("utf-8", "surrogateescape")]

def change():
    for name in chance.sample(names, 5):
        path = root / name
        if path.is_symlink() or path.is_file():
            path.unlink()
        if chance.random() < 0.7:
            path.parent.mkdir(exist_ok=True)
            if chance.random() < 0.3:
                path.symlink_to("/etc/passwd")
            else:
                path.write_bytes(chance.randbytes(chance.choice([0, 10, 300_000])))
                path.chmod(chance.choice([0o600, 0o755]))

def work():
    run = Run.begin(Workspace.find(root), "work")
    change()
    if chance.random() < 0.5:
        run.restore()
        change()
        run.finish(kept=False)
    else:
        run.finish(kept=True)
        undo(Workspace.find(root))

if limit:  # die before the limit-th thing that is asked of the system
    left = limit
    def count(event, arguments):
        global left
        if event.startswith(("open", "os.", "subprocess", "shutil", "tempfile", "fcntl")):
            left -= 1
            if not left:
                os.kill(os.getpid(), 9)
    sys.addaudithook(count)
    work()
    print("the end", flush=True)
else:
    print("at work", flush=True)
    while True:
        work()
"""


def killed(root: Path, seed: int, *, limit: int = 0, seconds: float = 0.0) -> bool:
    """Let a process work on the tree and be killed; say whether that was before its end."""
    command = [sys.executable, "-c", WORK, str(root), str(seed), str(limit)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        if not limit:
            assert process.stdout and process.stdout.readline() == b"at work\n"
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            assert process.returncode is None, "the worker failed"
            process.kill()
        process.wait()
        assert process.returncode in (0, -signal.SIGKILL)
        return process.returncode != 0


def check_that_nothing_is_lost(root: Path, before: Any, *, by_undo: bool) -> None:
    workspace = Workspace.find(root)
    if by_undo:
        if on_disk(root) != before or (root / ".git" / "qwencode" / "open.json").exists():
            undo(workspace)
    elif recover(workspace) is None and on_disk(root) != before:
        undo(workspace)  # killed when the change was kept already, or while it was being taken back
    assert on_disk(root) == before
    begin(root).finish(kept=False)


def half_done(project: Path) -> Path:
    """Give the project the files that the worker works on, some staged and some not."""
    for name in (b"a", b"d/a", b"d/e/f"):
        write(project, name, b"committed\n")
    git(project, "add", "d")
    write(project, b"d/a", os.urandom(400_000))
    return project


MOMENTS = 20


@pytest.mark.slow
def test_killed_at_random_moments(project: Path):
    root = half_done(project)
    before, users = on_disk(root), of_git(root)
    chance = random.Random(20)
    for moment in range(MOMENTS):
        assert killed(root, moment, seconds=chance.uniform(0.0, 0.25))
        check_that_nothing_is_lost(root, before, by_undo=moment % 2 == 0)
        assert of_git(root) == users


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("seed", "step"),
    [
        pytest.param(1, 11, marks=pytest.mark.slow),
        *(pytest.param(seed, 1, marks=pytest.mark.long) for seed in (1, 2, 3, 4)),
    ],
)
def test_killed_before_each_thing_asked_of_the_system(project: Path, seed: int, step: int):
    root = half_done(project)
    before, users = on_disk(root), of_git(root)
    limit = 1
    while killed(root, seed, limit=limit):
        check_that_nothing_is_lost(root, before, by_undo=limit % 2 == 0)
        assert of_git(root) == users
        limit += step
    assert limit > 100


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_killed_at_many_random_moments(project: Path):
    root = half_done(project)
    before, users = on_disk(root), of_git(root)
    chance = random.Random(200)
    for moment in range(10 * MOMENTS):
        assert killed(root, moment, seconds=chance.uniform(0.0, 0.25))
        check_that_nothing_is_lost(root, before, by_undo=moment % 2 == 0)
    assert of_git(root) == users
