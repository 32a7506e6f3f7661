"""What git runs on the user's side, outside the sandbox, and what it takes its settings from.

Covered: its directory, also of a work tree or submodule; the hooks, what they are links to, and the scripts above them
that husky's generated hooks call; settings that others include; programs in the work tree that a setting names (a file
system monitor, a filter, a driver, an alias); the directory of a submodule that is not there yet, in which git would
obey a repository; all of this in the repositories below, too. Not covered: what hooks and programs run in turn from the
repository (`npm test`, `node_modules/.bin`).
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from qwencode.workspace import git_environment, git_program

_RUNS = re.compile(
    r"^(alias|pager)\.|\.(alternaterefscommand|askpass|clean|cmd|command|defaultkeycommand|difffilter|driver|editor|"
    r"external|fsmonitor|gitproxy|helper|packobjectshook|pager|path|process|program|receivepack|smudge|sshcommand|"
    r"textconv|update|uploadpack)$"
)
_INCLUDES = re.compile(r"include(if\..*)?\.path", re.DOTALL)
_BETWEEN_WORDS = re.compile(r"[\s'\"`=;|&<>(){}!]+")
_LINKS = 40
"""As many symbolic links as Linux follows."""


def obeyed_by_git(root: Path, nested: Iterable[Path]) -> dict[Path, bool]:
    """Return what git runs or obeys for a work tree and for those `nested` in it; symbolic links are not followed.

    What is there need not be, but for settings that others include (True): a directory in their place, put there to
    keep them away, would stop every git command. What a work tree lies in (that of a bare repository, made below it) is
    left out: it is not for the hooks in it that all of the work tree would have to be left alone.
    """
    found = dict(_repository(root, os.environ)) | dict.fromkeys(_submodules(root), False)
    for each in nested:  # what a git process above us has set is meant for `root`
        found |= dict(_repository(each, git_environment()))
    return found


def links(path: Path) -> Iterator[Path]:
    """Yield every symbolic link that is followed on the way to what an absolute path names."""
    done, ahead, followed = Path("/"), list(reversed(path.parts[1:])), 0
    while ahead:
        part = ahead.pop()
        step = done.parent if part == ".." else done / part
        if not step.is_symlink() or followed == _LINKS:
            done = step
            continue
        followed += 1
        yield step
        target = step.readlink()
        done = Path("/") if target.is_absolute() else done
        ahead += reversed(target.parts[target.is_absolute() :])


def _repository(root: Path, environment: Mapping[str, str]) -> Iterator[tuple[Path, bool]]:
    asked = ("rev-parse", "--git-dir", "--git-common-dir", "--git-path", "hooks")
    places = [root / os.fsdecode(line) for line in ask_git(root, environment, *asked).splitlines()]
    if places:
        scripts = () if _holds(places[-1], root) else _scripts(root, places[-1])
        yield from ((place, False) for place in (*places, *scripts) if not _holds(place, root))
        yield from _settings(root, environment)


def _holds(place: Path, root: Path) -> bool:
    return root.is_relative_to(os.path.realpath(place))


def _scripts(root: Path, hooks: Path) -> Iterator[Path]:
    """Yield what the hooks in a directory are links to, and where husky's lie: theirs is `_` below the scripts."""
    folders = [hooks]
    if hooks.name == "_" and hooks.parent == root:
        yield from (root / path.name for path in _inside(hooks))
    elif hooks.name == "_":
        yield hooks.parent
        folders.append(hooks.parent)
    yield from (path for folder in folders for path in _inside(folder) if path.is_symlink())


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _settings(root: Path, environment: Mapping[str, str]) -> Iterator[tuple[Path, bool]]:
    """Yield the files that hold settings, those that they include, and the programs in the work tree that they name."""
    fields = ask_git(root, environment, "config", "--list", "--null", "--show-origin").split(b"\0")
    for origin, entry in zip(map(os.fsdecode, fields[::2]), map(os.fsdecode, fields[1::2]), strict=False):
        key, _, value = entry.partition("\n")
        file = root / origin.removeprefix("file:")
        if origin.startswith("file:"):
            yield file, False
        if _INCLUDES.fullmatch(key):
            yield file.parent / os.path.expanduser(value), True  # noqa: PTH111 (never raises)
        elif _RUNS.search(key):
            words = (os.path.expanduser(word) for word in _BETWEEN_WORDS.split(value) if word)  # noqa: PTH111
            if key.startswith("alias.") and not value.startswith("!"):
                words = (word for word in words if "/" in word)  # the others are git's own: `log`, `status`
            yield from ((root / word, False) for word in words if os.path.isfile(f"{root / word}"))  # noqa: PTH113


def _submodules(root: Path) -> Iterator[Path]:
    """Yield the pointers of the submodules in the index, or the directories of those that are not there yet."""
    for row in ask_git(root, os.environ, "ls-files", "--stage", "-z").split(b"\0"):
        if row.startswith(b"160000 "):
            folder = root / os.fsdecode(row.partition(b"\t")[2])
            pointer = folder / ".git"
            yield pointer if os.path.lexists(pointer) else folder


def ask_git(root: Path, environment: Mapping[str, str], *arguments: str | bytes) -> bytes:
    """Return what git says of a repository, by the user's own settings; nothing where it cannot say."""
    command = [git_program(root), "-C", str(root), "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, env=environment)
    except OSError:  # no git, so nothing is run by it; or too many arguments for one command
        return b""
    return b"" if done.returncode else done.stdout
