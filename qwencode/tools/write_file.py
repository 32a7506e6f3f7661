"""`write_file`: new files only. What exists is changed by `edit`, so that nothing is overwritten unseen."""

from qwencode.errors import ToolError
from qwencode.excerpt import split_lines
from qwencode.tools.paths import Protected, changeable
from qwencode.tools.protocol import Tool, ToolResult
from qwencode.tools.schema import tool
from qwencode.workspace import Workspace


def write_file_tool(workspace: Workspace, protected: Protected) -> Tool:
    """Make the tool that creates files in the workspace, except protected ones."""

    def write_file(file_path: str, content: str) -> ToolResult:
        """Create a new file. Existing files are refused: change them with edit."""
        full = changeable(workspace, file_path, protected)
        if full.is_dir():
            raise ToolError(f"{file_path} is a directory. Give the path of a file in it.")
        if full.exists():
            raise ToolError(f"{file_path} exists already and was not overwritten. Change it with edit.")
        workspace.write(file_path, content)
        count = len(split_lines(content))
        return ToolResult(f"Created {file_path} with {count} lines.", f"created {file_path} ({count} lines)")

    return tool(write_file)
