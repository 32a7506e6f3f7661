"""`write_file`: new files only. What exists is changed by `edit`, so that nothing is overwritten unseen."""

from qwencode.errors import ToolError
from qwencode.excerpt import split_lines
from qwencode.tools.files import Files
from qwencode.tools.protocol import Tool, ToolResult
from qwencode.tools.schema import tool


def write_file_tool(files: Files) -> Tool:
    """Make the tool that creates files, except protected ones."""

    def write_file(file_path: str, content: str) -> ToolResult:
        """Create a new file. Existing files are refused: change them with edit."""
        full = files.changeable(file_path)
        if full.is_dir():
            raise ToolError(f"{file_path} is a directory. Give the path of a file in it.")
        if full.exists():
            raise ToolError(f"{file_path} exists already and was not overwritten. Change it with edit.")
        files.workspace.write(file_path, content)
        count = len(split_lines(content))
        return ToolResult(f"Created {file_path} with {count} lines.", f"created {file_path} ({count} lines)")

    return tool(write_file)
