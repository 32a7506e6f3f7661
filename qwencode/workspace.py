"""The opened repository: which paths belong to it, and how its text files are read and written without changing a byte
that nobody meant to change."""

import os
import stat
import subprocess
import tempfile
import tokenize
from dataclasses import dataclass
from pathlib import Path

from qwencode.errors import ToolError, UsageError

MAX_TEXT_BYTES = 10_000_000
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


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
        if not path.exists():
            raise UsageError(f"{path} does not exist.")
        start = path if path.is_dir() else path.parent
        command = ["git", "-C", str(start), "rev-parse", "--show-toplevel"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise UsageError("git is not installed; qwencode needs it to keep your work safe.") from error
        if "dubious ownership" in done.stderr:
            raise UsageError(f"git refuses {start}: it belongs to another user. See git's safe.directory setting.")
        top = done.stdout.removesuffix("\n")
        if done.returncode or not top:
            raise UsageError(f"{start} is not inside a git work tree. Run `git init` there first.")
        return cls(Path(top), start)

    def resolve(self, path: str | Path) -> Path:
        """Return the absolute path, symlinks followed. Raises ToolError for a path outside or inside `.git`."""
        try:
            full = (self.root / path).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # a NUL byte, a name too long, a symlink loop
            raise ToolError(f"{str(path)!r} is not a usable path.") from error
        if not full.is_relative_to(self.root):
            raise ToolError(f"{path} is outside the repository. Use a path relative to the repository root.")
        if ".git" in full.relative_to(self.root).parts:
            raise ToolError(f"{path} belongs to git itself and is not for reading or editing.")
        return full

    def relative(self, path: Path) -> str:
        """Return the path relative to the root, with forward slashes."""
        return path.resolve().relative_to(self.root).as_posix()

    def files(self) -> list[str]:
        """List tracked files and untracked ones that are not ignored, relative to the root, sorted; no submodules."""
        command = ["git", "-C", str(self.root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(command, capture_output=True, check=False)
        names = {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}
        return sorted(name for name in names if (self.root / name).is_file())

    def read(self, path: str | Path) -> TextFile:
        """Read a text file. Raises ToolError when it is missing, a directory, binary or too large."""
        full = self.resolve(path)
        if full.is_dir():
            raise ToolError(f"{path} is a directory.")
        try:
            if not stat.S_ISREG(full.stat().st_mode):
                raise ToolError(f"{path} is not a regular file.")
            if full.stat().st_size > MAX_TEXT_BYTES:
                raise ToolError(
                    f"{path} has {full.stat().st_size:,} bytes; files over {MAX_TEXT_BYTES:,} are not read."
                )
            data = full.read_bytes()
        except FileNotFoundError as error:
            raise ToolError(f"{path} does not exist.") from error
        except OSError as error:
            raise ToolError(f"{path} cannot be read: {error.strerror}.") from error
        encoding = _encoding(data)
        if not encoding:
            raise ToolError(f"{path} is a binary file.")
        return TextFile(full, data.decode(encoding), encoding)

    def write(self, path: str | Path, text: str, encoding: str = "utf-8") -> None:
        """Write a text file whole and atomically, keeping its mode; parents are made.

        Raises ToolError when it cannot be written or the text does not fit the encoding; then nothing has changed.
        """
        full = self.resolve(path)
        try:
            data = text.encode(encoding)
            full.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(full, data)
        except UnicodeEncodeError as error:
            raise ToolError(
                f"{path} is stored as {encoding}, which cannot hold {error.object[error.start]!r}."
            ) from error
        except OSError as error:
            raise ToolError(f"{path} cannot be written: {error.strerror}.") from error


def write_atomic(path: Path, data: bytes, mode: int | None = None) -> None:
    """Replace a file's content in one step, keeping its mode (or giving it `mode`). Raises OSError."""
    if mode is None:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask()
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".qwencode", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _encoding(data: bytes) -> str:
    """Return an encoding that gives these very bytes back, or '' for binary data."""
    for mark, encoding in _BOMS:
        if data.startswith(mark) and _fits(data, encoding):
            return encoding
    if b"\0" in data:
        return ""
    if _fits(data, "utf-8"):
        return "utf-8"
    lines = iter(data.splitlines(keepends=True)[:2])
    try:
        declared, _ = tokenize.detect_encoding(lambda: next(lines, b""))
    except SyntaxError:
        declared = "latin-1"
    return declared if _fits(data, declared) else "latin-1"


def _fits(data: bytes, encoding: str) -> bool:
    try:
        return data.decode(encoding).encode(encoding) == data
    except UnicodeError:
        return False
