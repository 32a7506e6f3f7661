"""A process that renders chat templates. They are programs that came with a file nobody vouches for.

Jinja's sandbox keeps them from Python; this process keeps them from memory and time. What templates may use is what
llama-cpp-python and the transformers library give them. Reads one request from its input, in JSON, and writes one list
of `[text, problem]`, an entry for each conversation.
"""

import datetime
import json
import resource
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn, cast

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS = 5
"""Processor time for all of a request."""
_MEMORY = 1 << 30
_LONGEST = 1 << 20  # characters of one conversation
_ANYTHING = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def main() -> None:
    """Answer the request."""
    for what, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, _MEMORY)):
        with suppress(OSError, ValueError):  # not every system knows each of them
            resource.setrlimit(what, (most, most))
    request = json.load(sys.stdin)
    json.dump(rendered(request["template"], request["conversations"], request["values"]), sys.stdout)


def rendered(
    template: str, conversations: Sequence[Mapping[str, Any]], values: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return the text of each conversation, or an empty one and what is wrong."""
    try:
        compiled = _environment().from_string(template)
    except (jinja2.TemplateError, *_ANYTHING) as error:
        return [("", _words(error))] * len(conversations)
    return [_one(compiled, {**values, **conversation}) for conversation in conversations]


def _one(template: jinja2.Template, values: Mapping[str, Any]) -> tuple[str, str]:
    try:
        parts, size = list[str](), 0
        for part in template.generate(**values):
            parts.append(part)
            size += len(part)
            if size > _LONGEST:
                return "", "it writes without end"
        return "".join(parts), ""
    except (jinja2.TemplateError, *_ANYTHING) as error:
        return "", _words(error)


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class _Generation(Extension):
    """The tag `generation`, which marks what a model is trained on and changes nothing."""

    tags = {"generation"}  # noqa: RUF012 (as Jinja wants it)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


def _environment() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    now = datetime.datetime.now()  # for all conversations the same
    environment.globals.update(cast(Any, {"raise_exception": _raise, "strftime_now": now.strftime}))
    return environment


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **more: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **more)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
