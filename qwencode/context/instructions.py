"""AGENTS.md: what the owners of a repository tell every agent (https://agents.md)."""

from dataclasses import dataclass

from qwencode.errors import ToolError
from qwencode.events import Notice
from qwencode.excerpt import PARAGRAPH_CHARS, trimmed
from qwencode.workspace import Workspace

NAME = "AGENTS.md"
CHARS = 6_000
"""About 1,700 tokens."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """The text for the model, empty when there is none, and what the user is told about it."""

    text: str = ""
    notices: tuple[Notice, ...] = ()


def instructions(workspace: Workspace, limit: int = CHARS) -> Instructions:
    """Read the AGENTS.md files from the root down to the directory that the user works in; the nearest comes last.

    Together they are cut to `limit` characters. The nearest file is served first, for it wins where they disagree.
    """
    start = workspace.start if workspace.start.is_relative_to(workspace.root) else workspace.root
    parts: list[str] = []
    names: list[str] = []
    notices: list[Notice] = []
    left = limit
    for folder in [start, *start.parents]:
        if not folder.is_relative_to(workspace.root):
            break
        name = (folder / NAME).relative_to(workspace.root).as_posix()
        if not (folder / NAME).exists():
            continue
        try:
            text = workspace.read(name).text.strip()
        except ToolError as error:
            notices.append(Notice(f"{name} is not followed: {error}", "warning"))
            continue
        if len(text) > left:
            notices.append(Notice(f"{name} is cut to {left:,} of {len(text):,} characters.", "warning"))
            text = trimmed(text, left, line_chars=PARAGRAPH_CHARS) if left > 1_000 else text[:left]
        left = max(0, left - len(text))
        if text:
            parts.insert(0, f"# {name}\n{text}")
            names.insert(0, name)
    if names:
        notices.insert(0, Notice(f"Following {', '.join(names)} ({limit - left:,} characters)."))
    return Instructions("\n\n".join(parts), tuple(notices))
