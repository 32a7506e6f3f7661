"""How the tests of a repository are run: found without being told, or taken from the user's own command."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

from qwencode.errors import UsageError
from qwencode.verify.interpreter import Interpreter, find_python
from qwencode.verify.results import Runner, TestCommand
from qwencode.workspace import Workspace

PROJECT_FILES = (
    *("pyproject.toml", "pytest.ini", ".pytest.ini", "setup.cfg", "setup.py", "tox.ini", "package.json"),
    *("go.mod", "Cargo.toml", "Makefile", "makefile", "GNUmakefile"),
)
_WRAPPERS = {"uv", "poetry", "pdm", "hatch", "pipenv", "rye", "env", "nice", "time", "xvfb-run"}
_PYTEST_CONFIG = (
    ("pytest.ini", r"^\[pytest\]"),
    (".pytest.ini", r"^\[pytest\]"),
    ("pyproject.toml", r"^\[tool\.pytest"),
    ("tox.ini", r"^\[pytest\]"),
    ("setup.cfg", r"^\[tool:pytest\]"),
)
_PYTEST_STYLE = re.compile(r"^(?:async )?def test|^\s*(?:import|from) pytest\b|^class Test\w*(?:\(\))?:", re.MULTILINE)
_SHELL = re.compile(r"[|&;<>`$(){}*?\n]")
_OPERATOR = re.compile(r"[|&;<>`\n]|\$\(")
_QUOTED = re.compile(r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_NODE_TEST = re.compile(r"(^|/)tests?/([^/]+/)*[^/]+\.[cm]?js$|(^|/)(test[-.][^/]*|test|[^/]*[._-]test)\.[cm]?js$")
_READ_AT_MOST = 400  # test files looked at to tell pytest style from unittest style


def discover(workspace: Workspace, override: str = "", environment: Mapping[str, str] | None = None) -> TestCommand:
    """Find the test command. `override` (from `--test` or the configuration) wins.

    It is looked for in the directory that the user works in and above, wherever a project file lies, and in the root:
    pytest, unittest, npm, node, go, cargo, make. Raises UsageError when nothing is found, when the command does not
    exist, or when the tests need pytest and no Python at hand has it.
    """
    variables = os.environ if environment is None else environment
    upwards = [
        folder for folder in (workspace.start, *workspace.start.parents) if folder.is_relative_to(workspace.root)
    ]
    folders = [folder for folder in upwards if any((folder / name).is_file() for name in PROJECT_FILES)]
    if override.strip():
        return _given(override.strip(), workspace, folders[0] if folders else workspace.root, variables)
    files = workspace.files()
    for folder in dict.fromkeys([*folders, workspace.root]):
        start = "" if folder == workspace.root else folder.relative_to(workspace.root).as_posix() + "/"
        inside = [file.removeprefix(start) for file in files if file.startswith(start)]
        for find in (_python, _node, _go, _cargo, _make):
            command = find(workspace, folder, inside, variables)
            if command is not None:
                _require(command, variables)
                return command
    raise UsageError(
        f"No tests were found in {workspace.root}. Looked for pytest and unittest files, a test script in "
        "package.json, go.mod, Cargo.toml and a `test` target in a Makefile. Say how to run them: --test 'COMMAND'."
    )


def recognise(argv: Sequence[str]) -> tuple[Runner, int, int]:
    """Return the runner that a command starts, where it starts and where its own arguments begin; else custom, 0, 0."""
    words = [Path(word).name for word in argv]
    start = next((i for i in range(len(words)) if _starts(words[i : i + 3])), None)
    if start is None or (start and words[0] not in _WRAPPERS):
        return "custom", 0, 0
    found = _starts(words[start : start + 3])
    assert found
    return found[0], start, start + found[1]


def _starts(words: Sequence[str]) -> tuple[Runner, int] | None:
    """Return the runner that these words start, and how many of them name it."""
    match words:
        case ["pytest" | "py.test", *_]:
            return "pytest", 1
        case [python, "-m", "pytest" | "unittest" as module] if re.fullmatch(r"python[\d.]*", python):
            return ("pytest" if module == "pytest" else "unittest"), 3
        case ["node", "--test", *_]:
            return "node", 2
        case ["npm", "run", "test", *_]:
            return "npm", 3
        case ["npm", "test" | "t", *_]:
            return "npm", 2
        case ["go", "test", *_]:
            return "go", 2
        case ["cargo", "test" | "t", *_]:
            return "cargo", 2
        case ["make" | "gmake", *_]:
            return "make", 1
        case _:
            return None


def _given(override: str, workspace: Workspace, folder: Path, environment: Mapping[str, str]) -> TestCommand:
    why = "it was given"
    try:
        words = shlex.split(override)
    except ValueError as error:
        raise UsageError(f"The test command {override!r} cannot be read: {error}.") from error
    if words and re.fullmatch(r"\w+=.*", words[0]):
        words.insert(0, "env")
    runner, at, first = recognise(words)
    if _OPERATOR.search(_QUOTED.sub("", override)) or (runner == "custom" and _SHELL.search(override)):
        return TestCommand(("sh", "-c", override), "custom", why, folder, root=workspace.root)
    command = TestCommand(tuple(words), runner, why, folder, root=workspace.root, arguments=tuple(words[first:]))
    program = words[at]
    if runner not in ("pytest", "unittest"):
        _require(command, environment)
        return command
    if at:  # the wrapper decides which Python that is
        _require(command, environment)
        python, prefix = program if first - at == 3 else "python", tuple(words[:at])
    elif "/" not in program and program in ("pytest", "py.test", "python", "python3"):
        found = find_python(workspace.root, environment, needs_pytest=runner == "pytest")
        if runner == "pytest" and not found.has_pytest:
            raise UsageError(_no_pytest(found))
        why, python, prefix = f"{why}; {found.why}", found.path, ()
    else:
        _require(command, environment)
        where = folder / program if "/" in program else Path(shutil.which(program, path=environment.get("PATH")) or "")
        python, prefix = str(where if first - at == 3 else where.parent / "python"), ()
    return TestCommand(
        tuple(words),
        runner,
        why,
        folder,
        python,
        workspace.root,
        (*prefix, python),
        tuple(words[first:]),
        first - at == 3,
    )


def _require(command: TestCommand, environment: Mapping[str, str]) -> None:
    program = command.argv[0]
    if "/" in program:
        found = shutil.which(str(command.cwd / program))
        hint = "is not an executable file" if (command.cwd / program).exists() else "does not exist"
    else:
        found, hint = shutil.which(program, path=environment.get("PATH")), "is not installed or not on PATH"
    if found is None:
        raise UsageError(f"The tests are run by `{command}` ({command.why}), but {program} {hint}.")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _python(
    workspace: Workspace, folder: Path, files: Sequence[str], environment: Mapping[str, str]
) -> TestCommand | None:
    config = next((name for name, mark in _PYTEST_CONFIG if re.search(mark, _read(folder / name), re.MULTILINE)), "")
    tests = [file for file in files if is_python_test(file)]
    if not tests and not (config and any(file.endswith(".py") for file in files)):
        return None
    styled = next((file for file in tests[:_READ_AT_MOST] if _PYTEST_STYLE.search(_read(folder / file))), "")
    needed = bool(config or styled)
    python = find_python(workspace.root, environment, needs_pytest=needed)
    if python.has_pytest:
        evidence = f"{config} configures pytest" if config else f"{tests[0]} is a test file that pytest finds"
        runner, arguments = "pytest", ()
    elif needed:
        raise UsageError(f"{folder / (config or styled)} needs pytest. {_no_pytest(python)}")
    else:
        evidence = f"{tests[0]} holds unittest cases and there is no pytest"
        runner, arguments = "unittest", _unittest_arguments(folder, tests)
    argv = (python.path, "-m", runner, *arguments)
    why = f"{evidence}; {python.why}"
    return TestCommand(argv, runner, why, folder, python.path, workspace.root, argv[:1], arguments, True)


def is_python_test(file: str) -> bool:
    """Say whether pytest or unittest would take a file for a test module by its name alone."""
    name = file.rpartition("/")[2]
    return name.endswith(".py") and (
        name.startswith("test_") or name.endswith("_test.py") or name in ("tests.py", "test.py")
    )


def _no_pytest(python: Interpreter) -> str:
    return f"{python.path} ({python.why}) has no pytest. Install it: {shlex.quote(python.path)} -m pip install pytest"


def _unittest_arguments(folder: Path, tests: Sequence[str]) -> tuple[str, ...]:
    """Return what `python -m unittest` needs to find these files: its own discovery enters only packages."""
    pattern = "test*.py" if any(fnmatch(test.rpartition("/")[2], "test*.py") for test in tests) else "*_test.py"
    tops = {test.partition("/")[0] if "/" in test else "." for test in tests}
    start = tops.pop() if len(tops) == 1 else "."
    if start != "." and (folder / start / "__init__.py").exists():
        start = "."
    return () if (start, pattern) == (".", "test*.py") else ("discover", "-s", start, "-p", pattern)


def npm_script(folder: Path) -> str:
    """Return the `test` script of package.json; '' when there is none but npm's own placeholder."""
    try:
        data: Any = json.loads(_read(folder / "package.json"))
    except ValueError:
        return ""
    scripts: Any = cast("dict[str, Any]", data).get("scripts") if isinstance(data, dict) else None
    script: Any = cast("dict[str, Any]", scripts).get("test") if isinstance(scripts, dict) else None
    return script if isinstance(script, str) and "no test specified" not in script else ""


