"""A file that says that it mends lines: it knows its tools without being told, and its conversations begin anew."""

from pathlib import Path

import pytest

from qwencode.events import CacheMissed
from qwencode.messages import Message, Reply, ToolSpec
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.gguf_header import LINE_FORM, check
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options
from replies import drive

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TOOLS = [ToolSpec("edit", "Replace one thing by another.", SCHEMA)]
FIT = Fit(context=1024, threads=1)


def said(model: LlamaModel, history: list[Message], tools: list[ToolSpec], misses: int = 0) -> Reply:
    options = Options(tool_choice="required" if tools else "auto", max_tokens=64, seed=1)
    reply, events = drive(model.stream(history, tools, options))
    assert sum(isinstance(event, CacheMissed) for event in events) == misses
    return reply


def test_the_file_says_it(lined: Path, tiny: Path):
    assert check(lined).form == LINE_FORM
    assert check(tiny).form == ""


@pytest.mark.parametrize("declared", [True, False])
def test_tools_are_known_and_not_declared(lined: Path, tiny: Path, declared: bool):
    model = LlamaModel(tiny if declared else lined, FIT, string_limit=8)
    history = [Message("user", "# a.py\n>>x = 1")]
    bare, with_tools = said(model, history, []), said(model, history, TOOLS, misses=int(declared))
    assert (with_tools.usage.prompt > bare.usage.prompt) == declared
    (call,) = with_tools.message.tool_calls
    assert (call.name, list(call.arguments), call.problem) == ("edit", ["path"], "")
    model.close()


def test_to_begin_anew_is_no_miss(lined: Path):
    model = LlamaModel(lined, FIT, string_limit=8)
    first = [Message("user", "# a.py\n>>x = 1")]
    reply = said(model, first, TOOLS).message
    longer = [*first, reply, Message("tool", "Still failing.", answers=reply.tool_calls[0].id)]
    second = said(model, longer, TOOLS)
    assert second.usage.cached >= 10, "within a conversation nothing is read twice"
    said(model, [Message("user", "# b.py\n>>y = 2")], TOOLS)
    assert said(model, first, TOOLS).message.tool_calls
    model.close()
