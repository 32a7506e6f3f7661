"""`read_file`: a part of a text file, with line numbers."""

from typing import Annotated

from qwencode.errors import ToolError
from qwencode.excerpt import counted, numbered, split_lines
from qwencode.tools.files import Files
from qwencode.tools.protocol import Tool, ToolResult, changes_nothing
from qwencode.tools.schema import tool

LINES = 250
CHARS = 16_000


def read_file_tool(files: Files) -> Tool:
    """Make the tool that reads files of the workspace."""

    def read_file(
        file_path: Annotated[str, "relative to the repository root"],
        offset: Annotated[int, "first line, from 1"] = 1,
        limit: Annotated[int, f"number of lines, default {LINES}"] = LINES,
    ) -> ToolResult:
        """Read a text file. Lines come as NUMBER|TEXT."""
        whole = files.read(file_path).text
        files.shown[files.key(file_path)] = whole
        lines = split_lines(whole)
        first, total = max(offset, 1), len(lines)
        if not total:
            return ToolResult(f"{file_path} is empty.", f"{file_path}: empty")
        if first > total:
            raise ToolError(f"{file_path} has {total} lines; offset {first} is past its end.")
        text = numbered(lines[first - 1 : first - 1 + max(limit, 1)], first)
        text = text if len(text) <= CHARS else text[: CHARS + 1].rpartition("\n")[0]
        last = first + text.count("\n")
        if first == 1 and last == total:
            return ToolResult(f"{file_path}, {counted(lines)}:\n{text}", f"{file_path}: {counted(lines)}")
        more = f"; use offset={last + 1} to continue" if last < total else ""
        summary = f"{file_path}: lines {first}-{last} of {total}"
        return ToolResult(f"{file_path}:\n{text}\n[lines {first}-{last} of {total}{more}]", summary)

    return tool(read_file, changes=changes_nothing)
