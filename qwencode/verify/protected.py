"""What an edit must leave alone for a verdict to mean anything: tests, their data, their settings, their runner.

Protected as whole files:

* test files by name (`test_*.py`, `*_test.go`, `*.spec.ts`, …), also those that git ignores;
* everything that git lists in a directory named test, tests, spec, specs, e2e, testdata, `__tests__`, …;
* the files that unittest and node take their tests from, whatever their names, and modules of Rust for tests alone;
* settings that speak of tests alone (`conftest.py`, `pytest.ini`, `tox.ini`, `jest.config.js`, …);
* modules that would take the place of the test runner (`pytest.py`, `sitecustomize.py`, …);
* files that the test command names, and for make and unknown commands the Makefile.

Protected in part, so that the rest of the file may be mended: the test sections of `pyproject.toml`, `setup.cfg`,
`package.json` and `Cargo.toml`; tests and doctests inside source files. And as a fingerprint of names, sizes and times:
a virtual environment or `node_modules` inside the repository. Not covered: a forged modification time there.
"""

import ast
import configparser
import doctest
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qwencode.verify.commands import is_python_test
from qwencode.verify.results import TestCommand, TestResult
from qwencode.verify.rust import MAY_HOLD_TESTS, marked_tests, modules_of_tests
from qwencode.workspace import Workspace

