"""A copy of a whole state of the repository: what is staged, or a commit, as files in a work tree of its own.

It is a git repository that borrows the objects of the real one and shares nothing else with it: no index, no hooks, no
settings. What git ignores in the real work tree is linked in, since tests need it (virtual environments, built
modules, `node_modules`); it cannot be written from inside of the sandbox. Not covered: contents that a filter makes
(git LFS): these files hold what is in the object store.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from qwencode.review.change import ON_DISK, STAGED, Change
from qwencode.review.repository import Repository
from qwencode.workspace import git

_NOT_LINKED = frozenset(
    (
        *(
            "__pycache__",
            ".pytest_cache",
            ".mypy_cache",
            ".ruff_cache",
            ".hypothesis",
            ".tox",
            ".nox",
            ".git",
            ".cache",
        ),
        *("htmlcov", ".coverage", "target", ".idea", ".vscode", ".DS_Store", ".qwencode"),
    )
)
_NO_FILTERS = [
    part for name in ("smudge=", "process=", "clean=", "required=false") for part in ("-c", f"filter.lfs.{name}")
]
_SUBMODULE = b"160000"


def copy_of(change: Change, state: str, folder: Path) -> Path:
    """Write a state of a repository (STAGED, ON_DISK or a commit) to a new folder. Raises GitError, OSError."""
    repository = change.repository
    wide = len(change.base) == 64
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "--template=", f"--object-format={'sha256' if wide else 'sha1'}", ".")
    info = folder / ".git" / "objects" / "info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "alternates").write_bytes(os.fsencode(repository.common / "objects") + b"\n")
    if head := repository.commit("HEAD"):
        git(folder, "update-ref", "--no-deref", "HEAD", head)
    if state in (STAGED, ON_DISK):
        listing = repository.git("ls-files", "--stage", "-z")
        git(folder, "update-index", "-z", "--index-info", stdin=listing)
    else:
        git(folder, "read-tree", state)
    git(folder, *_NO_FILTERS, "checkout-index", "--all", "--force", "--quiet")
    if state == ON_DISK:
        _lay_over(repository, folder)
    _link(repository, folder, _without_submodules(folder))
    return folder


def listing_of(change: Change) -> str:
    """Return a text that is the same whenever the whole state after a change is."""
    repository = change.repository
    if change.state in (STAGED, ON_DISK):
        staged = repository.git("ls-files", "--stage", "-z").decode("utf-8", "surrogateescape")
        return staged + (change.id if change.state == ON_DISK else "")
    return repository.git("rev-parse", f"{change.state}^{{tree}}").decode()


def _lay_over(repository: Repository, folder: Path) -> None:
    """Bring what lies in the work tree over what is staged: changed, new and deleted files."""
    gone = repository.git("ls-files", "-z", "--deleted").split(b"\0")
    changed = repository.git("ls-files", "-z", "--modified", "--others", "--exclude-standard").split(b"\0")
    for name in filter(None, gone):
        with suppress(OSError):
            (folder / os.fsdecode(name)).unlink()
    for name in filter(None, changed):
        source, target = repository.root / os.fsdecode(name), folder / os.fsdecode(name)
        if source.is_symlink() or source.is_file():
            _make_room(folder, target)
            shutil.copy2(source, target, follow_symlinks=False)


def _make_room(folder: Path, target: Path) -> None:
    """Take away what stands where a file, or a folder above it, is to be. A link that was staged leads elsewhere."""
    for place in (*reversed(target.relative_to(folder).parents), target.relative_to(folder)):
        here = folder / place
        if here.is_symlink() or here.is_file():
            here.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)


def _is_through_link(folder: Path, target: Path) -> bool:
    return any((folder / place).is_symlink() for place in target.relative_to(folder).parents)


def _without_submodules(folder: Path) -> list[bytes]:
    """Take the submodules out of the index of the copy, where they are links to the real ones, and return their names.

    git would look into a directory that a command puts in the place of such a link, and no sandbox can keep a link.
    """
    rows = git(folder, "ls-files", "--stage", "-z").split(b"\0")
    names = [row.partition(b"\t")[2] for row in rows if row.startswith(_SUBMODULE)]
    git(folder, "update-index", "-z", "--force-remove", "--stdin", stdin=b"".join(name + b"\0" for name in names))
    return names


def _link(repository: Repository, folder: Path, submodules: list[bytes]) -> None:
    """Link what git ignores, and the submodules, from the real work tree."""
    listed = repository.git("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    linked: list[bytes] = []
    for raw in filter(None, [*listed.split(b"\0"), *submodules]):
        name = os.fsdecode(raw).rstrip("/")
        target = folder / name
        if name in ("", ".") or _NOT_LINKED.intersection(name.split("/")) or name.endswith((".pyc", ".orig", ".log")):
            continue
        if _is_through_link(folder, target):  # that folder is a link in this state
            continue
        with suppress(OSError):  # a folder that the copy has no use for
            if target.is_dir() and not target.is_symlink():
                target.rmdir()
            target.symlink_to(repository.root / name)
            linked.append(b"/" + raw.rstrip(b"/") + b"\n")
    exclude = folder / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_bytes(b"".join(linked))
