"""Going back over several runs and forth again, with a user who works in between."""

from collections.abc import Callable
from pathlib import Path

import pytest

from qwencode.snapshots import Conflicts, Run, change, move, undo
from qwencode.snapshots.journal import KEPT_SESSIONS, Journal
from qwencode.workspace import Workspace

Turn = Callable[[str, dict[str, str | None]], None]


@pytest.fixture
def root(repository: Path, run_git: Callable[..., str]) -> Path:
    (repository / "a.txt").write_text("a0\n")
    (repository / "b.txt").write_text("b0\n")
    run_git(repository, "add", ".")
    run_git(repository, "commit", "-qm", "Two files")
    return repository


@pytest.fixture
def workspace(root: Path) -> Workspace:
    return Workspace.find(root)


@pytest.fixture
def turn(workspace: Workspace) -> Turn:
    """Return a function that gives files their texts within a run of a name; None removes a file."""

    def work(name: str, files: dict[str, str | None]) -> None:
        run = Run.begin(workspace, "talk", name)
        for file, text in files.items():
            path = workspace.root / file
            path.unlink() if text is None else (path.parent.mkdir(exist_ok=True), path.write_text(text))
        run.finish(kept=True)

    return work


def texts(root: Path) -> dict[str, str]:
    found = (path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(root)): path.read_text() for path in found}


def test_back_over_several_and_forth_again(root: Path, workspace: Workspace, turn: Turn):
    states = [texts(root)]
    for name, files in (
        ("t1", {"a.txt": "a1\n", "new/c.txt": "c1\n"}),
        ("t2", {"a.txt": "a2\n", "b.txt": None}),
        ("t3", {"new/c.txt": "c3\n", "b.txt": "b3\n"}),
    ):
        turn(name, files)
        states.append(texts(root))
    assert move(workspace, ["t3", "t2"], "back").files == ("a.txt", "b.txt", "new/c.txt")
    assert texts(root) == states[1]
    assert move(workspace, ["t1"], "back").files == ("a.txt", "new/c.txt")
    assert texts(root) == states[0] and not (root / "new").exists()
    move(workspace, ["t1", "t2", "t3"], "forth")
    assert texts(root) == states[3]
    assert move(workspace, ["t1"], "forth").files == (), "it is done already"


def test_what_the_user_has_changed_is_kept(root: Path, workspace: Workspace, turn: Turn):
    turn("t1", {"a.txt": "a1\n", "b.txt": "b1\n"})
    (root / "a.txt").write_text("mine\n")
    with pytest.raises(Conflicts, match=r"changed a\.txt since; nothing was done") as stop:
        move(workspace, ["t1"], "back")
    assert stop.value.files == ("a.txt",)
    assert texts(root) == {"a.txt": "mine\n", "b.txt": "b1\n"}
    moved = move(workspace, ["t1"], "back", force=True)
    assert texts(root) == {"a.txt": "a0\n", "b.txt": "b0\n"}
    from qwencode.workspace import git

    assert git(root, "cat-file", "blob", f"{moved.kept}:a.txt") == b"mine\n"


def test_a_change_between_two_runs_is_seen(root: Path, workspace: Workspace, turn: Turn):
    turn("t1", {"a.txt": "a1\n"})
    (root / "a.txt").write_text("mine\n")
    turn("t2", {"a.txt": "a2\n"})
    with pytest.raises(Conflicts):
        move(workspace, ["t2", "t1"], "back")
    assert texts(root)["a.txt"] == "a2\n"
    move(workspace, ["t2"], "back")
    assert texts(root)["a.txt"] == "mine\n"


def test_other_files_of_the_user_are_left_alone(root: Path, workspace: Workspace, turn: Turn):
    turn("t1", {"a.txt": "a1\n"})
    (root / "b.txt").write_text("mine\n")
    turn("t2", {"a.txt": "a2\n"})
    (root / "mine.txt").write_text("mine\n")
    move(workspace, ["t2", "t1"], "back")
    assert texts(root) == {"a.txt": "a0\n", "b.txt": "mine\n", "mine.txt": "mine\n"}


def test_a_folder_in_the_way_is_never_removed(root: Path, workspace: Workspace, turn: Turn):
    turn("t1", {"a.txt": None})
    (root / "a.txt").mkdir()
    (root / "a.txt" / "mine.txt").write_text("mine\n")
    with pytest.raises(Conflicts):
        move(workspace, ["t1"], "back", force=True)
    assert (root / "a.txt" / "mine.txt").read_text() == "mine\n"


def test_begun_and_cut_off_it_can_be_done_again(root: Path, workspace: Workspace, turn: Turn):
    turn("t1", {"a.txt": "a1\n", "b.txt": "b1\n"})
    turn("t2", {"a.txt": "a2\n"})
    (root / "a.txt").write_text("a0\n")  # as far as it had come
    move(workspace, ["t2", "t1"], "back")
    assert texts(root) == {"a.txt": "a0\n", "b.txt": "b0\n"}


def test_the_change_of_a_session_is_that_of_its_files(root: Path, workspace: Workspace, turn: Turn):
    turn("t1", {"a.txt": "a1\n"})
    (root / "b.txt").write_text("mine\n")
    turn("t2", {"a.txt": "a2\n", "c.txt": "c2\n"})
    diff, files = change(workspace, ["t1", "t2"])
    assert files == ("a.txt", "c.txt")
    assert "-a0\n+a2\n" in diff and "+c2" in diff and "mine" not in diff
    undo(workspace)
    assert change(workspace, ["t1", "t2"])[1] == ("a.txt",)
    move(workspace, ["t1"], "back")
    assert change(workspace, ["t1", "t2"]) == ("", ())


@pytest.mark.slow
def test_all_the_runs_of_a_session_are_kept(root: Path, workspace: Workspace, turn: Turn):
    for number in range(KEPT_SESSIONS + 5):
        turn(f"t{number}", {"a.txt": f"{number}\n"})
    assert len(Journal(workspace).ended()) == KEPT_SESSIONS + 5
