"""The workspace as the model's file tools see it.

Covered: paths that lead outside or into `.git` (by the workspace); files that the sandbox hides as secrets are not read
here either; protected files, and what git would run, are not changed. Not covered: what a shell command changes; the
verdict sees that.
"""

import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from rapidfuzz import fuzz, process

from qwencode.errors import ToolError
from qwencode.excerpt import clip, listed
from qwencode.sandbox.policy import Tree
from qwencode.tools.protocol import Arguments
from qwencode.workspace import TextFile, Workspace

Protected = Callable[[str], bool]
"""Says of a path (relative to the root, forward slashes; the file need not exist) that it may not be changed."""


def nothing_protected(path: str) -> bool:
    """Let every file be changed."""
    return False


class Files:
    """Opens and guards the files that the model names. Every refusal is a ToolError that says what to do instead."""

    def __init__(self, workspace: Workspace, protected: Protected = nothing_protected, git_obeys: Iterable[Path] = ()):
        self.workspace = workspace
        self.shown: dict[str, str] = {}
        """The texts of files as the model saw them last, by their keys."""
        self._protected = protected
        self._git_obeys = tuple(git_obeys)
        self._tree = Tree(workspace.root)

    def names(self) -> list[str]:
        """List what git would track, without secrets, relative to the root."""
        secrets = self._tree.secrets()
        return [name for name in self.workspace.files() if (self.workspace.root / name).resolve() not in secrets]

    def existing(self, path: str) -> Path:
        """Return the resolved path of a file or directory."""
        full = self._resolve(path)
        if _folded(full) in set(map(_folded, self._tree.secrets())):
            raise ToolError(f"{path} looks like a file with secrets and is hidden. Work without it.")
        if not full.exists():
            raise ToolError(f"{path} does not exist. {similar(path, self.names())}")
        return full

    def read(self, file_path: str) -> TextFile:
        """Read a text file."""
        if (full := self.existing(file_path)).is_dir():
            raise ToolError(f"{file_path} is a directory. {self._entries(full)} Name one of its files.")
        return self.workspace.read(file_path)

    def changeable(self, file_path: str) -> Path:
        """Return the resolved path of a file that need not exist."""
        full = self._resolve(file_path)
        if self._protected(self.workspace.relative(full)):
            raise ToolError(
                f"{file_path} belongs to the tests or their settings, which are the proof and stay as they are. "
                "Mend the source code that the tests exercise instead."
            )
        if lies_in(full, self._git_obeys):
            raise ToolError(
                f"{file_path} is run or obeyed by git outside the sandbox and stays as it is. "
                "Do without, and say in the end what the user should change there."
            )
        return full

    def named(self, arguments: Arguments) -> frozenset[str]:
        """Return the file that a call names in `file_path`, one key for all the names that it may have."""
        try:
            return frozenset({self.key(str(arguments.get("file_path", "")))})
        except ToolError:
            return frozenset()  # no call can change it

    def key(self, file_path: str) -> str:
        """Return the one key of a file, whatever name it is given. Raises ToolError for a path that cannot be used."""
        return _folded(self._resolve(file_path))

    def _resolve(self, path: str) -> Path:
        full = self.workspace.resolve(path)
        try:
            full.exists()
        except OSError as error:  # a name that is too long, a directory that may not be entered
            raise ToolError(f"{clip(path, 80)} cannot be reached: {error.strerror}.") from error
        return full

    def _entries(self, folder: Path) -> str:
        """Return what the directory holds, without ignored files."""
        inside = "" if folder == self.workspace.root else self.workspace.relative(folder) + "/"
        below = (name.removeprefix(inside).partition("/") for name in self.names() if name.startswith(inside))
        names = sorted({first + slash for first, slash, _ in below})
        return f"It holds: {listed(names, 40)}." if names else "It holds no files that git would track."


def lies_in(full: Path, places: Iterable[Path]) -> bool:
    """Say whether a resolved path is one of these places or below one, under whatever name macOS lets it have."""
    folded = Path(_folded(full))
    return any(folded.is_relative_to(_folded(Path(os.path.realpath(place)))) for place in places)


def _folded(path: Path) -> str:
    """Return a path such that two names which macOS does not tell apart are one."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def similar(name: str, names: Sequence[str]) -> str:
    """Return a sentence with the names most like `name`, for a refusal; the same last part counts most."""
    last = PurePosixPath(name).name
    same = [other for other in names if PurePosixPath(other).name == last]
    near = [other for other, _, _ in process.extract(name, names, scorer=fuzz.WRatio, limit=5, score_cutoff=70)]
    found = list(dict.fromkeys([*same, *near]))[:5]
    return f"Did you mean: {', '.join(found)}?" if found else "Nothing has a similar name; look with grep_search."
