"""The chat format of Qwen3.5 and Qwen3.6: rendering, one message at a time. `Parser` is the way back.

The pieces of a history, joined, are byte for byte what the model's own template gives with `preserve_thinking=True`
(https://huggingface.co/Qwen/Qwen3.6-35B-A3B, `chat_template.jinja`). With that setting a message renders the same
whatever follows it, so a history only ever grows at its end.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from qwencode.messages import Message, ToolCall, ToolSpec
from qwencode.model.dialect.pieces import Piece, as_json, declaration, pieces
from qwencode.model.dialect.qwen_parser import Parser
from qwencode.model.sampling import sampling_for as sampling

__all__ = ["CALLS", "CLOSING", "STOP", "Parser", "Piece", "close_reply", "open_reply", "render", "render_prefix"]
__all__ += ["sampling", "split_specials"]

STOP = ("<|im_end|>", "<|endoftext|>")
"""A reply ends at either of these tokens."""
CLOSING = STOP[0]
CALLS: Literal["tags", "json"] = "tags"

_SPECIAL = re.compile(r"<\|[a-z_]+\|>|</?(?:tool_call|tool_response|think)>")
_SPLIT = re.compile(r"(?<=<)(?=\|[a-z_]+\|>|/?(?:tool_call|tool_response|think)>)")

_TOOLS_HEAD = "# Tools\n\nYou have access to the following functions:\n\n<tools>"
_TOOLS_TAIL = """
</tools>

If you choose to call a function ONLY reply in the following format with NO suffix:

<tool_call>
<function=example_function_name>
<parameter=example_parameter_1>
value_1
</parameter>
<parameter=example_parameter_2>
This is the value for the second parameter
that can span
multiple lines
</parameter>
</function>
</tool_call>

<IMPORTANT>
Reminder:
- Function calls MUST follow the specified format: an inner <function=...></function> block must be nested within \
<tool_call></tool_call> XML tags
- Required parameters MUST be specified
- You may provide optional reasoning for your function call in natural language BEFORE the function call, but NOT after
- If there is no function call available, answer the question like normal with your current knowledge and do not tell \
the user about function calls
</IMPORTANT>"""


def split_specials(text: str) -> list[str]:
    """Cut `text` so that no part spells a special token. The parts, joined, are the text.

    This vocabulary matches `<think>`, `<tool_call>`, `<tool_response>`, their closers and the fill-in-the-middle tokens
    in any text, even where the tokeniser is told not to parse special tokens. `<|im_end|>` and its kin are cut as well:
    files differ in how they mark them.
    """
    return _SPLIT.split(text) if text else []


def render_prefix(system: str, tools: Sequence[ToolSpec]) -> list[Piece]:
    """Return the system turn, tool declarations first. Empty when there is neither a system text nor a tool."""
    if not tools and not system:
        return []
    parts = [("<|im_start|>system\n", True)]
    if tools:
        parts.append((_TOOLS_HEAD, True))
        parts += [("\n" + as_json(declaration(tool)), False) for tool in tools]
        parts.append((_TOOLS_TAIL, True))
    if text := system.strip():
        parts.append((("\n\n" if tools else "") + text, False))
    return _pieces([*parts, ("<|im_end|>\n", True)])


def render(previous: Message | None, message: Message) -> list[Piece]:
    """Return what must follow `previous` (the prefix: None, or the system message) for `message` to be in the history.

    Tool results that follow each other share one user turn; whatever comes next closes it. Raises ValueError for a
    system message, which can stand only in the prefix.
    """
    text = message.content.strip()
    if message.role == "tool":
        opening = "" if _is_tool(previous) else "<|im_start|>user"
        return _pieces([(opening + "\n<tool_response>\n", True), (text, False), ("\n</tool_response>", True)])
    closing = "<|im_end|>\n" if _is_tool(previous) else ""
    parts = [(f"{closing}<|im_start|>{message.role}\n", True)]
    if message.role == "user":
        parts.append((text, False))
    elif message.role == "assistant":
        parts += [("<think>\n", True), (message.reasoning.strip(), False), ("\n</think>\n\n", True), (text, False)]
        for number, call in enumerate(message.tool_calls):
            parts += [("\n" if number else "\n\n" if text else "", True), *_call(call)]
    else:
        raise ValueError(f"a message of role {message.role!r} cannot follow another")
    return _pieces([*parts, ("<|im_end|>\n", True)])


def open_reply(previous: Message | None, thinking: bool) -> list[Piece]:
    """Return what must follow `previous` for the model to reply: an open think block, or an empty one."""
    closing = "<|im_end|>\n" if _is_tool(previous) else ""
    block = "<think>\n" if thinking else "<think>\n\n</think>\n\n"
    return [Piece(f"{closing}<|im_start|>assistant\n{block}", True)]


def close_reply(generated: str, thinking: bool) -> list[Piece]:
    """Return what completes the assistant message of which `generated` is already in the model's memory.

    `generated` is all that followed `open_reply(…, thinking)`, including the stop token if that was evaluated: better
    not, since a think block or a call that was left open is closed here too, and that must come before it.
    """
    if generated.endswith(STOP[0]):
        return [Piece("\n", True)]
    parser = Parser((), thinking)
    parser.feed(generated)
    calls, tail = generated.rfind("<tool_call>"), ""
    if calls > generated.rfind("</tool_call>") and (parser.calling or parser.finish().tool_calls):
        block = generated[calls:]
        opened = [tag for tag in ("parameter", "function") if block.rfind(f"<{tag}=") > block.rfind(f"</{tag}>")]
        tail = "".join(f"\n</{tag}>" for tag in (*opened, "tool_call"))
        parser.feed(tail)
    if parser.thinking:
        tail += "\n</think>\n\n"
    if generated.endswith("\n"):
        tail = tail.removeprefix("\n")
    return [Piece(f"{tail}{STOP[0]}\n", True)]


def _is_tool(message: Message | None) -> bool:
    return message is not None and message.role == "tool"


def _call(call: ToolCall) -> Iterable[tuple[str, bool]]:
    yield "<tool_call>\n<function=", True
    yield call.name, False
    yield ">\n", True
    for name, value in call.arguments.items():
        yield f"<parameter={name}>\n{value if isinstance(value, str) else as_json(value)}\n</parameter>\n", False
    yield "</function>\n</tool_call>", True


def _pieces(parts: Iterable[tuple[str, bool]]) -> list[Piece]:
    return pieces(parts, _SPECIAL)
