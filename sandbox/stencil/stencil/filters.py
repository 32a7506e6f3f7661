"""The filters that every template has. The first argument is the value that is filtered."""

from collections.abc import Callable, Iterable
from typing import Any

Filter = Callable[..., Any]


def text(value: Any) -> str:
    """Return how a value is printed: None as nothing, booleans in lower case."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def default(value: Any, fallback: Any = "") -> Any:
    """Return the fallback for a value that is missing (None). Zero, False and "" are values."""
    return value if value else fallback


def join(value: Iterable[Any], separator: str = ", ") -> str:
    return separator.join(text(item) for item in value)


def truncate(value: Any, length: int, end: str = "...") -> str:
    """Cut a text to `length` characters, its ending included."""
    full = text(value)
    if len(full) <= length:
        return full
    return full[: max(0, length - len(end))] + end


def plural(value: int, one: str, many: str) -> str:
    """Return the count with the word that belongs to it: `{{ 1 | plural("file", "files") }}` is "1 file"."""
    return f"{value} {one if value == 1 else many}"


def indent(value: Any, width: int) -> str:
    """Indent all lines but the first."""
    return text(value).replace("\n", "\n" + " " * width)


FILTERS: dict[str, Filter] = {
    "default": default,
    "indent": indent,
    "join": join,
    "length": len,
    "lower": lambda value: text(value).lower(),
    "plural": plural,
    "title": lambda value: text(value).title(),
    "truncate": truncate,
    "upper": lambda value: text(value).upper(),
}
