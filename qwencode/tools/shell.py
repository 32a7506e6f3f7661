"""`run_shell_command`: any command, in the sandbox.

Covered by the sandbox: what the command may reach. Not covered: a command may change test files; the model is told,
and the verdict sees it.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from typing import Annotated

from qwencode.excerpt import clip, listed, plain, split_lines, trimmed
from qwencode.sandbox.protocol import Completed, Limits, Sandbox
from qwencode.tools.protocol import Tool, ToolResult
from qwencode.tools.schema import tool
from qwencode.workspace import Workspace

SECONDS = 60
MOST_SECONDS = 600
CHARS = 6_000
MEMORY = 16 << 30
"""Address space of each process; node reserves about ten GiB for WebAssembly, and uses little of it."""
_MILLISECONDS_FROM = 10_000
_NO_NETWORK = re.compile(
    r"Network is unreachable|name resolution|[Cc]ould not resolve|Name or service not known|nodename nor servname"
    r"|EAI_AGAIN|ENOTFOUND|No matching distribution found|Failed to establish a new connection"
)
_NOT_ALLOWED = re.compile(r"Read-only file system|Operation not permitted|Permission denied|EROFS|EACCES|EPERM")


def shell_tool(workspace: Workspace, sandbox: Sandbox, touched: Callable[[], Sequence[str]] = tuple) -> Tool:
    """Make the tool that runs commands, from the root of the workspace.

    `touched` names the protected files that differ from what they were: the model is told at once, since what it does
    will not count while they do.
    """
    shell = shutil.which("bash") or "sh"

    def run_shell_command(command: str, timeout: Annotated[int, f"seconds, default {SECONDS}"] = SECONDS) -> ToolResult:
        """Run a shell command in the repository root. No network; only files in the repository can be written."""
        # Agents that this model was trained with count in milliseconds; nobody means hours.
        seconds = timeout / 1000 if timeout >= _MILLISECONDS_FROM else timeout
        limits = Limits(seconds=min(max(seconds, 1.0), MOST_SECONDS), memory_bytes=MEMORY)
        done = sandbox.run([shell, "-c", command], cwd=workspace.root, limits=limits)
        output = plain(done.text).strip("\n")
        parts = [_outcome(done, limits), *_warning(touched()), *_notes(done, output, confined=sandbox.rung != "none")]
        parts.append(_shown(output, sandbox) if output else "It printed nothing.")
        ok = not (done.returncode or done.timed_out or done.truncated)
        state = "timed out" if done.timed_out else f"exit {done.returncode}"
        return ToolResult("\n".join(parts), f"{clip(' '.join(command.split()), 80)}: {state}", ok)

    return tool(run_shell_command)


def _warning(touched: Sequence[str]) -> list[str]:
    if not touched:
        return []
    return [
        f"These belong to the tests and have changed: {listed(touched, 5)}. Nothing counts until they are as before "
        "(`git show HEAD:FILE > FILE` for a committed one; remove a new one)."
    ]


def _outcome(done: Completed, limits: Limits) -> str:
    if done.timed_out:
        return f"Timed out after {limits.seconds:.0f} s; it and all it had started were killed."
    if done.truncated:
        return f"Killed: it printed more than {limits.output_bytes:,} bytes."
    return f"Exit code {done.returncode}."


def _notes(done: Completed, output: str, *, confined: bool) -> list[str]:
    """Say what the model cannot see from the output, and what is impossible here."""
    notes: list[str] = []
    if done.timed_out:
        notes.append("If it needs longer, give a greater timeout; it cannot wait for input or serve in the background.")
    elif done.leftovers:
        notes.append(f"{done.leftovers} background process(es) were killed: nothing runs on after a command.")
    if done.too_many_processes:
        notes.append("It had started too many processes and was killed.")
    if not confined:
        return notes
    if _NO_NETWORK.search(output):
        notes.append("There is no network here: nothing can be downloaded or installed. Work with what is there.")
    if _NOT_ALLOWED.search(output):
        notes.append("The sandbox lets commands write only in the repository and $TMPDIR, and not in .git.")
    return notes


def _shown(output: str, sandbox: Sandbox) -> str:
    shown = trimmed(output, CHARS)
    if shown == output:
        return f"Output:\n{shown}"
    # mkstemp opens exclusively: a link that a command left under a guessed name is never written through
    handle, path = tempfile.mkstemp(prefix="output-", suffix=".txt", dir=sandbox.scratch)
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
        file.write(output)
    rest = f"all of it is in {path}, look into it with grep or sed -n 'FROM,TOp'"
    return f"Output ({len(split_lines(output)):,} lines):\n{trimmed(output, CHARS, rest)}"
