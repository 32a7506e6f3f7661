"""`write_file`: new files only. What exists is changed by `edit`, so that nothing is overwritten unseen."""

from qwencode.errors import ToolError
from qwencode.excerpt import counted, split_lines
from qwencode.tools.files import Files
from qwencode.tools.protocol import Arguments, Tool, ToolResult
from qwencode.tools.schema import tool
from qwencode.tools.syntax import broken


def write_file_tool(files: Files) -> Tool:
    """Make the tool that creates files, except protected ones."""

    def write_file(file_path: str, content: str) -> ToolResult:
        """Create a new file. Existing files are refused: change them with edit."""
        _check_new(files, file_path)
        files.workspace.create(file_path, content)
        files.shown[files.key(file_path)] = content
        lines, wrong = counted(split_lines(content)), broken(file_path, None, content)
        text, summary = f"Created {file_path} with {lines}.", f"created {file_path} ({lines})"
        return ToolResult(f"{text}\n{wrong}", f"{summary}; {wrong}") if wrong else ToolResult(text, summary)

    def preflight(arguments: Arguments) -> str:
        if "file_path" in arguments:
            _check_new(files, arguments["file_path"])
        return ""

    return tool(write_file, preflight=preflight, changes=files.named)


def _check_new(files: Files, file_path: str) -> None:
    """Raise ToolError for a file that may not be written, or is there."""
    full = files.changeable(file_path)
    if full.is_dir():
        raise ToolError(f"{file_path} is a directory. Give the path of a file in it.")
    if full.exists():
        raise ToolError(f"{file_path} exists already and was not overwritten. Change it with edit.")