_TEST_NAME = re.compile(
    r"(_test\.go|_spec\.rb|_test\.rb|(^|_)tests?\.rs|[._-](test|spec)s?\.[cm]?[jt]sx?|Tests?\.(java|cs|kt|php))$"
)
_TEST_FOLDERS = {
    *("test", "tests", "spec", "specs", "e2e", "testdata", "test_data", "__tests__", "__mocks__", "__snapshots__"),
    "integration_tests",
}
_SETTINGS = re.compile(
    r"(conftest\.py|\.?pytest\.(ini|toml)|tox\.(ini|toml)|noxfile\.py|\.coveragerc|\.npmrc|\.mocharc.*|\.nycrc.*|"
    r"(jest|vitest|ava|playwright|cypress)\.config\..*|vitest\.workspace\..*|karma\.conf\..*|"
    r"(sitecustomize|usercustomize|pytest|_pytest|pluggy|unittest|doctest)\.py)"
)
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_PRUNED = {
    *(".git", ".hg", "node_modules", "__pycache__", ".tox", ".nox", ".venv", "venv", "site-packages", "target"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache"),
}
_INSTALLED = (".py", ".pth", ".so", ".js", ".cjs", ".mjs", ".json", ".node")
_AWARE = re.compile(
    rb"""PYTEST_CURRENT_TEST|PYTEST_VERSION|\b_pytest\b|\b(?:import|from)\s+(?:pytest|unittest)\b|['"]_?pytest['"]|"""
    rb"""\bdef\s+pytest_\w+|\bsys\s*\.\s*(?:modules|_getframe|settrace|setprofile|monitoring)\b|"""
    rb"""\binspect\s*\.\s*(?:stack|currentframe)\b|\bos\s*\.\s*_exit\b|\bgc\s*\.\s*get_\w+|\bsetattr\s*\(\s*builtins\b|"""
    rb"""\bbuiltins\s*\.\s*\w+\s*=[^=]|NODE_TEST_CONTEXT|JEST_WORKER_ID|testing\.Testing\(|cfg!\(test\)|"""
    rb"""\bmacro_rules!\s*(?:debug_)?(?:assert|panic)"""
)
_SOURCES = (".py", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".go", ".rs", ".pth")


def fingerprints(workspace: Workspace, command: TestCommand, results: Iterable[TestResult]) -> dict[str, str]:
    """Return what is protected, by name, to SHA-256. `results` name further files that hold tests."""
    root = workspace.root
    files = list(_walked(root))
    found = {name: _digest(root / name) for name in _whole(workspace, command, files)}
    parts = [(f"{name}::test settings", text) for name, text in _settings(root, files)]
    inside: dict[str, set[str]] = {}
    for result in results:
        if result.file and result.file not in found:
            inside.setdefault(result.file, set()).add(result.id.removeprefix(f"{result.file}::").split("::")[0])
    whole = command.runner in ("unittest", "node", "npm")  # they take tests from files of tests, whatever their names
    parts += [(f"{name}::tests in it", _tests_within(root / name, tests, whole)) for name, tests in inside.items()]
    if command.runner not in ("pytest", "unittest", "node", "go"):
        rust, modules = _rust_tests(root, [name for name in files if name.endswith(".rs") and name not in found])
        found |= {name: _digest(root / name) for name in modules}
        parts += [(f"{name}::tests in it", text) for name, text in rust.items() if name not in modules]
    found |= {name: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for name, text in parts if text}
    for name in (".venv", "venv", "node_modules"):
        if (root / name).is_dir():
            found[f"{name}::installed packages"] = _installed(root / name)
    return found


def volatile(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return the fingerprints with '*' for everything that a run of the unchanged tests wrote by itself."""
    changed = set(differences(before, after))
    return {name: "*" if name in changed else after.get(name, "*") for name in before.keys() | after.keys()}


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that were changed, added or removed, leaving out what the tests themselves write."""
    names = before.keys() | after.keys()
    return tuple(sorted(name for name in names if before.get(name) != "*" and before.get(name) != after.get(name)))


def awareness(workspace: Workspace, protected: Mapping[str, str]) -> dict[str, int]:
    """Count, for each source file that is not protected, the places that look at who runs it."""
    counts: dict[str, int] = {}
    for name in workspace.files():
        path = workspace.root / name
        if name in protected or not name.endswith(_SOURCES) or path.is_symlink() or path.stat().st_size > 2_000_000:
            continue
        if count := len(_AWARE.findall(path.read_bytes())):
            counts[name] = count
    return counts


def _walked(root: Path) -> Iterator[str]:
    """Yield every file, also those that git ignores, without what is installed or made."""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _PRUNED]
        start = Path(folder).relative_to(root).as_posix()
        yield from files if start == "." else (f"{start}/{name}" for name in files)


def _whole(workspace: Workspace, command: TestCommand, files: Iterable[str]) -> Iterator[str]:
    root = workspace.root
    words = {*command.argv, *re.split(r"[\s;&|<>()'\"]+", " ".join(command.argv))}  # a shell's command is one word
    named = {workspace.relative(path) for word in words if (path := _inside(command.cwd, word, root))}
    if command.runner in ("make", "custom"):
        named |= {workspace.relative(path) for name in _MAKEFILES if (path := _inside(command.cwd, name, root))}
    listed = workspace.files()
    named |= {name for name in listed if _TEST_FOLDERS.intersection(name.split("/")[:-1])}
    named |= {name for name in files if _is_named(name.rpartition("/")[2])}
    named |= {name for name in files if re.search(r"(^|/)\.cargo/config(\.toml)?$", name)}  # it may name a runner
    return iter(sorted(named))


def _is_named(name: str) -> bool:
    return bool(is_python_test(name) or _TEST_NAME.search(name) or _SETTINGS.fullmatch(name))


def _inside(cwd: Path, word: str, root: Path) -> Path | None:
    try:
        path = (cwd / word.split("::")[0]).resolve()
        return path if path.is_file() and path.is_relative_to(root) and not _PRUNED.intersection(path.parts) else None
    except (OSError, ValueError):
        return None


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _settings(root: Path, files: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the test sections of shared settings files as (file, canonical text), wherever these lie."""
    readers = {"pyproject.toml": _pyproject, "setup.cfg": _setup_cfg, "package.json": _package, "Cargo.toml": _cargo}
    for name in files:
        read = readers.get(name.rpartition("/")[2])
        raw = _text(root / name) if read else ""
        if read is None or not raw:
            continue
        try:
            text = read(raw)
        except (ValueError, configparser.Error, AttributeError, RecursionError):
            text = raw  # not readable as what it should be: all of it counts
        yield name, text


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _canonical(data: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in data.items() if value not in (None, {}, [])}
    return json.dumps(kept, sort_keys=True, default=str) if kept else ""


def _pyproject(text: str) -> str:
    data = tomllib.loads(text)
    tool: dict[str, Any] = data.get("tool", {})
    kept = {name: tool.get(name) for name in ("pytest", "tox", "nox", "coverage", "poe", "taskipy")}
    kept["hatch"] = tool.get("hatch", {}).get("envs")
    kept["pdm"] = tool.get("pdm", {}).get("scripts")
    kept["plugins"] = data.get("project", {}).get("entry-points", {}).get("pytest11")
    return _canonical(kept)


def _setup_cfg(text: str) -> str:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
    wanted = ("tool:pytest", "pytest", "aliases", "test", "coverage", "tox")
    return _canonical({name: dict(parser[name]) for name in parser.sections() if name.startswith(wanted)})


def _package(text: str) -> str:
    data: dict[str, Any] = json.loads(text)
    names = ("scripts", "jest", "mocha", "ava", "vitest", "nyc", "c8", "babel", "imports")
    return _canonical({name: data.get(name) for name in names})


def _cargo(text: str) -> str:
    data = tomllib.loads(text)
    kept = {name: data.get(name) for name in ("test", "dev-dependencies", "patch")}
    kept["lib"] = {name: value for name, value in data.get("lib", {}).items() if name in ("test", "doctest", "harness")}
    kept["package"] = {name: value for name, value in data.get("package", {}).items() if name == "autotests"}
    kept["profile"] = data.get("profile", {}).get("test")
    return _canonical(kept)


def _tests_within(path: Path, tests: set[str], whole: bool) -> str:
    """Return what is a test inside a source file: its doctests and the functions and classes with these names.

    `whole` says that it holds nothing else.
    """
    text = _text(path)
    if whole:
        return text
    try:
        tree = ast.parse(text if path.suffix == ".py" else "")
    except (SyntaxError, ValueError, RecursionError):
        return ""
    named = set(tests)
    for node in reversed(tree.body):  # a class may have its tests from one above it
        if isinstance(node, ast.ClassDef) and node.name in named:
            named.update(base.id for base in node.bases if isinstance(base, ast.Name))
    kept = [ast.dump(node) for node in tree.body if getattr(node, "name", "") in named]
    parser = doctest.DocTestParser()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            try:
                examples = parser.get_examples(ast.get_docstring(node) or "")
            except ValueError:  # a malformed prompt: doctest itself would not run it
                continue
            kept += [f"{example.source}{example.want}{sorted(example.options.items())}" for example in examples]
    return "\n".join(kept)


def _rust_tests(root: Path, names: Sequence[str]) -> tuple[dict[str, str], set[str]]:
    """Return what is a test in each Rust file, and the files that are modules of tests as a whole."""
    inside: dict[str, str] = {}
    places: set[str] = set()
    for name in names:
        text = _text(root / name)
        parts = list(marked_tests(text)) if MAY_HOLD_TESTS.search(text) else []
        inside[name] = "\n".join(parts)
        places.update(modules_of_tests(name, parts))
    modules = {name for name in names if any(name == f"{place}.rs" or name.startswith(f"{place}/") for place in places)}
    return inside, modules


def _installed(folder: Path) -> str:
    entries: list[str] = []
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as listing:
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in ("__pycache__", ".cache"):
                        waiting.append(entry.path)
                elif entry.name.endswith(_INSTALLED) or entry.is_symlink():
                    state = entry.stat(follow_symlinks=False)
                    entries.append(f"{entry.path} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(entries)).encode("utf-8", "surrogateescape")).hexdigest()


def is_test_path(path: str) -> bool:
    """Say whether a path (relative; it need not exist) is protected as a whole by its name or its folder."""
    *folders, name = path.split("/")
    return _is_named(name) or bool(_TEST_FOLDERS.intersection(folders))


def path_of(name: str) -> str:
    """Return the path in a protected name: `pyproject.toml::test settings` lies in `pyproject.toml`."""
    return name.partition("::")[0]
