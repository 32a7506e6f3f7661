"""The tools, each given what it uses."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from qwencode.messages import ToolSpec
from qwencode.sandbox.protocol import Sandbox
from qwencode.tools.edit import edit_tool
from qwencode.tools.files import Files, Protected, nothing_protected
from qwencode.tools.grep_search import grep_tool
from qwencode.tools.protocol import Tool
from qwencode.tools.read_file import read_file_tool
from qwencode.tools.repo_map import repo_map_tool
from qwencode.tools.run_tests import run_tests_tool
from qwencode.tools.shell import shell_tool
from qwencode.tools.todo import todo_tool
from qwencode.tools.write_file import write_file_tool
from qwencode.verify.results import TestRun
from qwencode.workspace import Workspace

RunTests = Callable[[tuple[str, ...]], TestRun]
Look = Callable[[str], str]


def toolbox(
    workspace: Workspace,
    sandbox: Sandbox,
    tests: RunTests | None,
    *,
    before: TestRun | None = None,
    look: Look | None = None,
    changed: Callable[[], Sequence[str]] = tuple,
    protected: Protected = nothing_protected,
    git_obeys: Iterable[Path] = (),
) -> Mapping[str, Tool]:
    """Return the tools by name, in the order in which they are declared.

    `tests` runs the tests with the given ids (none: all); without it there is no `run_tests`. `before` is the run that
    results are compared with. `look` draws the map of the repository around some words, a path or a symbol, '' where
    nothing is like it; without it there is no `repo_map`. `changed` names the files that differ from what they were.
    `protected` says of a path whether edit and write_file refuse it; what lies in `git_obeys` they refuse, too.
    """
    files = Files(workspace, protected, git_obeys)
    tools = [
        read_file_tool(files),
        grep_tool(files, sandbox),
        *([repo_map_tool(look)] if look else []),
        edit_tool(files),
        write_file_tool(files),
        shell_tool(workspace, sandbox, lambda: [name for name in changed() if protected(name)]),
        *([run_tests_tool(tests, before)] if tests else []),
        todo_tool(),
    ]
    return {tool.spec.name: tool for tool in tools}


def declarations() -> list[ToolSpec]:
    """Return what the model is told about the tools of a run with tests and a map: the same in every repository."""

    def run_tests(tests: tuple[str, ...]) -> TestRun:
        raise AssertionError("tools that are only declared are not carried out")

    def look(focus: str) -> str:
        raise AssertionError("tools that are only declared are not carried out")

    nowhere = Workspace(Path("/"))
    return [tool.spec for tool in toolbox(nowhere, cast("Sandbox", None), run_tests, look=look).values()]
