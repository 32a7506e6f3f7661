"""The grammar of one tool call, from the declarations, as GBNF for llama.cpp: in tags as Qwen3.5 writes it, or in JSON.

It begins after `<tool_call>` and ends with `</tool_call>`. Names are declared ones, every required parameter is there
and none comes twice; booleans, numbers and enumerations are written as such, arrays and objects as JSON. Strings are
free text that cannot contain the call's own tags.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, Literal

from qwencode.messages import ToolSpec

LONGEST_STRING = 2000
"""llama.cpp takes no larger repetition."""
_ANY_ORDER = 6  # parameters: 2 ** 6 rules for each tool
_TAGS = ("</parameter>", "</function>", "</tool_call>", "<tool_call>", "<parameter=", "<function=")
_VALUES = {
    "boolean": '"true" | "false"',
    "integer": '"0" | "-"? [1-9] [0-9]{0,8}',
    "number": '("0" | "-"? [1-9] [0-9]{0,8}) ("." [0-9]{1,6})?',
    "null": '"null"',
}


def call_grammar(tools: Sequence[ToolSpec], string_limit: int = 0, calls: Literal["tags", "json"] = "tags") -> str:
    """Return the grammar of calls in tags or in JSON. `string_limit`: characters of a string at most; 0 is no limit.

    A limit is for models with random weights, which never close a string by themselves; a sensible model would be cut
    off in the middle of what it writes. Raises ValueError for a limit that llama.cpp cannot count, and without tools.
    """
    if not tools:
        raise ValueError("there is no tool to call")
    if string_limit > LONGEST_STRING:
        raise ValueError(f"a string limit of {string_limit} is over {LONGEST_STRING}")
    rules = _Rules(string_limit).of(tools) if calls == "tags" else _JsonRules(string_limit).of(tools)
    return "\n".join(rules) + "\n"


class _Rules:
    tags: Sequence[str] = _TAGS

    def __init__(self, limit: int):
        self._many = f"{{0,{limit}}}" if limit else "*"
        self._few = "{0,4}" if limit else "*"
        self._numbers = itertools.count()

    def of(self, tools: Sequence[ToolSpec]) -> Iterator[str]:
        starts = [f"tool{number}" for number in range(len(tools))]
        yield f'root ::= "\\n<function=" ({" | ".join(starts)}) "</function>\\n</tool_call>"'
        for start, tool in zip(starts, tools, strict=True):
            yield from self._tool(start, tool)
        yield from self._text()
        yield from self._json()

    def _tool(self, start: str, tool: ToolSpec) -> Iterator[str]:
        """Yield one rule for each set of parameters already given; with many parameters, in the declared order only."""
        schemas, required = _parameters(tool)
        names = sorted(schemas, key=lambda name: name not in required)
        for number, name in enumerate(names):
            yield f"{start}-p{number} ::= {_quoted(f'<parameter={name}>' + chr(10))} ({self._value(schemas[name])})"
        yield f"{start} ::= {_quoted(tool.name + '>' + chr(10))} {start}-0"
        free = len(names) <= _ANY_ORDER
        given_sets = range(1 << len(names)) if free else [(1 << count) - 1 for count in range(len(names) + 1)]
        for given in given_sets:
            missing = [number for number in range(len(names)) if not given >> number & 1]
            after = {number: given | 1 << number for number in missing}
            if not free:  # leaving one out passes over those before it
                after = {number: (2 << number) - 1 for number in missing}
                needed = [number for number in missing if names[number] in required]
                after = {number: after[number] for number in missing if not needed or number <= needed[0]}
            ways = [f"{start}-p{number} {start}-{state}" for number, state in after.items()]
            if not any(names[number] in required for number in missing):
                ways.append('""')
            yield f"{start}-{given} ::= {' | '.join(ways)}"

    def _value(self, schema: Mapping[str, Any]) -> str:
        if choices := schema.get("enum"):
            texts = [choice if isinstance(choice, str) else json.dumps(choice) for choice in choices]
            return f"({' | '.join(map(_quoted, texts))}) end"
        kind = schema.get("type")
        if isinstance(kind, str) and kind in (*_VALUES, "array", "object"):
            return f"({self._json_value(schema)}) end"
        return "text"  # strings, and whatever this grammar does not know

    def _json_value(self, schema: Mapping[str, Any]) -> str:
        """Return an expression for a value in JSON."""
        kind = schema.get("type")
        if choices := schema.get("enum"):
            return " | ".join(_quoted(json.dumps(choice, ensure_ascii=False)) for choice in choices)
        if kind == "array":
            item = f"({self._json_value(schema.get('items', {}))})"
            return f'"[" ({item} (", " {item}){self._few})? "]"'
        if kind == "object" and schema.get("properties"):
            required = set(schema.get("required", schema["properties"]))
            pairs = {
                name: f"{_quoted(json.dumps(name) + ': ')} ({self._json_value(inner)})"
                for name, inner in schema["properties"].items()
            }
            needed = ' ", " '.join(pair for name, pair in pairs.items() if name in required)
            extra = "".join(f' (", " {pair})?' for name, pair in pairs.items() if name not in required and needed)
            return f'"{{" {needed}{extra} "}}"'
        if kind == "object":
            return "json-object"
        return _VALUES.get(str(kind), "") or ("json-string" if kind == "string" else "json")

    def _text(self) -> Iterator[str]:
        yield 'end ::= "\\n</parameter>\\n"'
        yield f"text ::= text-item{self._many} text-cut? end"
        yield from self._tagless("text", "", "")

    def _tagless(self, kind: str, barred: str, escapes: str) -> Iterator[str]:
        """Yield the rules of free text: an automaton over the beginnings of the tags, in which no tag is ever complete.

        `…-in…` goes on until the beginning turns out to be none; `…-cut…` ends the text inside a beginning. `barred`:
        characters that cannot stand in it; `escapes`: what stands for them.
        """
        prefixes = sorted({tag[:size] for tag in self.tags for size in range(1, len(tag))})
        names = {prefix: str(number) for number, prefix in enumerate(prefixes)}
        escape = [escapes] if escapes else []
        first = names["<"]
        ways = [f"[^<{barred}]", f'"<" {kind}-in{first}', *escape]
        yield f"{kind}-item ::= {' | '.join(ways)}"
        yield f'{kind}-cut ::= "<" {kind}-cut{first}'
        for prefix, name in names.items():
            after = sorted({tag[len(prefix)] for tag in self.tags if tag.startswith(prefix)})
            steps = [(_quoted(char), names[prefix + char]) for char in after if prefix + char in names]
            steps.append(('"<"', first))
            ways = [f"[^<{''.join(after)}{barred}]", *(f"{char} {kind}-in{to}" for char, to in steps), *escape]
            yield f"{kind}-in{name} ::= {' | '.join(ways)}"
            yield f'{kind}-cut{name} ::= {" | ".join(f"{char} {kind}-cut{to}" for char, to in steps)} | ""'

    def _json(self) -> Iterator[str]:
        yield 'json ::= json-string | json-object | json-array | json-number | "true" | "false" | "null"'
        yield f"json-number ::= {_VALUES['number']}"
        yield f'json-string ::= "\\"" json-item{self._many} json-cut? "\\""'
        yield r'json-escape ::= "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})'
        yield from self._tagless("json", r'"\\\x00-\x1f\x7f', "json-escape")
        yield f'json-array ::= "[" (json (", " json){self._few})? "]"'
        pair = '(json-string ": " json)'
        yield f'json-object ::= "{{" ({pair} (", " {pair}){self._few})? "}}"'


class _JsonRules(_Rules):
    """A call is one JSON object; its arguments come in the order of the declaration, required ones first."""

    tags = ("</tool_call>", "<tool_call>")

    def of(self, tools: Sequence[ToolSpec]) -> Iterator[str]:
        starts = [f"tool{number}" for number in range(len(tools))]
        yield f'root ::= "\\n"? "{{\\"name\\": " ({" | ".join(starts)}) "}}\\n</tool_call>"'
        for start, tool in zip(starts, tools, strict=True):
            yield from self._tool(start, tool)
        yield from self._json()

    def _tool(self, start: str, tool: ToolSpec) -> Iterator[str]:
        """Yield for each parameter what may come from it on: as the first one, and after others."""
        schemas, required = _parameters(tool)
        names = sorted(schemas, key=lambda name: name not in required)
        opening = f'{json.dumps(tool.name, ensure_ascii=False)}, "arguments": {{'
        yield f'{start} ::= {_quoted(opening)} {start}-first0 "}}"'
        for number, name in enumerate(names):
            pair = f"{_quoted(json.dumps(name, ensure_ascii=False) + ': ')} ({self._json_value(schemas[name])})"
            for place, gap in (("first", ""), ("rest", '", " ')):
                skipped = "" if name in required else f" | {start}-{place}{number + 1}"
                yield f"{start}-{place}{number} ::= {gap}{pair} {start}-rest{number + 1}{skipped}"
        yield f'{start}-first{len(names)} ::= ""'
        yield f'{start}-rest{len(names)} ::= ""'


def _parameters(tool: ToolSpec) -> tuple[Mapping[str, Any], Set[str]]:
    """Return the schemas of a tool's parameters by name, and which of them are required."""
    schemas: Mapping[str, Any] = tool.parameters.get("properties", {})
    return schemas, schemas.keys() & set(tool.parameters.get("required", ()))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
