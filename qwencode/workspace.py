"""The opened repository: which paths belong to it, and how its text files are read and written without changing a byte
that nobody meant to change."""

import os
import secrets
import shutil
import stat
import subprocess
import tokenize
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from qwencode.errors import ToolError, UsageError

MAX_TEXT_BYTES = 10_000_000
_INHERITED = ("GIT_AUTHOR_", "GIT_CEILING_", "GIT_COMMITTER_", "GIT_CONFIG_", "GIT_DISCOVERY_", "GIT_EXEC_", "GIT_SSL_")
_QUIET = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "core.logAllRefUpdates=false", "core.quotePath=false")
_PLAIN = rb"\x41\u0041+AEE-~{!~}"
"""Plain text that an encoding with escapes, unfit to be edited in, would read as something else."""
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xfe\xff", "utf-16-be"))


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text file as read. `text` keeps the file's own line endings; `encoding` writes it back as it was."""

    path: Path
    text: str
    encoding: str

    @property
    def newline(self) -> str:
        """The line ending that most lines have."""
        crlf = self.text.count("\r\n")
        return "\r\n" if crlf * 2 > self.text.count("\n") else "\n"


class Workspace:
    """A git work tree. Every path that a tool touches comes out of `resolve`.

    Covered: `..`, absolute paths, symlinks that lead outside, the `.git` directory. Not covered: a path that is swapped
    for a symlink between the check and the use; what runs untrusted code is the sandbox's business.
    """

    def __init__(self, root: Path, start: Path | None = None):
        self.root = root.resolve()
        self.start = (start or root).resolve()
        """The directory that the user works in: the root or below it."""

    @classmethod
    def find(cls, path: Path) -> "Workspace":
        """Open the work tree around a path. Raises UsageError when there is none."""
        if not os.path.exists(path):  # noqa: PTH110 (never raises, however long the name is)
            raise UsageError(f"{path} does not exist.")
        start = path if path.is_dir() else path.parent
        try:
            top = os.fsdecode(git(start, "rev-parse", "--show-toplevel").removesuffix(b"\n"))
        except GitError as error:
            if "dubious ownership" in str(error):
                advice = f"git refuses {start}: it belongs to another user. See git's safe.directory setting."
                raise UsageError(advice) from error
            if "not a git repository" in str(error) or "work tree" in str(error):
                top = ""
            else:
                raise
        if not top:
            raise UsageError(f"{start} is not inside a git work tree. Run `git init` there first.")
        if not start.resolve().is_relative_to(Path(top).resolve()):
            raise UsageError(f"git's core.worktree says that the files of {start} are in {top}. Start there.")
        return cls(Path(top), start)

    @cached_property
    def git_dir(self) -> Path:
        """Git's directory of this work tree: `.git`, or elsewhere for a linked work tree or a submodule."""
        usual = self.root / ".git"
        if usual.is_dir() and not usual.is_symlink():
            return usual
        return Path(os.fsdecode(git(self.root, "rev-parse", "--absolute-git-dir").removesuffix(b"\n"))).resolve()

    def resolve(self, path: str | Path) -> Path:
        """Return the absolute path, symlinks followed. Raises ToolError for a path outside or inside `.git`."""
        try:
            full = (self.root / path).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # a NUL byte, a name too long, a symlink loop
            raise ToolError(f"{str(path)!r} is not a usable path.") from error
        if not full.is_relative_to(self.root):
            raise ToolError(f"{path} is outside the repository. Use a path relative to the repository root.")
        inside = full.relative_to(self.root).parts
        usual = self.root / ".git"
        if ".git" in map(str.lower, inside) or (usual.exists() and full.is_relative_to(self.git_dir)):
            raise ToolError(f"{path} belongs to git itself and is not for reading or editing.")
        return full

    def relative(self, path: Path) -> str:
        """Return the path relative to the root, with forward slashes."""
        return path.resolve().relative_to(self.root).as_posix()

    def files(self) -> list[str]:
        """List tracked files and untracked ones that are not ignored, relative to the root, sorted; no submodules."""
        listed = git(self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = {os.fsdecode(name) for name in listed.split(b"\0") if name}
        root = str(self.root)  # a Path for each of thousands of files takes longer than to ask for them
        return sorted(name for name in names if os.path.isfile(f"{root}/{name}"))  # noqa: PTH113 (never raises)

    def read(self, path: str | Path) -> TextFile:
        """Read a text file. Raises ToolError when it is missing, a directory, binary or too large."""
        full = self.resolve(path)
        try:
            found = full.stat()
            if stat.S_ISDIR(found.st_mode):
                raise ToolError(f"{path} is a directory.")
            if not stat.S_ISREG(found.st_mode):
                raise ToolError(f"{path} is not a regular file.")
            if found.st_size > MAX_TEXT_BYTES:
                raise ToolError(f"{path} has {found.st_size:,} bytes; files over {MAX_TEXT_BYTES:,} are not read.")
            data = full.read_bytes()
        except FileNotFoundError as error:
            raise ToolError(f"{path} does not exist.") from error
        except OSError as error:
            raise ToolError(f"{path} cannot be read: {error.strerror}.") from error
        encoding = _encoding(data)
        if not encoding:
            raise ToolError(f"{path} is a binary file.")
        return TextFile(full, data.decode(encoding), encoding)

    def other_repository(self, path: str | Path) -> str:
        """Return the repository inside this one, a submodule or not, in which a path lies; '' if it is in none."""
        full = self.resolve(path)
        parents = full.parents[: len(full.relative_to(self.root).parts) - 1]
        return next((self.relative(parent) for parent in parents if (parent / ".git").exists()), "")

    def write(self, path: str | Path, text: str, encoding: str = "utf-8") -> None:
        """Write a text file whole and atomically, keeping its mode; parents are made.

        Raises ToolError when it cannot be written, lies in another repository (of which no snapshot is kept), or the
        text does not fit the encoding; then nothing has changed.
        """
        self._write(path, text, encoding, _whatever_is_there)

    def create(self, path: str | Path, text: str) -> None:
        """Write a file that is not there yet, as `write` does. Raises ToolError also when there is one by now."""

        def check() -> None:
            if self.resolve(path).exists():
                raise ToolError(f"{path} exists already and was not overwritten. Change it with edit.")

        self._write(path, text, "utf-8", check)

    def replace(self, path: str | Path, before: TextFile, text: str) -> None:
        """Write a file that still holds what was read as `before`, as `write` does, in its encoding.

        Raises ToolError also when it holds something else by now: what a person has saved meanwhile is not lost. They
        are compared right before the new file takes the place of the old one; between the two is no other work.
        """

        def check() -> None:
            try:
                same = before.path.read_bytes() == before.text.encode(before.encoding)
            except FileNotFoundError:
                same = False
            if not same:
                raise ToolError(
                    f"{path} was changed by someone else just now, and this edit was not made. Read the file again."
                )

        self._write(path, text, before.encoding, check)

    def _write(self, path: str | Path, text: str, encoding: str, check: Callable[[], None]) -> None:
        full = self.resolve(path)
        if other := self.other_repository(path):
            raise ToolError(f"{path} lies in another repository ({other}) and is not for editing.")
        try:
            data = text.encode(encoding)
            full.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(full, data, check=check)
        except UnicodeEncodeError as error:
            raise ToolError(
                f"{path} is stored as {encoding}, which cannot hold {error.object[error.start]!r}."
            ) from error
        except (FileExistsError, NotADirectoryError) as error:
            raise ToolError(f"{path} cannot be written: a part of that path is a file, not a directory.") from error
        except OSError as error:
            raise ToolError(f"{path} cannot be written: {error.strerror}.") from error


class GitError(UsageError):
    """git refused or failed. The text is its own last complaint."""


def git(folder: Path, *arguments: str, stdin: bytes = b"", index: Path | None = None) -> bytes:
    """Run git in a folder and return its output; with `index` instead of the user's index.

    Nothing of the user's is run or touched by it: no hook, no file system monitor, no refresh of the index, no reflog,
    no fetch. The user's configuration, also `safe.directory`, stays in force. Raises GitError.
    """
    command = [git_program(folder), *(part for setting in _QUIET for part in ("-c", setting)), *arguments]
    environment = git_environment() | {
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",  # its complaints are read
    }
    if index is not None:
        environment["GIT_INDEX_FILE"] = str(index)
    try:  # a process group of its own: Ctrl-C is for us to handle
        done = subprocess.run(
            command, cwd=folder, env=environment, input=stdin, capture_output=True, check=False, process_group=0
        )
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise UsageError(f"The directory {folder} is gone.") from error
        raise UsageError("git is not installed; qwencode needs it to keep your work safe.") from error
    except OSError as error:
        raise UsageError(f"git cannot be run in {folder}: {error.strerror}.") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise GitError(f"git {arguments[0]} failed: {said}")
    return done.stdout


def found_outside(root: Path, name: str, path: str) -> str:
    """Return the first program of a name along an absolute PATH that does not lie below a directory, or ''.

    What lies in a repository is not to be run as ours: a test, or a command of the model, may have put it there.
    """
    found = (shutil.which(name, path=entry) for entry in path.split(os.pathsep) if entry.startswith("/"))
    return next((each for each in found if each and not _lies_in(each, root)), "")


def _lies_in(file: str, root: Path) -> bool:
    places = map(os.path.realpath, (file, os.path.dirname(file)))  # noqa: PTH120 (a link may lead either way)
    return any(Path(place).is_relative_to(os.path.realpath(root)) for place in places)


def git_program(folder: Path) -> str:
    """Return the path of a git that does not lie in the repository. Raises UsageError where the only one does."""
    return _git_program(folder, os.environ.get("PATH", ""))


@lru_cache(maxsize=256)
def _git_program(folder: Path, path: str) -> str:
    above = (place for place in reversed((folder, *folder.parents)) if os.path.lexists(place / ".git"))
    root = next(above, folder)
    program = found_outside(root, "git", path)
    if not program and shutil.which("git", path=path):
        raise UsageError(f"The only git on the PATH lies in the repository {root}. Install git elsewhere.")
    return program or "git"  # there is none, which is said when it is started


def git_environment() -> dict[str, str]:
    """Return the environment without what a git process above us has set for its own repository, index or output."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith(_INHERITED)
    }


def _whatever_is_there() -> None:
    """Let a file be replaced, whatever it holds."""


def write_atomic(
    path: Path, data: bytes, mode: int | None = None, check: Callable[[], None] = _whatever_is_there
) -> None:
    """Replace a file's content in one step, keeping its mode (or giving it `mode`). Raises OSError.

    `check` is called right before that step. When it raises, nothing has changed.
    """
    before = path.stat() if path.exists() else None
    temporary = path.with_name(f".{secrets.token_hex(8)}.qwencode")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if mode is None and before is not None:
                mode = stat.S_IMODE(before.st_mode)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            if before is not None and os.geteuid() == 0:
                with suppress(OSError):  # root without the right to give files away
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
            file.flush()
            os.fsync(file.fileno())
        check()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _encoding(data: bytes) -> str:
    """Return an encoding that gives these very bytes back, or '' for binary data."""
    for mark, encoding in _BOMS:
        if data.startswith(mark) and _fits(data, encoding):
            return "" if "\0" in data.decode(encoding) else encoding
    if b"\0" in data:
        return ""
    if _fits(data, "utf-8") and not data.isascii():
        return "utf-8"
    lines = iter(data.splitlines(keepends=True)[:2])
    try:
        declared, _ = tokenize.detect_encoding(lambda: next(lines, b""))
    except SyntaxError:
        declared = ""
    if declared and _fits(_PLAIN, declared) and _fits(data, declared):
        return declared  # also of what is still ASCII: a character that is added has to be one of this encoding
    return "utf-8" if data.isascii() else "latin-1"


def _fits(data: bytes, encoding: str) -> bool:
    try:
        return data.decode(encoding).encode(encoding) == data
    except (UnicodeError, LookupError):  # LookupError: not an encoding of text, as "rot13"
        return False
