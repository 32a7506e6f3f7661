"""Files that the user named in the task as `@path` or `@path:10-40`: their content goes with it."""

import re
from dataclasses import dataclass
from pathlib import Path

from qwencode.errors import ToolError
from qwencode.events import Notice
from qwencode.excerpt import numbered, split_lines, trimmed
from qwencode.sandbox.policy import Tree
from qwencode.workspace import Workspace

CHARS = 16_000
"""About 5,000 tokens."""
_MENTION = re.compile(
    r"""(?<![\w@./-])@(?:"(?P<quoted>[^"\n]+)"|(?P<plain>[\w./~+-]*\w))(?::(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?)?""",
)


@dataclass(frozen=True, slots=True)
class Mentioned:
    """The text for the model, empty when no file was named, and what the user is told about it."""

    text: str = ""
    notices: tuple[Notice, ...] = ()


def mentioned(workspace: Workspace, task: str, limit: int = CHARS) -> Mentioned:
    """Read the files that a task names, in its order, in `limit` characters together.

    A word after an `@` that is no file is left alone: it may be a decorator, a name or an address. A file that
    cannot be shown is a notice.
    """
    parts: list[str] = []
    names: list[str] = []
    notices: list[Notice] = []
    secrets = Tree(workspace.root).secrets() if "@" in task else set[Path]()
    for found in dict.fromkeys(match.groups() for match in _MENTION.finditer(task)):
        quoted, plain, first, last = found
        name = quoted or plain
        try:
            path = workspace.resolve(name)
            if not path.is_file():
                continue
            if path in secrets:
                raise ToolError("it looks like a file with secrets")
            lines = split_lines(workspace.read(name).text)
        except (ToolError, OSError) as error:
            notices.append(Notice(f"@{name} is not shown to the model: {error}.".replace("..", "."), "warning"))
            continue
        start = min(max(int(first or 1), 1), max(len(lines), 1))
        end = min(int(last or first or len(lines)), len(lines))
        text = numbered(lines[start - 1 : max(end, start)], start)
        if len(text) > limit:
            notices.append(Notice(f"@{name} is cut to {limit:,} of {len(text):,} characters.", "warning"))
            text = trimmed(text, limit, "read it with read_file") if limit > 500 else "(read it with read_file)"
        limit = max(0, limit - len(text))
        relative = workspace.relative(path)
        parts.append(f"{relative}\n{text}")
        names.append(relative)
    if names:
        notices.insert(0, Notice(f"Shown to the model: {', '.join(dict.fromkeys(names))}."))
    return Mentioned("\n\n".join(parts), tuple(notices))
