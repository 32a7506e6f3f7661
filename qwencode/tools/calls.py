"""Carrying out what the model asked for: its arguments checked, its mistakes turned into answers."""

import json
from collections.abc import Mapping
from typing import Any, cast

from qwencode.errors import Declined, ToolError
from qwencode.messages import ToolCall, ToolSpec
from qwencode.tools.protocol import Tool, ToolResult

_WANTED = {"string": "a text", "integer": "a whole number", "boolean": "true or false", "array": "a list of texts"}


def carry_out(tools: Mapping[str, Tool], call: ToolCall) -> ToolResult:
    """Run a call. What the model did wrong becomes a result that says so; bugs of ours are raised."""
    try:
        if call.name not in tools:
            raise ToolError(f"There is no tool {call.name!r}. The tools are: {', '.join(tools)}.")
        if call.refused:
            raise ToolError(call.problem)
        if call.problem:
            raise ToolError(f"The call was not carried out: {call.problem}")
        tool = tools[call.name]
        return tool.run(**checked(tool.spec, call.arguments))
    except ToolError as error:
        wrong = not isinstance(error, Declined)
        return ToolResult(str(error), f"{call.name}: {str(error).partition(chr(10))[0]}", ok=False, refused=wrong)


def refusal(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """Return what `carry_out` will answer to a call of which these arguments are complete; '' when it may run."""
    if tool.preflight is None:
        return ""
    known = tool.spec.parameters["properties"]
    given = {name: value for name, value in arguments.items() if name in known and value is not None}
    try:
        return tool.preflight(
            {name: _typed(tool.spec.name, name, value, known[name]["type"]) for name, value in given.items()}
        )
    except ToolError as error:
        return str(error)


def checked(spec: ToolSpec, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments if they are of the declared types; ones that are null take their default.

    Raises ToolError with a sentence for unknown, missing and mistyped parameters. Nothing is converted here: that is
    done where a reply is parsed.
    """
    known, required = spec.parameters["properties"], spec.parameters["required"]
    given = {name: value for name, value in arguments.items() if value is not None}
    if unknown := [name for name in given if name not in known]:
        names = ", ".join(f"{name} (required)" if name in required else name for name in known)
        raise ToolError(f"{spec.name} has no parameter {unknown[0]!r}. Its parameters are: {names}.")
    if missing := [name for name in required if name not in given]:
        raise ToolError(f"{spec.name} needs the parameter {missing[0]!r}. Call it again with {', '.join(required)}.")
    return {name: _typed(spec.name, name, value, known[name]["type"]) for name, value in given.items()}


def _typed(tool_name: str, name: str, value: Any, kind: str) -> Any:
    if not _is(value, kind):
        raise ToolError(f"{tool_name}: {name} must be {_WANTED[kind]}, not {json.dumps(value, default=str)[:80]}.")
    for text in _texts(value):
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise ToolError(f"{tool_name}: {name} holds a NUL or a lone surrogate, which no file can. Give plain text.")
    return value


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case _:
            return isinstance(value, list) and all(isinstance(item, str) for item in cast(list[object], value))


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else cast(list[str], value) if isinstance(value, list) else []
