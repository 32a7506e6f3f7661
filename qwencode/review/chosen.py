"""Which tests a change touches: by the coverage map of earlier runs, and by imports where the map does not reach.

Imports are read by a pattern, not by running anything, and followed through the modules of the repository. A name that
fits several modules counts for all of them: one test too many costs a moment, one too few an error that is not seen.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from qwencode.languages import language_of
from qwencode.verify.commands import is_python_test
from qwencode.verify.protected import is_test_path

MOST_FILES = 5_000
"""Python files whose imports are read; in a larger repository only the map and the tests that changed count."""
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<base>\.*[\w.]*)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^\n#;]+)"
    r"|import[ \t]+(?P<plain>[\w., \t]+))",
    re.MULTILINE,
)
_PROSE = (".md", ".rst", ".txt", ".adoc", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".pdf", "license", ".gitignore")
_NAME = re.compile(r"[A-Za-z_]\w*")


def touches_code(paths: Iterable[str]) -> bool:
    """Say whether any of the paths may matter to a test: all but prose and pictures that lie outside of the tests."""
    return any(is_test_path(path) or not path.lower().endswith(_PROSE) for path in paths)


def test_files(root: Path, files: Sequence[str], changed: Sequence[str]) -> list[str]:
    """Return the Python test files that changed, or import what changed, the nearest first.

    `files` are those of the repository, `changed` also names what is gone.
    """
    python = [file for file in files if language_of(file) == "python"]
    there = set(files)
    order = [file for file in changed if file in there and is_python_test(file)]
    if len(python) > MOST_FILES:
        return order
    users = _users(root, python, [*python, *(path for path in changed if path not in there)])
    seen, edge = set(changed), [path for path in changed if language_of(path) == "python"]
    edge += _mentioning(root, python, [path for path in changed if language_of(path) != "python"])
    order += [file for file in edge if is_python_test(file)]
    seen |= set(edge)
    while edge:
        further = sorted({user for path in edge for user in users.get(path, ()) if user not in seen})
        seen |= set(further)
        order += [file for file in further if is_python_test(file)]
        edge = further
    return list(dict.fromkeys(order))


def _users(root: Path, files: Sequence[str], known: Sequence[str]) -> dict[str, set[str]]:
    """Return which files import each file. A `conftest.py` is used by all tests of its folder and below."""
    by_name: dict[str, list[str]] = {}
    for file in known:
        parts = file.removesuffix(".py").removesuffix("/__init__").split("/")
        for start in range(len(parts)):
            by_name.setdefault(".".join(parts[start:]), []).append(file)
    users: dict[str, set[str]] = {}
    for file in files:
        for name in _imported(file, _text(root / file)):
            for target in by_name.get(name, ()):
                if target != file:
                    users.setdefault(target, set()).add(file)
    for conftest in (file for file in known if file.rpartition("/")[2] == "conftest.py"):
        below = conftest.rpartition("/")[0]
        tests = {file for file in files if is_python_test(file) and (not below or file.startswith(f"{below}/"))}
        users.setdefault(conftest, set()).update(tests)
    return users


def _imported(file: str, text: str) -> Iterator[str]:
    """Yield the dotted names that a file imports, relative ones made whole; `from a import b` may mean a or a.b."""
    for match in _IMPORT.finditer(text):
        if match["plain"]:
            for part in match["plain"].split(","):
                name = part.split(" as ")[0].strip()
                yield name
            continue
        base = match["base"]
        if dots := len(base) - len(base.lstrip(".")):
            folder = file.split("/")[:-dots]
            base = ".".join([*folder, *filter(None, [base.lstrip(".")])])
        if base:
            yield base
        prefix = f"{base}." if base else ""
        yield from (f"{prefix}{name}" for name in _NAME.findall(match["names"]))


def _mentioning(root: Path, files: Sequence[str], changed: Sequence[str]) -> list[str]:
    """Return the Python files that name a changed data file."""
    names = [PurePosixPath(path).name for path in changed if not path.lower().endswith((*_PROSE, ".lock"))]
    if not names:
        return []
    pattern = re.compile("|".join(map(re.escape, names)))
    return [file for file in files if pattern.search(_text(root / file))]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def python_paths(copy: Path, original: Path, python: str) -> list[str]:
    """Return what must come first on the import path, so that the copy is tested and not the installed original.

    An editable install names the original's folders in `.pth` files; their counterparts in the copy come before them.
    """
    found = [copy / "src"] if (copy / "src").is_dir() else []
    prefix = Path(python).parent.parent
    for file in prefix.glob("lib/python*/site-packages/*.pth"):
        for line in _text(file).splitlines():
            if line.startswith("/") and Path(line).is_relative_to(original):
                found.append(copy / Path(line).relative_to(original))
    return [str(path) for path in dict.fromkeys(found) if path.is_dir()]


def inherited_path(paths: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return a PYTHONPATH that begins with these folders and goes on with the user's own."""
    return os.pathsep.join(filter(None, (*paths, environment.get("PYTHONPATH", ""))))
