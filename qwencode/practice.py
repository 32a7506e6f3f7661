"""The practice ground: small repositories with a seeded bug each, to try the agent on."""

import os
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from qwencode.errors import UsageError

_DATE = "2026-01-01T00:00:00+00:00"
_GIT = (
    *("git", "-c", "core.hooksPath=/dev/null", "-c", "core.excludesFile=/dev/null", "-c", "core.autocrlf=false"),
    *("-c", "core.attributesFile=/dev/null", "-c", "commit.gpgSign=false", "-c", "core.fsmonitor=false"),
)
_LEFT_OUT = (".git", "__pycache__", ".pytest_cache", ".hypothesis", ".ruff_cache", "*.pyc", "node_modules")


@dataclass(frozen=True, slots=True)
class Task:
    """What is wrong with one practice repository and how a repair is judged. Never part of the copy."""

    name: str
    title: str
    language: str
    issue: str
    """The complaint as a user would write it."""
    test: tuple[str, ...]
    """The test command; its first word is an interpreter to be looked up."""
    failing: tuple[str, ...]
    """Ids of the tests that fail because of the bug, as the runner names them; all others pass."""
    tests: int
    """How many tests there are in all."""
    file: str
    function: str
    bug: str
    search: bool
    """Whether search repair can be expected to mend it."""
    why: str
    """Why search can, or cannot."""
    solution: str
    """A reference repair as a unified diff with a/ and b/ prefixes."""


def ground() -> Path:
    """Return the folder of the practice repositories: inside the installed package, or `sandbox/` of a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "practice_ground", package.parent / "sandbox"):
        if (folder / "tasks").is_dir():
            return folder
    raise UsageError(f"The practice repositories are missing beside {package}. Install qwencode again.")


def names() -> list[str]:
    """List the practice repositories, sorted."""
    return sorted(path.stem for path in (ground() / "tasks").glob("*.toml"))


def task(name: str) -> Task:
    """Read the task file of a practice repository. Raises UsageError for an unknown name."""
    if name not in names():
        raise UsageError(f"There is no practice repository {name!r}. There are: {', '.join(names())}.")
    path = ground() / "tasks" / f"{name}.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return Task(
        name=name,
        title=data["title"],
        language=data["language"],
        issue=data["issue"],
        test=tuple(data["judge"]["test"]),
        failing=tuple(data["judge"]["failing"]),
        tests=data["judge"]["tests"],
        file=data["bug"]["file"],
        function=data["bug"]["function"],
        bug=data["bug"]["summary"],
        search=data["search"]["expected"],
        why=data["search"]["why"],
        solution=path.with_suffix(".diff").read_text(encoding="utf-8"),
    )


def copy(name: str, target: Path) -> Path:
    """Copy a practice repository to `target` and make it a git repository with one commit on `main`.

    `target` must not exist or be an empty directory. The commit is the same on every machine: fixed identity and date,
    and nothing of the user's git configuration, templates or hooks. Returns the resolved target. Raises UsageError.
    """
    task(name)
    target = target.resolve()
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(f"{target} exists and is not an empty directory; name another place for the copy.")
        left_out = shutil.ignore_patterns(*_LEFT_OUT)
        shutil.copytree(ground() / name, target, ignore=left_out, copy_function=shutil.copyfile, dirs_exist_ok=True)
    except OSError as error:  # shutil.Error, which copytree raises, is one too
        raise UsageError(f"{name} cannot be copied to {target}: {error.strerror or error}.") from error
    who = {"NAME": "Practice", "EMAIL": "practice@localhost", "DATE": _DATE}
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    env |= {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "LC_ALL": "C"}
    for arguments in (
        ("init", "--quiet", "--template=", "--object-format=sha1", "--initial-branch=main"),
        ("add", "--all"),
        ("commit", "--quiet", "--no-verify", f"--message={name}: practice repository"),
    ):
        _git(target, env, *arguments)
    return target


def _git(folder: Path, env: dict[str, str], *arguments: str) -> None:
    try:
        done = subprocess.run([*_GIT, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UsageError("git is not installed; qwencode needs it to keep your work safe.") from error
    if done.returncode:
        raise UsageError(f"git {arguments[0]} failed in {folder}: {done.stderr.strip()}")
