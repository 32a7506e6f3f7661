"""The hook through plain git: next to another hook, in work trees, at merges, rebases and amendments, and taken out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hook_ground import program, run, tree
from review_ground import write_files
from seeded_changes import CALC, PROJECT, edit

from qwencode.errors import UsageError
from qwencode.review import installed
from qwencode.review.repository import Repository

Git = Callable[..., str]
QUICK = ("--only", "conflicts", "--only", "syntax", "--only", "leftovers", "--only", "secrets", "--only", "weakened")
DEBUG = edit(CALC, "    return result", "    breakpoint()\n    return result")
FOUND = "error: `breakpoint()` stops the program in a debugger."

HUSKY = """\
#!/usr/bin/env sh
n=$(basename "$0")
s=$(dirname "$(dirname "$0")")/$n
[ ! -f "$s" ] && exit 0
sh -e "$s" "$@"
"""


@pytest.fixture
def qwencode(tmp_path: Path) -> str:
    return str(program(tmp_path / "my bin") / "qwencode")


@pytest.fixture
def home(repository: Path, run_git: Git) -> Path:
    """Return a repository at a path with a blank and a letter that is not ASCII, with a first commit."""
    root = repository.parent / "ein Größenprojekt"
    repository.rename(root)
    run_git(root, "config", "user.name", "Test")
    run_git(root, "config", "user.email", "test@example.invalid")
    run_git(root, "config", "commit.gpgsign", "false")
    write_files(root, {**PROJECT, "Ordner mit Blank/größe.py": CALC})
    run_git(root, "add", "--all")
    run_git(root, "commit", "-qm", "Calc")
    return root


def hooks(root: Path) -> dict[str, tuple[int, bytes]]:
    folder = root / ".git" / "hooks"
    return (
        {path.name: (path.lstat().st_mode, path.read_bytes()) for path in folder.glob("*")} if folder.exists() else {}
    )


def own(root: Path, qwencode: str) -> None:
    """Let the installed hook start the package under test, whichever one the installer found."""
    path = root / ".git" / "hooks" / "pre-commit"
    lines = path.read_text().splitlines()
    command = next(line for line in lines if line.startswith("exec "))
    options = command.partition(" hook")[2]
    kept = [line for line in lines if not line.startswith("exec ")]
    path.write_text("\n".join([*kept[:-4], f"exec '{qwencode}' hook{options}"]) + "\n")


def install(root: Path, qwencode: str, *options: str) -> str:
    done = run(root, qwencode, "hook", "install", *QUICK, *options)
    assert done.code == 0, done.out
    own(root, qwencode)
    return done.out


@pytest.mark.slow
def test_in_and_out_without_a_trace(home: Path, qwencode: str):
    before = hooks(home)
    assert run(home, qwencode, "hook", "status").code == 1
    install(home, qwencode, "--seconds", "7", "--strict")
    status = run(home, qwencode, "hook", "status")
    assert status.code == 0
    assert "--seconds 7 --strict" in status.out
    assert run(home, qwencode, "hook", "install").code == 0  # again, with other options
    assert "--strict" not in run(home, qwencode, "hook", "status").out
    assert run(home, qwencode, "hook", "uninstall").code == 0
    assert hooks(home) == before
    assert "There is no hook of qwencode" in run(home, qwencode, "hook", "uninstall").out


@pytest.mark.slow
def test_a_hooks_directory_that_was_not_there_goes_again(home: Path, qwencode: str):
    for path in (home / ".git" / "hooks").glob("*"):
        path.unlink()
    (home / ".git" / "hooks").rmdir()
    run(home, qwencode, "hook", "install")
    run(home, qwencode, "hook", "install", "--strict")
    assert hooks(home)
    run(home, qwencode, "hook", "uninstall")
    assert not (home / ".git" / "hooks").exists()


@pytest.mark.slow
def test_an_existing_hook_runs_first_and_its_refusal_stands(home: Path, run_git: Git, qwencode: str):
    (home / ".git" / "hooks").mkdir(exist_ok=True)
    other = home / ".git" / "hooks" / "pre-commit"
    other.write_text('#!/bin/sh\necho "theirs in $(pwd)"\n[ ! -e refuse ] || exit 7\n')
    other.chmod(0o755)
    before = hooks(home)
    said = install(home, qwencode)
    assert "pre-commit.before-qwencode runs before it" in said
    (home / "Ordner mit Blank" / "größe.py").write_text(DEBUG)
    run_git(home, "add", "--all")
    (home / "refuse").touch()
    done = run(home, "git", "commit", "-m", "No")
    assert done.code == 1
    assert FOUND not in done.out
    (home / "refuse").unlink()
    done = run(home, "git", "commit", "-m", "Yes")
    assert done.code == 0, done.out
    assert f"theirs in {home}" in done.out
    assert f"Ordner mit Blank/größe.py:8: {FOUND}" in done.out
    run(home, qwencode, "hook", "uninstall")
    assert hooks(home) == before


def test_the_index_that_git_names_is_taken(home: Path, run_git: Git, qwencode: str):
    install(home, qwencode)
    (home / "calc.py").write_text(DEBUG)
    (home / "test_calc.py").write_text("breakpoint()\n")
    run_git(home, "add", "test_calc.py")
    before = tree(home)
    done = run(home, "git", "commit", "-m", "One file alone", "calc.py")
    assert done.code == 0, done.out
    assert f"calc.py:8: {FOUND}" in done.out
    assert "test_calc.py" not in done.out
    assert tree(home) == before
    assert "test_calc.py" in run_git(home, "diff", "--cached", "--name-only")
    (home / "Ordner mit Blank" / "größe.py").write_text(DEBUG)
    done = run(home / "Ordner mit Blank", "git", "commit", "-a", "-m", "All that is tracked")
    assert f"Ordner mit Blank/größe.py:8: {FOUND}" in done.out
    assert "test_calc.py:1" in done.out
    (home / "calc.py").write_text(CALC)
    done = run(home, "git", "commit", "-a", "--amend", "--no-edit")
    assert done.code == 0
    assert "calc.py:8" not in done.out.replace("größe.py:8", "")


@pytest.mark.slow
def test_in_a_linked_work_tree(home: Path, run_git: Git, qwencode: str):
    install(home, qwencode)
    linked = home.parent / "zweiter Baum"
    run_git(home, "worktree", "add", "-q", str(linked), "-b", "side")
    (linked / "calc.py").write_text(DEBUG)
    (home / "calc.py").write_text("this is not Python at all (\n")
    run_git(home, "add", "--all")
    run_git(linked, "add", "--all")
    done = run(linked, "git", "commit", "-m", "There")
    assert done.code == 0, done.out
    assert f"calc.py:8: {FOUND}" in done.out
    assert "Syntax" not in done.out


def test_a_merge_is_blamed_for_its_own_lines_alone(home: Path, run_git: Git, qwencode: str):
    run_git(home, "switch", "-qc", "topic")
    write_files(
        home, {"theirs.py": "breakpoint()\n", "calc.py": edit(DEBUG, "best = values[0]", "best = values[0]  # T")}
    )
    run_git(home, "add", "--all")
    run_git(home, "commit", "-qm", "Theirs")
    run_git(home, "switch", "-q", "main")
    (home / "calc.py").write_text(edit(CALC, "best = values[0]", "best = values[0]  # M"))
    run_git(home, "commit", "-qam", "Mine")
    install(home, qwencode)
    assert run(home, "git", "merge", "topic").code == 1
    (home / "calc.py").write_text(edit(DEBUG, "best = values[0]", "best = values[0]\n    import pdb; pdb.set_trace()"))
    run_git(home, "add", "--all")
    done = run(home, "git", "commit", "-m", "Merge")
    assert done.code == 0, done.out
    assert "calc.py:20: error: `set_trace()` stops" in done.out
    assert "calc.py:8" not in done.out
    assert "theirs.py" not in done.out


@pytest.mark.slow
def test_markers_of_a_merge_are_found(home: Path, run_git: Git, qwencode: str):
    run_git(home, "switch", "-qc", "topic")
    (home / "calc.py").write_text(edit(CALC, "best = values[0]", "best = values[0]  # T"))
    run_git(home, "commit", "-qam", "Theirs")
    run_git(home, "switch", "-q", "main")
    (home / "calc.py").write_text(edit(CALC, "best = values[0]", "best = values[0]  # M"))
    run_git(home, "commit", "-qam", "Mine")
    install(home, qwencode, "--strict")
    run(home, "git", "merge", "topic")
    run_git(home, "add", "--all")
    done = run(home, "git", "commit", "-m", "Merge")
    assert done.code == 1
    assert "A merge conflict is not resolved" in done.out


@pytest.mark.slow
def test_in_the_middle_of_a_rebase(home: Path, run_git: Git, qwencode: str):
    (home / "one.py").write_text("x = 1\n")
    run_git(home, "add", "--all")
    run_git(home, "commit", "-qm", "One")
    (home / "two.py").write_text("y = 1\n")
    run_git(home, "add", "--all")
    run_git(home, "commit", "-qm", "Two")
    install(home, qwencode)
    todo = "sed -i '1s/^pick/edit/'"
    assert run(home, "git", "rebase", "-i", "HEAD~2", GIT_SEQUENCE_EDITOR=todo).code == 0
    (home / "one.py").write_text("breakpoint()\n")
    run_git(home, "add", "--all")
    done = run(home, "git", "commit", "--amend", "--no-edit")
    assert done.code == 0, done.out
    assert f"one.py:1: {FOUND}" in done.out
    assert run(home, "git", "rebase", "--continue").code == 0
    assert run_git(home, "log", "--format=%s", "-2").split() == ["Two", "One"]


@pytest.mark.slow
def test_core_hooks_path_is_respected(home: Path, run_git: Git, qwencode: str, own_directories: Path):
    run_git(home, "config", "core.hooksPath", "build/hooks dir")
    done = run(home, qwencode, "hook", "install", *QUICK)
    assert (home / "build" / "hooks dir" / "pre-commit").exists(), done.out
    run(home, qwencode, "hook", "uninstall")
    assert not (home / "build" / "hooks dir").exists()
    run_git(home, "config", "--unset", "core.hooksPath")
    settings = own_directories / "gitconfig"
    settings.write_text(f"[core]\n\thooksPath = {own_directories}/all hooks\n")
    done = run(home, qwencode, "hook", "install", GIT_CONFIG_GLOBAL=str(settings))
    assert done.code == 2
    assert "the hooks of all repositories; nothing was changed" in done.out
    assert not (own_directories / "all hooks").exists()


def test_huskys_hooks_are_left_to_husky(home: Path, run_git: Git):
    """As husky 9 lays them out: the hook in `_` goes by its own name to the script above it."""
    folder = home / ".husky"
    write_files(home, {".husky/_/h": HUSKY, ".husky/_/pre-commit": '. "$(dirname "$0")/h"\n'})
    write_files(home, {".husky/pre-commit": "echo theirs >&2\n# qwencode would be nice\n"})
    (folder / "_" / "pre-commit").chmod(0o755)
    run_git(home, "config", "core.hooksPath", ".husky/_")
    repository, before = Repository.find(home), tree(home)
    with pytest.raises(
        UsageError, match=r"nothing was changed\. Instead add this line to .*/\.husky/pre-commit: "
    ) as no:
        installed.install(repository, ["/bin/qwencode"], ["--strict"])
    assert str(no.value).endswith("/.husky/pre-commit: qwencode hook --strict")
    assert tree(home) == before
    assert "theirs" in run(home, "git", "commit", "--allow-empty", "-m", "x").out
    found = installed.status(repository)
    assert found.state == "absent" and "Add this line to" in found.text
    assert "There is no hook of qwencode" in installed.uninstall(repository)
    (folder / "pre-commit").write_text("echo theirs\nqwencode hook --strict\n")
    found = installed.status(repository)
    assert (found.state, found.kept) == ("chained", folder / "pre-commit")
    assert "names qwencode already" in installed.install(repository, ["/bin/qwencode"], ["--strict"])
    with pytest.raises(UsageError, match="Take that line out"):
        installed.uninstall(repository)


def test_ours_that_switched_husky_off_can_be_taken_out(home: Path, run_git: Git):
    write_files(home, {"dev/_/h": HUSKY, "dev/_/pre-commit": '. "$(dirname "$0")/h"\n', "dev/pre-commit": "exit 3\n"})
    before = tree(home)
    repository = Repository.find(home)
    run_git(home, "config", "core.hooksPath", "dev/other")
    installed.install(repository, ["/bin/qwencode"], [])
    (home / "dev" / "_" / "pre-commit").rename(home / "dev" / "_" / installed.ASIDE)
    (home / "dev" / "other" / "pre-commit").rename(home / "dev" / "_" / "pre-commit")
    (home / "dev" / "other").rmdir()
    run_git(home, "config", "core.hooksPath", "dev/_")
    with pytest.raises(
        UsageError, match=r"Instead take ours out of there \(qwencode hook uninstall\) and add this line"
    ):
        installed.install(repository, ["/bin/qwencode"], [])
    installed.uninstall(repository)
    assert tree(home) == before


@pytest.mark.slow
def test_a_program_that_is_gone_keeps_nobody_from_committing(home: Path, run_git: Git, qwencode: str):
    run(home, qwencode, "hook", "install")
    path = home / ".git" / "hooks" / "pre-commit"
    text = path.read_text()
    name = next(line for line in text.splitlines() if line.startswith("exec ")).split(" hook")[0].removeprefix("exec ")
    path.write_text(text.replace(name.strip("'"), "/nowhere/qwencode"))
    (home / "calc.py").write_text(DEBUG)
    done = run(home, "git", "commit", "-am", "Anyway")
    assert done.code == 0
    assert "qwencode is not at /nowhere/qwencode any more" in done.out


@pytest.mark.slow
def test_a_repository_whose_directory_is_elsewhere(home: Path, run_git: Git, qwencode: str, tmp_path: Path):
    """As people keep their dot files: git's directory and the work tree are named, neither is found by looking."""
    where = tmp_path / "dotfiles.git"
    (home / ".git").rename(where)
    git = ("git", f"--git-dir={where}", f"--work-tree={home}")
    hook = where / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nexec '{qwencode}' hook {' '.join(QUICK)}\n")
    hook.chmod(0o755)
    (home / "calc.py").write_text(DEBUG)
    done = run(home, *git, "commit", "-am", "Dots")
    assert done.code == 0, done.out
    assert f"calc.py:8: {FOUND}" in done.out
