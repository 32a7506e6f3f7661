"""From a typed function to what the model is told about it."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from qwencode.messages import ToolSpec
from qwencode.tools.protocol import Arguments, Tool, ToolResult

_KINDS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    str | None: {"type": "string"},  # may be left out
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    list[str]: {"type": "array", "items": {"type": "string"}},
}


def tool(
    function: Callable[..., ToolResult],
    *,
    preflight: Callable[[Arguments], str] | None = None,
    changes: Callable[[Arguments], frozenset[str]] | None = None,
) -> Tool:
    """Make a tool of a function. The model reads its name, docstring and parameters (`Annotated[type, "text"]`).

    Required parameters come first, as in the signature. Raises KeyError for a type that has no flat schema.
    """
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    schema = {
        "type": "object",
        "properties": {parameter.name: _property(hints[parameter.name]) for parameter in parameters},
        "required": [parameter.name for parameter in parameters if parameter.default is parameter.empty],
    }
    spec = ToolSpec(function.__name__, " ".join((function.__doc__ or "").split()), schema)
    return Tool(spec, function, preflight, changes)


def _property(hint: Any) -> dict[str, Any]:
    if get_origin(hint) is Annotated:
        kind, text = get_args(hint)
        return {**_KINDS[kind], "description": text}
    return dict(_KINDS[hint])
