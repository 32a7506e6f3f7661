"""What the sandbox tests share: a repository in a fake home."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ground:
    """`project` is a git repository under `home`; `outside` belongs to the user as well but not to the repository."""

    base: Path
    home: Path
    project: Path
    outside: Path


def git(*words: str, cwd: Path) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *words], cwd=cwd, check=True, capture_output=True, text=True)
    return done.stdout
