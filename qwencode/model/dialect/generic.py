"""The chat format of any model whose file brings a template: rendering, one message at a time, with calls in JSON.

The frames of the turns are the file's own (`template`). What stands in them is ours: tools are declared in the system
message and called as `<tool_call>` with a JSON object, the form that Qwen2.5 and 3 were trained on and others are told
of; results come back as `<tool_response>` in the user's turn. So no template needs to know of tools. Messages of one
side that follow each other share a turn. Reasoning of earlier turns is not shown again, which is what the templates do;
a reply that is still in memory keeps the tokens that it has.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from qwencode.messages import Message, ToolSpec
from qwencode.model.dialect.generic_parser import MARKS
from qwencode.model.dialect.generic_parser import Parser as Reader
from qwencode.model.dialect.pieces import Piece, as_json, declaration, pieces
from qwencode.model.dialect.template import Frames
from qwencode.model.sampling import Sampling

_TOOLS_HEAD = "# Tools\n\nYou can call these functions, declared in JSON, one on each line:\n<tools>"
_TOOLS_TAIL = """
</tools>

To call a function, write its name and its arguments as one JSON object between two tags, each on a line of its own:
<tool_call>
{"name": "example_function", "arguments": {"text": "first line\\nsecond line", "count": 2}}
</tool_call>

Call only what is declared, and give every required argument. In texts write \\n for a line break, \\" for a quotation \
mark and \\\\ for a backslash. You may say in a sentence what you do before a call, and write nothing after it: the \
result comes back to you as <tool_response>. Several calls may follow each other, each between tags of its own. When \
no call is needed, answer in plain text."""
_GAP = "\n\n"
_OPENS_THINKING = re.compile(r"<think>\s*\Z")


class Generic:
    """A dialect, as `Dialect` says. `bos` comes first of all, where the frames do not begin with it themselves.

    `specials`: the texts of the vocabulary's special tokens. `stops`: of those at which a reply ends.
    """

    CLOSING = ""
    CALLS: Literal["tags", "json"] = "json"

    def __init__(self, frames: Frames, specials: Collection[str], stops: Sequence[str], bos: str, sampling: Sampling):
        self.STOP = tuple(stops)
        self._frames, self._bos, self._sampling = frames, bos, sampling
        longest_first = sorted(filter(None, specials), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._split = _cuts(longest_first)
        self._marks = frozenset(mark for mark in MARKS if mark in specials)

    def split_specials(self, text: str) -> list[str]:
        """Cut `text` so that no part spells a special token. The parts, joined, are the text."""
        return self._split.split(text) if text else []

    def render_prefix(self, system: str, tools: Sequence[ToolSpec]) -> list[Piece]:
        """Return the system turn but for its end, tool declarations last. Empty when there is nothing to say.

        Where the template has no system message it is the beginning of the first user's.
        """
        text = system.strip()
        if not text and not tools:
            return []
        opening = self._frames.start if self._frames.system is None else self._frames.system
        parts = [(self._begun(opening), True), (text, False)]
        if tools:
            parts.append(((_GAP if text else "") + _TOOLS_HEAD, True))
            parts += [("\n" + as_json(declaration(tool)), False) for tool in tools]
            parts.append((_TOOLS_TAIL, True))
        return self._pieces(parts)

    def render(self, previous: Message | None, message: Message) -> list[Piece]:
        """Return what must follow `previous` for `message` to be in the history; the message is not closed yet.

        `previous`: None at the very beginning, the system message behind the prefix. Raises ValueError for a system
        message, which can stand only in the prefix.
        """
        if message.role == "system":
            raise ValueError("a message of role 'system' cannot follow another")
        text = message.content.strip()
        if message.role == "tool":
            parts = [("<tool_response>\n", True), (text, False), ("\n</tool_response>", True)]
        else:
            parts = [(text, False)]
        for call in message.tool_calls:
            body = as_json({"name": call.name, "arguments": dict(call.arguments)})
            gap = "" if parts == [("", False)] else "\n"
            parts += [(f"{gap}<tool_call>\n", True), (body, False), ("\n</tool_call>", True)]
        return self._pieces([(self._before(_side(previous), _side(message)), True), *parts])

    def open_reply(self, previous: Message | None, thinking: bool) -> list[Piece]:
        """Return what must follow `previous` for the model to reply."""
        side = _side(previous)
        before = "" if side == "user" else self._before(side, "user")
        return self._pieces([(before + self._frames.opening[thinking], True)])

    def close_reply(self, generated: str, thinking: bool) -> list[Piece]:
        """Return what completes a reply: the end of reasoning or of a call that was left open, nothing else.

        The end of the turn comes with the message that follows.
        """
        parser = self._parser((), thinking, special=())
        parser.feed(generated, quoted=True)
        tail = "\n</tool_call>" if parser.calling else "\n</think>\n\n" if parser.thinking else ""
        return self._pieces([(tail.removeprefix("\n") if generated.endswith("\n") else tail, True)])

    def sampling(self, thinking: bool) -> Sampling:
        """Return how tokens are drawn: as the file says, whatever the mode."""
        return self._sampling

    def Parser(self, tools: Sequence[ToolSpec], thinking: bool, first_call: int = 1) -> Reader:
        """Return what reads a reply that began with `open_reply(…, thinking)`."""
        return self._parser(tools, thinking, first_call, self._marks)

    def _parser(
        self, tools: Sequence[ToolSpec], thinking: bool, first_call: int = 1, special: Collection[str] = ()
    ) -> Reader:
        thinks = bool(_OPENS_THINKING.search(self._frames.opening[thinking]))
        return Reader(tools, thinks, first_call, special)

    def _before(self, before: str, side: str) -> str:
        """Return what comes between the texts of two sides, '' being the very beginning."""
        if before == side or (before == "system" and side == "user" and self._frames.system is None):
            return _GAP
        if (frame := self._frames.between(before, side)) is not None:
            return frame if before else self._begun(frame)
        return self._before(before, "user") + self._before("user", side)  # a turn of the user without a word

    def _begun(self, frame: str) -> str:
        return frame if frame.startswith(self._bos) else self._bos + frame

    def _pieces(self, parts: Iterable[tuple[str, bool]]) -> list[Piece]:
        return pieces(parts, self._special)


def _side(message: Message | None) -> str:
    """Return who speaks: results of tools come from the user's side."""
    return "" if message is None else "user" if message.role == "tool" else message.role


def _cuts(specials: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern that matches behind the first character of every special token."""
    by_first: dict[str, list[str]] = {}
    for text in specials:
        if len(text) > 1:
            by_first.setdefault(text[0], []).append(re.escape(text[1:]))
    ways = [f"(?<={re.escape(first)})(?={'|'.join(rests)})" for first, rests in by_first.items()]
    return re.compile("|".join(ways) or r"(?!)")
