"""A repository in which commits run the hook, and what its tree and index hold."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ENTRY = "import sys; sys.argv[0] = 'qwencode'; from qwencode.cli import main; main()"


@dataclass(frozen=True)
class Done:
    code: int
    out: str


def program(folder: Path) -> Path:
    """Write a program that runs this very package, and return the folder to put on PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "qwencode"
    package = Path(__file__).parents[2]
    path.write_text(f"#!/bin/sh\nPYTHONPATH='{package}' exec '{sys.executable}' -c \"{ENTRY}\" \"$@\"\n")
    path.chmod(0o755)
    return folder


def run(root: Path, *command: object, **env: str) -> Done:
    """Run a command in a directory as a user would, and return its exit code and all that it printed."""
    environment = {**os.environ, "GIT_EDITOR": "true", "LC_ALL": "C.UTF-8", **env}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=110,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(errors="replace"))


def tree(root: Path) -> dict[str, tuple[int, str]]:
    """Return every file and link of a work tree with its mode and a hash of what it holds."""
    found: dict[str, tuple[int, str]] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in (".git", ".venv")]
        for name in files:
            path = Path(folder, name)
            if path.name == ".git":
                continue
            data = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            found[os.path.relpath(path, root)] = (path.lstat().st_mode, hashlib.sha256(data).hexdigest())
    return found


def index(root: Path) -> bytes:
    """Return the index of a work tree, byte for byte."""
    named = subprocess.run(["git", "rev-parse", "--git-path", "index"], cwd=root, capture_output=True, check=True)
    return (root / os.fsdecode(named.stdout.strip())).read_bytes()


def staged(root: Path) -> str:
    """Return what the index holds, path by path: after a commit git itself has written the file anew."""
    return run(root, "git", "ls-files", "--stage").out
