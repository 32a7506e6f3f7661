"""`repo_map`: which files define what, nearest to a question first."""

from collections.abc import Callable

from qwencode.errors import ToolError
from qwencode.excerpt import clip
from qwencode.tools.protocol import Tool, ToolResult, changes_nothing
from qwencode.tools.schema import tool

_FOCUS_CHARS = 60  # of it, in what is said about it


def repo_map_tool(look: Callable[[str], str]) -> Tool:
    """Make the tool. `look` draws the map around words, a path or a symbol; '' when nothing is like it."""

    def repo_map(focus: str = "") -> ToolResult:
        """Outline code around words, a path or a symbol."""
        text, about = look(focus), f"{clip(' '.join(focus.split()), _FOCUS_CHARS)!r}" if focus.strip() else ""
        if not text and about:
            raise ToolError(f"Nothing is named like {about}. Call repo_map without focus, or use grep_search.")
        if not text:
            raise ToolError("There are no files here that could be mapped. Look with run_shell_command: ls.")
        summary = f"map around {about}" if about else "map"
        return ToolResult(f"LINE|DEFINITION by file; … stands for others.\n{text}", summary)

    return tool(repo_map, changes=changes_nothing)
