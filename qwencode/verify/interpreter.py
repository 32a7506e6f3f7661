"""Which Python runs the tests: the one that a developer of the repository would use.

Nothing that lies inside the repository, or that a file in it names, is executed here, since this code runs outside the
sandbox: whether a virtual environment of the repository has pytest is read from its files and those of its base.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qwencode.errors import UsageError
from qwencode.workspace import found_outside

_ASK = (
    "import sys; sys.path[:] = [p for p in sys.path if p]; import importlib.util as u; "
    "print(sys.executable); print(int(u.find_spec('pytest') is not None))"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python and the reason for taking it. `has_pytest` tells whether it can run pytest suites."""

    path: str
    why: str
    has_pytest: bool


def find_python(root: Path, environment: Mapping[str, str], *, needs_pytest: bool = True) -> Interpreter:
    """Return the interpreter for the tests of `root`.

    In this order: the active virtual environment (not the one that qwencode itself runs in, unless that is the
    repository's own), `.venv`, `venv`, the environment that poetry keeps elsewhere, the active conda environment,
    `python3` on PATH; and, when the tests need pytest and that `python3` has none, the Python that qwencode runs in.
    Raises UsageError when there is no Python at all.
    """
    for prefix, why in _environments(root, environment):
        python = _python_of(prefix)
        if python is not None:
            return Interpreter(str(python), why, _has_pytest(prefix))
    found = _on_path(root, environment)
    own = Interpreter(sys.executable, "", _ask(Path(sys.executable), root, environment)[1])
    if found is None:
        if own.has_pytest or not needs_pytest:
            return Interpreter(
                own.path, "there is no python3 on PATH, so the Python of qwencode runs them", own.has_pytest
            )
        raise UsageError("No Python was found for the tests. Make a virtual environment `.venv` in the repository.")
    if needs_pytest and own.has_pytest and not found.has_pytest:
        return Interpreter(own.path, f"{found.path} has no pytest, so the Python of qwencode runs them", True)
    return found


def _environments(root: Path, environment: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    active = Path(environment.get("VIRTUAL_ENV") or "/nonexistent")
    if _is_foreign(active, root):
        yield active, "the active virtual environment"
    for name in (".venv", "venv"):
        yield root / name, f"{name} of the repository"
    if _is_poetry(root) and (poetry := found_outside(root, "poetry", environment.get("PATH", ""))):
        command = [poetry, "--no-plugins", "--no-interaction", "env", "info", "-p"]
        try:
            done = subprocess.run(
                command, cwd=root, env=dict(environment), capture_output=True, text=True, timeout=30, check=False
            )
            if not done.returncode and done.stdout.strip():
                yield Path(done.stdout.strip()), "the environment that poetry keeps for it"
        except (OSError, subprocess.TimeoutExpired):
            pass
    conda = Path(environment.get("CONDA_PREFIX") or "/nonexistent")
    if _is_foreign(conda, root):
        yield conda, "the active conda environment"


def _is_foreign(prefix: Path, root: Path) -> bool:
    """Say whether an active environment is the user's choice for the repository, not merely where qwencode lives."""
    own = prefix.resolve() == Path(sys.prefix).resolve()
    return prefix.is_dir() and (not own or prefix.resolve().is_relative_to(root))


def _is_poetry(root: Path) -> bool:
    if (root / "poetry.lock").exists():
        return True
    try:
        return "[tool.poetry]" in (root / "pyproject.toml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _python_of(prefix: Path) -> Path | None:
    for name in ("bin/python", "bin/python3", "Scripts/python.exe"):
        if (prefix / name).exists():
            return prefix / name
    return None


def _has_pytest(prefix: Path) -> bool:
    if any(prefix.glob("lib/python*/site-packages/pytest/__init__.py")):
        return True
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    settings = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    if settings.get("include-system-site-packages") != "true":
        return False
    base = Path(settings.get("home", "/nonexistent")).parent
    folders = (base, base / "local", Path.home() / ".local")
    return any(True for folder in folders for _ in folder.glob("lib/python*/*-packages/pytest/__init__.py"))


def _on_path(root: Path, environment: Mapping[str, str]) -> Interpreter | None:
    """Ask `python3` on PATH who it is: it may be a shim that chooses by directory. Our own environment is left out."""
    own = Path(sys.prefix).resolve() / "bin"
    folders = environment.get("PATH", "").split(":")
    path = ":".join(folder for folder in folders if folder and Path(folder).resolve() != own)
    for name in ("python3", "python"):
        if found := shutil.which(name, path=path):
            executable, has_pytest = _ask(Path(found), root, environment)
            if executable:
                return Interpreter(executable, f"{name} on PATH", has_pytest)
    return None


def _ask(python: Path, root: Path, environment: Mapping[str, str]) -> tuple[str, bool]:
    """Return the real path of an interpreter outside the repository and whether it has pytest, or '' and False."""
    if not python.exists() or python.parent.resolve().is_relative_to(root):
        return "", False
    try:
        done = subprocess.run(
            [python, "-c", _ASK],
            cwd=root,
            env=dict(environment) or None,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "", False
    lines = done.stdout.splitlines()
    return (lines[0], lines[1] == "1") if done.returncode == 0 and len(lines) == 2 else ("", False)
