"""The practice ground: what each task file states is what the tests of its repository say."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from qwencode import practice
from qwencode.errors import UsageError

NAMES = practice.names()
NO_NODE = "node is not installed; the JavaScript repositories need it"
QUIET = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "LC_ALL": "C.UTF-8"}
PYTEST = ("python", "-m", "pytest")
UNITTEST = ("python", "-m", "unittest")
NODE = ("node", "--test")


def run(command: list[str], folder: Path) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "GIT_", "NODE_"))} | QUIET
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def outcomes(task: practice.Task, folder: Path) -> tuple[set[str], set[str]]:
    """Run the tests of a copy; returns the ids of those that failed and of those that passed."""
    if task.test == PYTEST:
        options = ["-p", "no:cacheprovider", "-q", "-rA", "--tb=no", f"--basetemp={folder.parent / 'temporary'}"]
        output = run([sys.executable, *PYTEST[1:], *options], folder)
        return (
            set(re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)),
            {line.removeprefix("PASSED ") for line in output.splitlines() if line.startswith("PASSED ")},
        )
    if task.test == UNITTEST:
        output = run([sys.executable, *UNITTEST[1:], "-v"], folder)
        return (
            set(re.findall(r"^(?:FAIL|ERROR): \S+ \((\S+)\)", output, re.MULTILINE)),
            set(re.findall(r"^\S+ \((\S+)\) \.\.\. ok$", output, re.MULTILINE)),
        )
    assert task.test == NODE
    if not shutil.which("node"):
        pytest.skip(NO_NODE)
    output = run([*NODE, "--test-reporter=tap"], folder)
    top = [re.findall(rf"^{mark} \d+ - (.*)$", output, re.MULTILINE) for mark in ("not ok", "ok")]
    return set(top[0]), set(top[1])


def changed_files(task: practice.Task) -> set[str]:
    return set(re.findall(r"^(?:---|\+\+\+) [ab]/(.+)$", task.solution, re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_the_seeded_bug_and_its_repair(name: str, tmp_path: Path):
    task, folder = practice.task(name), practice.copy(name, tmp_path / name)
    failed, passed = outcomes(task, folder)
    assert failed == set(task.failing)
    assert len(passed) == task.tests - len(failed)
    subprocess.run(["git", "apply", "-"], cwd=folder, input=task.solution, text=True, check=True)
    assert outcomes(task, folder) == (set(), failed | passed)
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True)
    assert {line[3:] for line in changed.stdout.splitlines()} == changed_files(task)


@pytest.mark.parametrize("name", NAMES)
def test_the_task_file_is_complete(name: str):
    task = practice.task(name)
    empty = {field.name for field in fields(task) if field.name != "search" and not getattr(task, field.name)}
    assert not empty
    assert 1 <= len(task.failing) <= 4
    assert task.tests >= 12
    assert task.file in changed_files(task)
    assert (practice.ground() / name / task.file).is_file()
    assert all("test" not in file for file in changed_files(task))
    assert task.function.split(".")[-1] in (practice.ground() / name / task.file).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_repository_has_the_size_of_a_small_library(name: str):
    folder = practice.ground() / name
    sources = [
        path
        for path in folder.rglob("*")
        if path.suffix in (".py", ".js") and not re.search("tests?/", path.as_posix())
    ]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in sources)
    assert len(sources) >= 3
    assert 120 <= lines <= 400
    assert (folder / "README.md").is_file()
    assert not list(folder.rglob(".git"))


def test_every_repository_has_a_task_and_every_task_a_repository():
    ground = practice.ground()
    folders = {path.name for path in ground.iterdir() if path.is_dir()} - {"tasks"}
    assert folders == set(NAMES)
    assert {path.stem for path in (ground / "tasks").glob("*.diff")} == set(NAMES)


def test_there_is_work_for_search_and_for_the_agent():
    tasks = [practice.task(name) for name in NAMES]
    assert len(tasks) >= 10
    assert sum(task.search for task in tasks) >= 6
    assert sum(not task.search and task.language == "python" for task in tasks) >= 3
    assert any(task.language == "javascript" for task in tasks)
    assert any(task.test == UNITTEST for task in tasks)


def test_unknown_names_are_answered_with_the_list(tmp_path: Path):
    for name in ("nope", "tasks", "", "../sandbox", "README"):
        with pytest.raises(UsageError, match="pennywise"):
            practice.task(name)
        with pytest.raises(UsageError, match="pennywise"):
            practice.copy(name, tmp_path / "copy")
    assert not list(tmp_path.iterdir())


def test_a_copy_does_not_overwrite(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="not an empty directory"):
        practice.copy("sluice", tmp_path)
    with pytest.raises(UsageError, match="not an empty directory"):
        practice.copy("sluice", tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be copied to"):
        practice.copy("sluice", tmp_path / "file" / "copy")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_copy_is_one_clean_commit_on_main(tmp_path: Path):
    folder = practice.copy("sluice", tmp_path / "a" / "b")
    assert folder == (tmp_path / "a" / "b").resolve()
    assert git(folder, "log", "--format=%an <%ae> %s") == "Practice <practice@localhost> sluice: practice repository"
    assert git(folder, "branch", "--show-current") == "main"
    assert git(folder, "status", "--porcelain") == ""
    original = practice.ground() / "sluice"
    kept = {path.relative_to(original).as_posix() for path in original.rglob("*") if path.is_file()}
    assert {name for name in kept if "__pycache__" not in name and ".pytest_cache" not in name} == set(
        git(folder, "ls-files").split()
    )


def test_caches_and_solutions_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ground = tmp_path / "ground"
    shutil.copytree(practice.ground() / "tasks", ground / "tasks")
    shutil.copytree(practice.ground() / "sluice", ground / "sluice", dirs_exist_ok=True)
    for name in ("__pycache__/x.pyc", ".pytest_cache/v/lastfailed", "sluice/__pycache__/y.cpython-311.pyc"):
        (ground / "sluice" / name).parent.mkdir(parents=True, exist_ok=True)
        (ground / "sluice" / name).write_text("stale", encoding="utf-8")
    monkeypatch.setattr(practice, "ground", lambda: ground)
    folder = practice.copy("sluice", tmp_path / "copy")
    names = {path.name for path in folder.rglob("*") if ".git" not in path.parts}
    assert not names & {"__pycache__", ".pytest_cache", "tasks", "sluice.toml", "sluice.diff"}
    assert not [name for name in names if name.endswith((".pyc", ".diff"))]


def test_the_users_git_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plain = git(practice.copy("sluice", tmp_path / "plain"), "rev-parse", "HEAD")
    home, template = tmp_path / "home", tmp_path / "template"
    for folder in (home / ".config" / "git", template / "hooks"):
        folder.mkdir(parents=True)
    (template / "hooks" / "pre-commit").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (template / "hooks" / "pre-commit").chmod(0o755)
    (home / ".config" / "git" / "ignore").write_text("*.py\n", encoding="utf-8")
    (home / ".config" / "git" / "attributes").write_text("* text eol=crlf\n", encoding="utf-8")
    (home / ".gitconfig").write_text(
        f"[init]\ntemplateDir = {template}\ndefaultBranch = trunk\ndefaultObjectFormat = sha256\n"
        f"[core]\nhooksPath = {template}/hooks\nautocrlf = true\n[user]\nname = Someone\nemail = a@b\nsigningKey = x\n"
        "[commit]\ngpgSign = true\n",
        encoding="utf-8",
    )
    for key, value in {"HOME": home, "GIT_DIR": tmp_path / "elsewhere", "GIT_AUTHOR_NAME": "Someone"}.items():
        monkeypatch.setenv(key, str(value))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    folder = practice.copy("sluice", tmp_path / "copy")
    monkeypatch.delenv("GIT_DIR")
    assert git(folder, "rev-parse", "HEAD") == plain
    assert not (tmp_path / "elsewhere").exists()
    assert not (folder / ".git" / "hooks").exists()


def test_the_ground_travels_with_the_package():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"sandbox": "qwencode/practice_ground"}
