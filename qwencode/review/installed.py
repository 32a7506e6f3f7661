"""The hook in a repository's hooks directory: put there beside what is there already, and taken out without a trace.

Where hooks lie is what git says (`core.hooksPath`, git-config(1)). An existing hook is moved aside in the same
directory, so that what it finds beside itself is still there, and runs first; its refusal stands. Only husky's is left
alone: its hooks lie in a directory that it writes anew, and each goes by its own name to the script above that it runs,
so under another name it would run none.
"""

import os
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qwencode.errors import UsageError
from qwencode.review.repository import Repository
from qwencode.workspace import GitError, write_atomic

NAME = "pre-commit"
ASIDE = f"{NAME}.before-qwencode"
_MARK = "# Installed by qwencode; `qwencode hook uninstall` takes it out again."
_MADE = "# It made this directory."
_OTHERS = (f"{NAME}.legacy",)  # where the pre-commit framework moves a hook that it finds


@dataclass(frozen=True, slots=True)
class Place:
    """Where the hooks of a repository lie. `scope`: whose setting that is; '' for git's own place."""

    folder: Path
    scope: str

    @property
    def hook(self) -> Path:
        return self.folder / NAME

    @property
    def aside(self) -> Path:
        return self.folder / ASIDE

    @property
    def husky(self) -> Path | None:
        """The script that husky's hook runs, where it is husky's directory."""
        above = self.folder.parent
        is_husky = self.folder.name == "_" and (above.name == ".husky" or (self.folder / "h").is_file())
        return above / NAME if is_husky else None


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand: `ours` whether the hook that git runs is ours; `kept` the hook that runs before it, if any."""

    state: Literal["installed", "chained", "absent"]
    hook: Path
    kept: Path | None
    text: str


def place(repository: Repository) -> Place:
    """Return where git looks for hooks now."""
    try:
        found = repository.git("config", "--path", "--show-scope", "-z", "--get-all", "core.hooksPath").split(b"\0")
    except GitError:  # not set at all, but for us
        found = []
    pairs = [(os.fsdecode(scope), os.fsdecode(path)) for scope, path in zip(found[::2], found[1::2], strict=False)]
    pairs = [(scope, path) for scope, path in pairs if scope != "command"]  # ours, against the user's own hooks
    if pairs:
        scope, path = pairs[-1]
        return Place(repository.root / path, scope)
    return Place(repository.common / "hooks", "")


def install(repository: Repository, program: Sequence[str], options: Sequence[str]) -> str:
    """Install the hook, or install it anew with other options, and return a sentence. Raises UsageError."""
    where = place(repository)
    if where.scope in ("global", "system"):
        command = shlex.join([*program, "hook", *options])
        raise UsageError(
            f"core.hooksPath of your {where.scope} settings names {where.folder}, the hooks of all repositories; "
            f"nothing was changed. Put `{command}` into {where.hook} yourself, or give this repository hooks of its "
            "own: git config --local core.hooksPath .git/hooks"
        )
    if where.husky and _names_us(where.husky) and not _is_ours(where.hook):
        return f"{where.husky}, which husky runs, names qwencode already. To have other options, change that line."
    if where.husky:
        first = "take ours out of there (qwencode hook uninstall) and " if _is_ours(where.hook) else ""
        raise UsageError(
            f"husky writes the hooks in {where.folder} and would run none of its own beside ours; nothing was changed. "
            f"Instead {first}add this line to {where.husky}: {shlex.join(['qwencode', 'hook', *options])}"
        )
    made = not where.folder.exists()
    try:
        where.folder.mkdir(parents=True, exist_ok=True)
        again = _is_ours(where.hook)
        made = made or (again and _MADE in _text(where.hook))
        if not again and os.path.lexists(where.hook):
            if os.path.lexists(where.aside):
                raise UsageError(f"{where.aside} is there already. Look at it and move it away; nothing was changed.")
            where.hook.rename(where.aside)
        write_atomic(where.hook, _script(program, options, made).encode("utf-8", "surrogateescape"), 0o755)
    except OSError as error:
        raise UsageError(f"The hook cannot be written to {where.folder}: {error.strerror}.") from error
    before = f" {where.aside.name} runs before it." if os.path.lexists(where.aside) else ""
    return f"Installed {where.hook}.{before} Take it out again: qwencode hook uninstall"


def uninstall(repository: Repository) -> str:
    """Take the hook out, put back what was there before, and return a sentence. Raises UsageError."""
    where = place(repository)
    if not _is_ours(where.hook):
        if other := _chained(where):
            raise UsageError(
                f"{where.hook} belongs to another program, which runs ours as {other.name}. Remove that file."
            )
        if where.husky and _names_us(where.husky):
            raise UsageError(f"{where.husky} is yours and names qwencode. Take that line out of it.")
        if _is_ours(repository.common / "hooks" / NAME):
            where = Place(repository.common / "hooks", "")  # core.hooksPath was set since
        else:
            return f"There is no hook of qwencode in {where.folder}."
    try:
        made = _MADE in _text(where.hook)
        if os.path.lexists(where.aside):
            where.aside.replace(where.hook)
            return f"Taken out; {where.hook} is as it was before."
        where.hook.unlink()
        if made and not any(where.folder.iterdir()):
            where.folder.rmdir()
    except OSError as error:
        raise UsageError(f"The hook cannot be taken out of {where.folder}: {error.strerror}.") from error
    return f"Taken out of {where.folder}."


def status(repository: Repository) -> Status:
    """Say whether commits run the hook, and what runs before it."""
    where = place(repository)
    kept = where.aside if os.path.lexists(where.aside) else None
    if _is_ours(where.hook):
        line = next((row for row in _text(where.hook).splitlines() if row.startswith("exec ")), "exec")
        options = line.partition(" hook")[2].strip()
        parts = [f"Installed: {where.hook}{f', with {options}' if options else ''}."]
        if not os.access(where.hook, os.X_OK):
            parts.append("It is not executable, so git does not run it: chmod +x, or install it again.")
        parts += [f"{kept.name} runs before it."] if kept else []
        return Status("installed", where.hook, kept, " ".join(parts))
    if other := _chained(where):
        return Status("chained", where.hook, other, f"Another hook, {where.hook}, runs ours as {other.name}.")
    if where.husky and _names_us(where.husky):
        return Status("chained", where.hook, where.husky, f"husky runs {where.husky}, which names qwencode.")
    if _names_us(repository.root / ".pre-commit-config.yaml"):
        text = "Not installed here; .pre-commit-config.yaml names qwencode (`pre-commit install` runs it)."
        return Status("absent", where.hook, None, text)
    if where.husky:
        line = f"Not installed. Add this line to {where.husky}, which husky runs: qwencode hook"
        return Status("absent", where.hook, None, line)
    there = f" {where.hook} is another hook; ours would run after it." if os.path.lexists(where.hook) else ""
    return Status("absent", where.hook, None, f"Not installed. Do so: qwencode hook install.{there}")


def _chained(where: Place) -> Path | None:
    return next((where.folder / name for name in _OTHERS if _is_ours(where.folder / name)), None)


def _names_us(path: Path) -> bool:
    return any("qwencode" in line.partition("#")[0] for line in _text(path).splitlines())


def _is_ours(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and _MARK in _text(path)


def _text(path: Path) -> str:
    try:
        if stat.S_ISREG(path.stat().st_mode):
            return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        pass
    return ""


def _script(program: Sequence[str], options: Sequence[str], made: bool) -> str:
    """Return the hook. A program that is gone must not keep anybody from committing."""
    command = shlex.join([*program, "hook", *options])
    return f"""\
#!/bin/sh
{_MARK}
{_MADE if made else "#"}
before="$(dirname -- "$0")/{ASIDE}"
if [ -x "$before" ]; then
    "$before" "$@" || exit $?
fi
if ! command -v {shlex.quote(program[0])} >/dev/null 2>&1; then
    echo "qwencode is not at {program[0]} any more, so the commit was not looked at." >&2
    exit 0
fi
exec {command}
"""
