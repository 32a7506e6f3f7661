"""From what a model wrote as a call to a checked `ToolCall`. Problems become sentences that the model can act on."""

import ast
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, cast

from qwencode.messages import ToolCall, ToolSpec

_MISSING = object()
DEEPEST = 100  # lists and objects inside each other
_TOO_LARGE = 2**63  # for a number: not every reader of JSON takes more, nor does the system


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


DECODER = json.JSONDecoder(strict=False, parse_constant=_no_constant)
"""Reads JSON as models write it: raw line breaks inside strings are forgiven, NaN is not a number.

What it returns can still be something that cannot be stored or sent: `valid` says so.
"""
CALL_DECODER = json.JSONDecoder(strict=False, parse_constant=_no_constant, object_pairs_hook=_each_once)
"""The same for a whole call, in which no key may stand twice: one of the values would be lost."""

TRUNCATED = (
    "The reply reached its length limit inside this call, so it was not carried out. Write it again, shorter: change "
    "less at a time."
)


def build_call(
    call_id: str, name: str, written: Mapping[str, Any], tools: Mapping[str, ToolSpec], problem: str = ""
) -> ToolCall:
    """Check a call against its declaration and give every argument the type that the schema asks for.

    A string is converted where the schema wants something else; what cannot be converted stays as it was written and is
    named in `problem`, after the `problem` that was known before.
    """
    name = str(valid(name))
    spec = tools.get(name)
    if spec is None:
        return ToolCall(call_id, name, valid(dict(written)), problem or _unknown_tool(name, tools))
    schema = spec.parameters
    declared: Mapping[str, Any] = schema.get("properties", {})
    required: Sequence[str] = schema.get("required", ())
    problems = [problem] if problem else []
    arguments: dict[str, Any] = {}
    for key, value in cast(dict[str, Any], valid(dict(written))).items():
        if key not in declared:
            problems.append(f"{name} has no parameter {key!r}; it has: {', '.join(declared) or 'none'}.")
            arguments[key] = value
            continue
        if key not in required and value == "" and "string" not in _types(declared[key]):
            continue  # an optional number left empty was not given
        converted = coerce(value, declared[key])
        wrong = converted is _MISSING
        arguments[key] = value if wrong else converted
        if wrong:
            problems.append(f"{key} must be {_wanted(declared[key])}, not {_short(value)}.")
    if not problem and (missing := [key for key in required if key not in arguments]):
        problems.append(f"{name} needs {' and '.join(missing)}. Write the whole call again with it.")
    return ToolCall(call_id, name, arguments, " ".join(problems))


