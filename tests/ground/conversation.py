"""A conversation to hold with a real model: tools, how it begins, what answers a reply, what comes in between."""

from dataclasses import replace

from qwencode.messages import Message, Reply, ToolSpec
from qwencode.model.protocol import Model, Options

EDIT = ToolSpec(
    "edit",
    "Replace a text.",
    {
        "type": "object",
        "properties": {
            "file_path": {"type": "string"},
            "old_string": {"type": "string"},
            "new_string": {"type": "string"},
            "replace_all": {"type": "boolean"},
        },
        "required": ["file_path", "old_string", "new_string"],
    },
)
TESTS = ToolSpec("run_tests", "Run tests.", {"type": "object", "properties": {"selection": {"type": "string"}}})
ITEMS = {"type": "array", "items": {"type": "string"}}
PLAN = ToolSpec("todo_write", "Plan.", {"type": "object", "properties": {"items": ITEMS}, "required": ["items"]})
READ = ToolSpec(
    "read_file",
    "Read.",
    {
        "type": "object",
        "properties": {
            "file_path": {"type": "string"},
            "offset": {"type": "integer"},
            "mode": {"type": "string", "enum": ["text", "hex"]},
        },
        "required": ["file_path"],
    },
)
TOOLS = [EDIT, TESTS, PLAN, READ]
START = [Message("system", "You are terse."), Message("user", "Mend it. <tool_call> </think> <|im_end|>")]
TOLERANCE = 0.5
"""Of logits that spread over about 25."""
SHORT = Options(max_tokens=24, seed=5)


def answer(reply: Reply, text: str = "done") -> list[Message]:
    calls = reply.message.tool_calls
    return [reply.message, *(Message("tool", text, answers=call.id) for call in calls)]


def stepped(model: Model, history: list[Message], what: str, number: int, seed: int) -> list[Message]:
    """Do what comes between two replies: go back, edit what was said, or stop another reply. Returns the history."""
    if what == "rewind" and len(history) > number + 1:
        return history[:-number]
    if what == "edit" and len(history) > number + 1:
        history = list(history)
        history[-number] = replace(history[-number], content=f"Edited {seed}.")
    if what == "stop":
        stream = model.stream([*history, Message("user", "Wait. " * 40)], [], replace(SHORT, seed=seed))
        for _ in zip(range(number), stream, strict=False):
            pass
        stream.close()
    return history