def _node(
    workspace: Workspace, folder: Path, files: Sequence[str], _environment: Mapping[str, str]
) -> TestCommand | None:
    if script := npm_script(folder):
        why = f"package.json has the test script `{script}`"
        return TestCommand(("npm", "test"), "npm", why, folder, root=workspace.root)
    test = next((file for file in files if _NODE_TEST.search(file)), "")
    if not test:
        return None
    return TestCommand(("node", "--test"), "node", f"{test} is a test that node runs", folder, root=workspace.root)


def _go(
    workspace: Workspace, folder: Path, files: Sequence[str], _environment: Mapping[str, str]
) -> TestCommand | None:
    test = next((file for file in files if file.endswith("_test.go")), "")
    if not test or not (folder / "go.mod").is_file():
        return None
    why = f"go.mod and {test}"
    return TestCommand(("go", "test", "./..."), "go", why, folder, root=workspace.root, arguments=("./...",))


def _cargo(
    workspace: Workspace, folder: Path, files: Sequence[str], _environment: Mapping[str, str]
) -> TestCommand | None:
    if "Cargo.toml" not in files:
        return None
    return TestCommand(("cargo", "test"), "cargo", "Cargo.toml", folder, root=workspace.root)


def _make(
    workspace: Workspace, folder: Path, _files: Sequence[str], _environment: Mapping[str, str]
) -> TestCommand | None:
    for name in ("GNUmakefile", "makefile", "Makefile"):
        for target in ("test", "check"):
            if re.search(rf"^{target}\s*:(?!=)", _read(folder / name), re.MULTILINE):
                why = f"{name} has the target `{target}`"
                return TestCommand(("make", target), "make", why, folder, root=workspace.root, arguments=(target,))
    return None