def coerce(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return `value` as the type of `schema`, or the module's `_MISSING` mark when it is none.

    Strings are read as the type demands: numbers, `true` and `True`, JSON or Python literals for arrays and objects,
    and lines for an array of strings.
    """
    types, choices = _types(schema), schema.get("enum")
    if isinstance(value, str) and choices is not None:  # as the grammar of a forced call spells them
        spelled = (choice for choice in choices if not isinstance(choice, str) and json.dumps(choice) == value)
        value = value if value in choices else next(spelled, value)
    result = value if not types or _is_one_of(value, types) else _convert(value, types, schema)
    if choices is not None and result is not _MISSING and result not in choices:
        return _MISSING
    return result


def valid(value: Any, deepest: int = DEEPEST) -> Any:
    """Return a JSON value with halves of surrogate pairs replaced: no text that holds one can be stored or sent.

    Raises ValueError for what has no place in JSON (infinity, bytes, sets, keys that are no text) and for lists and
    objects nested more than `deepest` times, which not every reader can take.
    """
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list() | tuple() if deepest:
            return [valid(item, deepest - 1) for item in cast(Sequence[Any], value)]
        case dict() if deepest and all(isinstance(key, str) for key in cast(dict[Any, Any], value)):
            return {valid(key): valid(item, deepest - 1) for key, item in cast(dict[str, Any], value).items()}
        case None | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case _:
            raise ValueError("a value is nested too deeply, or JSON cannot hold it")


def decode(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError when it is none, or none that can be stored and sent."""
    try:
        return valid(DECODER.decode(text))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_json_call(value: Any) -> tuple[str, dict[str, Any]] | None:
    """Return name and arguments of a call written as a JSON object, in one of the usual shapes.

    What stands beside the name counts as arguments when there are no others, and is added to them when there are.
    """
    call = dict(cast(dict[str, Any], value)) if isinstance(value, dict) else {}
    if isinstance(call.get("function"), dict):
        call |= call.pop("function")
    name = call.pop("name" if "name" in call else "function", None)
    arguments = {}
    if key := next((key for key in ("arguments", "parameters") if key in call), ""):
        arguments = call.pop(key)
        call.pop("id", None)
        call.pop("type", None)
    if isinstance(arguments, str):
        arguments = _parsed(decode, arguments)
    if not isinstance(name, str) or not isinstance(arguments, dict) or call.keys() & arguments.keys():
        return None
    return name, {**call, **cast(dict[str, Any], arguments)}


def _convert(value: Any, types: set[str], schema: Mapping[str, Any]) -> Any:
    if not isinstance(value, str):
        if "string" in types:
            return json.dumps(value, ensure_ascii=False)
        if "integer" in types and isinstance(value, float) and value.is_integer() and abs(value) < _TOO_LARGE:
            return int(value)
        return _MISSING
    text = value.strip()
    if "boolean" in types and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if "null" in types and text.lower() in ("null", "none"):
        return None
    for kind, read in (("integer", _integer), ("number", _number)):
        if kind in types and (number := read(text)) is not None:
            return number
    if types & {"array", "object"}:
        for parse in (decode, _literal):
            parsed = _parsed(parse, text)
            if _is_one_of(parsed, types & {"array", "object"}):
                return parsed
        if "array" in types and "string" in _types(schema.get("items", {})) and not text.startswith(("[", "{")):
            return [line.strip() for line in text.splitlines() if line.strip()]
    return _MISSING


def _types(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type")
    found = {kind} if isinstance(kind, str) else set(cast(Sequence[str], kind or ()))
    for union in ("anyOf", "oneOf"):
        for option in schema.get(union, ()):
            found |= _types(option)
    return found


def _is_one_of(value: Any, types: set[str]) -> bool:
    match value:
        case bool():
            return "boolean" in types
        case int():
            return bool(types & {"integer", "number"}) and abs(value) < _TOO_LARGE
        case float():
            return "number" in types and abs(value) < _TOO_LARGE
        case str():
            return "string" in types
        case None:
            return "null" in types
        case list():
            return "array" in types
        case dict():
            return "object" in types
        case _:
            return False


def _integer(text: str) -> int | None:
    number = _number(text)
    return int(number) if number is not None and number == int(number) else None


def _number(text: str) -> int | float | None:
    try:
        number = DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < _TOO_LARGE:
        return None
    return number


def _parsed(parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return _MISSING


def _literal(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that Python does not know
        return valid(ast.literal_eval(text))


def _wanted(schema: Mapping[str, Any]) -> str:
    if choices := schema.get("enum"):
        return "one of " + ", ".join(map(str, choices))
    names = {"array": "a JSON array", "object": "a JSON object", "integer": "a whole number", "number": "a number"}
    names |= {"boolean": "true or false", "null": "null", "string": "a text"}
    return " or ".join(names.get(kind, kind) for kind in sorted(_types(schema)))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…" + text[-1]


def _unknown_tool(name: str, tools: Mapping[str, ToolSpec]) -> str:
    if not tools:
        return f"There is no tool {name!r}, and none can be called here. Answer in plain text."
    close = get_close_matches(name, tools, 1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"There is no tool {name!r}. The tools are: {', '.join(tools)}.{hint}"
