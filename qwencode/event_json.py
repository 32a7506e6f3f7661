"""Events as JSON, on the wire and on disk.

`to_dict` gives `{"type": "snake_case_name", …}` and `from_dict` takes it back, so that a recorded trace can be replayed
into any reader.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, cast, get_args, get_origin

from qwencode.events import Event, Suspect, TestChange
from qwencode.messages import Message, ToolCall, Usage


def type_name(event: Event | type[Event]) -> str:
    """Return the name of an event on the wire: `RunStarted` is `run_started`."""
    name = event.__name__ if isinstance(event, type) else type(event).__name__
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def to_dict(event: Event) -> dict[str, Any]:
    """Return the event as plain JSON values, its type first."""
    return {"type": type_name(event), **{each.name: _plain(getattr(event, each.name)) for each in fields(event)}}


def from_dict(data: dict[str, Any]) -> Event:
    """Rebuild an event from `to_dict`.

    Raises KeyError for an unknown type and TypeError for missing, unknown and mistyped fields.
    """
    values = dict(data)
    cls = _BY_NAME[values.pop("type")]
    built = {name: _BUILD.get(name, _tuples)(value) for name, value in values.items()}
    event = cls(**built)
    _check(event)
    if isinstance(message := built.get("message"), Message):
        _check(message)
        for call in message.tool_calls:
            _check(call)
    return event


def _check(value: Any) -> None:
    """Raise TypeError for a field that holds what it cannot: whoever reads it later would fail far from here."""
    for name, kinds, literals in _fields_of(cast("type[Any]", type(value))):
        held = getattr(value, name)
        if not (held in literals if literals else isinstance(held, kinds)):
            raise TypeError(f"{name} cannot be {str(held)[:80]!r}")


@cache
def _fields_of(cls: type[Any]) -> list[tuple[str, type | tuple[type, ...], tuple[Any, ...]]]:
    """Return of each field that can be checked its name, and its types or its only values."""
    found: list[tuple[str, type | tuple[type, ...], tuple[Any, ...]]] = []
    for each in fields(cls):
        kind = get_origin(each.type) or each.type
        if kind is Literal:
            found.append((each.name, (), get_args(each.type)))
        elif isinstance(kind, type) and kind is not UnionType:
            found.append((each.name, (int, float) if kind is float else kind, ()))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Message | ToolCall):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    return value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in cast("list[Any]", value)) if isinstance(value, list) else value


def _call(value: dict[str, Any]) -> ToolCall:
    return ToolCall(**value)


def _usage(value: dict[str, Any]) -> Usage:
    return Usage(**value)


def _suspects(value: list[dict[str, Any]]) -> tuple[Suspect, ...]:
    return tuple(Suspect(**item) for item in value)


def _proof(value: list[dict[str, Any]]) -> tuple[TestChange, ...]:
    return tuple(TestChange(**item) for item in value)


_BY_NAME: dict[str, type[Event]] = {type_name(cls): cls for cls in get_args(Event)}
_BUILD: dict[str, Callable[[Any], Any]] = {
    "message": Message.from_dict,
    "call": _call,
    "usage": _usage,
    "suspects": _suspects,
    "proof": _proof,
}
