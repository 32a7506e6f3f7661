"""A repository with a few files, and the tools on it: those for files alone, and those that run in the real sandbox."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nothing_installed import NothingInstalled

from qwencode.messages import ToolCall
from qwencode.sandbox.ladder import open_sandbox
from qwencode.sandbox.protocol import Sandbox
from qwencode.tools.calls import carry_out
from qwencode.tools.protocol import Tool, ToolResult
from qwencode.tools.toolbox import toolbox
from qwencode.workspace import Workspace

Use = Callable[..., ToolResult]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the repository once; it is copied for every test."""
    root = tmp_path_factory.mktemp("template")
    subprocess.run(["git", "init", "-q", "-b", "main", "--template=", str(root)], check=True)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(root), *identity, "commit", "-q", "--allow-empty", "-m", "Begin"], check=True)
    (root / "src").mkdir()
    (root / "tests").mkdir()
    (root / "src" / "money.py").write_text(
        "def half(amount):\n    if amount < 0:\n        return -half(-amount)\n    return amount / 2\n"
    )
    (root / "tests" / "test_money.py").write_text("def test_half():\n    assert True\n")
    return root


@pytest.fixture
def workspace(template: Path, tmp_path: Path) -> Workspace:
    return Workspace(shutil.copytree(template, tmp_path / "repository"))


@pytest.fixture
def sandbox(workspace: Workspace) -> Iterator[Sandbox]:
    opened = open_sandbox(workspace.root, writable=(), allow_none=True)
    yield opened
    opened.close()


@pytest.fixture
def tools(workspace: Workspace) -> dict[str, Tool]:
    nothing: Any = NothingInstalled()
    return dict(toolbox(workspace, nothing, None, protected=lambda path: path.startswith("tests/")))


@pytest.fixture
def use(tools: dict[str, Tool]) -> Use:
    """Call a tool for files as the loop does."""
    return lambda name, **arguments: carry_out(tools, ToolCall("1", name, arguments))


@pytest.fixture
def shell(workspace: Workspace, sandbox: Sandbox) -> Use:
    """Run a command as the loop does."""
    confined = toolbox(workspace, sandbox, None)
    return lambda **arguments: carry_out(confined, ToolCall("1", "run_shell_command", arguments))
