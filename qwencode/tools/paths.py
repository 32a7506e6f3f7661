"""What the file tools share: opening a path that the model named, and keeping it away from what it may not change."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from rapidfuzz import fuzz, process

from qwencode.errors import ToolError
from qwencode.excerpt import listed
from qwencode.workspace import TextFile, Workspace

Protected = Callable[[str], bool]
"""Says of a path (relative to the root, forward slashes; the file need not exist) that it may not be changed."""


def nothing_protected(path: str) -> bool:
    """Let every file be changed."""
    return False


def open_text(workspace: Workspace, file_path: str) -> TextFile:
    """Read a text file. Raises ToolError that names what is there instead, when it is missing or a directory."""
    full = workspace.resolve(file_path)
    if full.is_dir():
        raise ToolError(f"{file_path} is a directory. {_entries(workspace, full)} Name one of its files.")
    if not full.exists():
        raise ToolError(f"{file_path} does not exist. {similar(file_path, workspace.files())}")
    return workspace.read(file_path)


def similar(name: str, names: Sequence[str]) -> str:
    """Return a sentence with the names most like `name`, for a refusal; the same last part counts most."""
    last = PurePosixPath(name).name
    same = [other for other in names if PurePosixPath(other).name == last]
    near = [other for other, _, _ in process.extract(name, names, scorer=fuzz.WRatio, limit=5, score_cutoff=70)]
    found = list(dict.fromkeys([*same, *near]))[:5]
    return f"Did you mean: {', '.join(found)}?" if found else "Nothing has a similar name; look with grep_search."


def changeable(workspace: Workspace, file_path: str, protected: Protected) -> Path:
    """Return the resolved path. Raises ToolError when it leads outside or is protected."""
    full = workspace.resolve(file_path)
    if protected(workspace.relative(full)):
        raise ToolError(
            f"{file_path} belongs to the tests or their settings, which are the proof and stay as they are. "
            "Mend the source code that the tests exercise instead."
        )
    return full


def _entries(workspace: Workspace, folder: Path) -> str:
    """Return what the directory holds, without ignored files."""
    inside = "" if folder == workspace.root else workspace.relative(folder) + "/"
    below = (name.removeprefix(inside).partition("/") for name in workspace.files() if name.startswith(inside))
    names = sorted({first + slash for first, slash, _ in below})
    return f"It holds: {listed(names, 40)}." if names else "It holds no files that git would track."
