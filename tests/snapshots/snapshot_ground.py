"""What the snapshot tests compare: everything on disk, and everything of the user's that git holds."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from qwencode.snapshots import Run
from qwencode.workspace import Workspace


def git(root: Path, *arguments: str) -> bytes:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(root), *identity, *arguments], capture_output=True, check=False)
    assert not done.returncode, done.stderr.decode(errors="replace")
    return done.stdout


def on_disk(root: Path) -> dict[bytes, tuple[int, bytes]]:
    """Return kind, permissions and content (or target) of everything below the root, but git's own directory."""
    found: dict[bytes, tuple[int, bytes]] = {}
    for folder, inner, files in os.walk(root):
        if ".git" in inner:
            inner.remove(".git")
        for name in inner + files:
            path = Path(folder, name)
            mode, content = path.lstat().st_mode, b""
            if path.is_symlink():
                mode, content = stat.S_IFLNK, os.fsencode(path.readlink())
            elif path.is_file():
                content = path.read_bytes()
            found[os.fsencode(path.relative_to(root))] = (mode, content)
    return found


def of_git(root: Path) -> dict[str, object]:
    """Return what a run must never touch: index, HEAD, refs, reflogs, stash, status."""
    folder = Workspace.find(root).git_dir
    index = folder / "index"
    return {
        "status": git(root, "--no-optional-locks", "status", "--porcelain=v2", "--branch", "-z"),
        "index": index.read_bytes() if index.exists() else None,
        "head": (folder / "HEAD").read_bytes(),
        "refs": [line for line in git(root, "for-each-ref").splitlines() if b"refs/qwencode/" not in line],
        "logs": {path.name: path.read_bytes() for path in (folder / "logs").rglob("*") if path.is_file()},
        "log": git(root, "log", "--all", "--oneline") if git(root, "rev-list", "--all") else b"",
    }


def visible(root: Path) -> dict[bytes, tuple[int, bytes]]:
    """Return what git sees of the working tree, the directories on the way to it, and the empty ones."""
    listed = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split(b"\0")
    listed += git(root, "ls-files", "-z", "--others", "--exclude-standard", "--directory").split(b"\0")
    names = {name.rstrip(b"/") for name in listed if name}
    names |= {outer for name in names for outer in outers(name)}
    return {name: value for name, value in on_disk(root).items() if name in names}


def outers(name: bytes) -> list[bytes]:
    parts = name.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


def begin(root: Path, session: str = "20260101-000000-aaaa") -> Run:
    return Run.begin(Workspace.find(root), session)


@pytest.fixture
def project(repository: Path) -> Path:
    """Return a repository with committed, staged, unstaged, untracked and ignored files of many kinds."""
    root = repository
    (root / "src").mkdir()
    (root / "src" / "main.py").write_bytes(b"print('one')\n")
    (root / "src" / "unix.txt").write_bytes(b"a\nb\n")
    (root / "run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("src/main.py")
    (root / ".gitignore").write_bytes(b"*.log\nbuild/\n")
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", "Files")
    (root / "src" / "main.py").write_bytes(b"print('staged')\n")
    git(root, "add", "src/main.py")
    (root / "src" / "main.py").write_bytes(b"print('unstaged')\n")
    (root / "src" / "secret.txt").write_bytes(b"only mine\n")
    (root / "src" / "secret.txt").chmod(0o600)
    (root / "build").mkdir()
    (root / "build" / "out.bin").write_bytes(b"\0\1")
    (root / "x.log").write_bytes(b"log\n")
    (root / "empty" / "er").mkdir(parents=True)
    return root
