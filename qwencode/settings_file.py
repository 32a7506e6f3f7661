"""The user's settings file, changed in one place and left as it was in all others: comments, order, line ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwencode.errors import UsageError
from qwencode.settings import Settings, describe, parse, read_toml
from qwencode.workspace import write_atomic

_HEAD = "# Settings of qwencode. What is not set here has its default; `qwencode config` shows what holds, and why.\n"


def put(path: Path, name: str, text: str) -> Any:
    """Set one setting to the value that the text stands for, and return it.

    Raises UsageError for a wrong name or value, and when the file cannot be read or written; then it is as before.
    """
    value = parse(name, text)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{name}={text!r} holds bytes that are not UTF-8, and {path} can hold nothing else."
        ) from error

    def change(document: dict[str, Any]) -> None:
        document[name] = list(value) if isinstance(value, tuple) else value  # pyright: ignore

    _rewrite(path, change)
    return value


def drop(path: Path, name: str) -> bool:
    """Remove one setting, and say whether it was there. Raises UsageError as `put` does."""
    describe(name)
    found: list[Any] = []

    def change(document: dict[str, Any]) -> None:
        found.extend([document.pop(name)] if name in document else [])

    _rewrite(path, change)
    return bool(found)


def begin(path: Path) -> None:
    """Write a file that names every setting in a comment, where there is none. Raises UsageError when it cannot be."""
    if path.exists():
        return
    import json  # writes these values as TOML does

    default = Settings()
    entries = [f"# {describe(name)}\n# {name} = {json.dumps(getattr(default, name))}\n" for name in _names()]
    _write(path, "\n".join([_HEAD, *entries]))


def _names() -> tuple[str, ...]:
    return tuple(Settings.__slots__)  # pyright: ignore[reportAttributeAccessIssue]


def _rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    import tomlkit

    try:
        before = path.read_bytes().decode() if path.exists() else _HEAD
        read_toml(before)  # it says better than tomlkit what is wrong
        document = tomlkit.parse(before)
        change(document)
        after = tomlkit.dumps(document)  # pyright: ignore[reportUnknownMemberType]
    except (ValueError, RecursionError) as error:  # tomlkit does not go as deep
        raise UsageError(f"{path} is not valid TOML: {error}. Mend it with `qwencode config edit`.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    if after != before:
        all_crlf = "\r\n" in before and "\n" not in before.replace("\r\n", "")
        _write(path, after.replace("\r\n", "\n").replace("\n", "\r\n") if all_crlf else after)


def _write(path: Path, text: str) -> None:
    place = path.resolve()  # what a symbolic link leads to is replaced, not the link
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(place, text.encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
