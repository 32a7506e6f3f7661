"""`grep_search`: a regular expression over the files that git would track, by ripgrep where it is installed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated

from qwencode.errors import ToolError
from qwencode.excerpt import clip
from qwencode.sandbox.protocol import Limits, Sandbox
from qwencode.tools.files import Files
from qwencode.tools.protocol import Tool, ToolResult, changes_nothing
from qwencode.tools.schema import tool
from qwencode.workspace import Workspace

SECONDS = 20.0
MATCHES = 80
CHARS = 8_000
_PER_FILE = 40
_LINE = 240
_RIPGREP = (
    "rg --no-config --no-messages --color never --engine auto --hidden --glob !.git --sort path --with-filename --null "
    f"--no-heading --line-number --max-count {_PER_FILE} --max-columns 1000 --max-columns-preview"
).split()
_ROW = re.compile(r"([^\0]+)\0(\d+):([^\n]*)\n?")
_NOT_FOUND = 127
_SEARCH = """
import json, re, sys
asked = json.load(sys.stdin)
try:
    pattern = re.compile(asked["pattern"])
except re.error as error:
    sys.exit(f"error: {error}")
for name in asked["names"]:
    try:
        with open(name, "rb") as file:
            data = file.read()
    except OSError:
        continue
    if b"\\0" in data[:8192]:
        continue
    lines = data.decode("utf-8", "replace").split("\\n")
    hits = [number for number, line in enumerate(lines, 1) if pattern.search(line.rstrip("\\r"))]
    for number in hits[: asked["most"]]:
        print(json.dumps([name, number, lines[number - 1].rstrip("\\r")[:1000]]))
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """One matching line. `file` is relative to the root."""

    file: str
    line: int
    text: str


def grep_tool(files: Files, sandbox: Sandbox, seconds: float = SECONDS) -> Tool:
    """Make the tool that searches the workspace. ripgrep runs in the sandbox, so it reads what commands may read."""

    def grep_search(
        pattern: Annotated[str, "regular expression"],
        path: Annotated[str, "file or directory to search in"] = "",
        glob: Annotated[str, 'such as "*.py"'] = "",
    ) -> ToolResult:
        """Search file contents. Ignored files are left out."""
        where = files.workspace.relative(files.existing(path or "."))
        if not pattern:
            raise ToolError("pattern is empty. Give a word or a regular expression to look for.")
        hits = _ripgrep(files.workspace, sandbox, pattern, where, glob, seconds)
        hits = _python(files, pattern, where, glob, seconds) if hits is None else hits
        place = f" in {path}" if where != "." else ""
        if not hits:
            among = f" among files that match {glob}" if glob else ""
            text = f"No line matches {pattern!r}{place}{among}. Try a shorter or simpler pattern."
            return ToolResult(text, f"{pattern!r}: no match")
        count = len({hit.file for hit in hits})
        said = f"{len(hits)} matching line{'s' * (len(hits) > 1)} in {count} file{'s' * (count > 1)}"
        return ToolResult(f"{said}{place}:\n{_grouped(hits)}", f"{pattern!r}: {said}")

    return tool(grep_search, changes=changes_nothing)


def _ripgrep(
    workspace: Workspace, sandbox: Sandbox, pattern: str, where: str, glob: str, seconds: float
) -> list[Hit] | None:
    """Return the hits, or None where ripgrep is not installed. Raises ToolError for an invalid pattern or glob."""
    globs = ["--glob", glob] if glob else []
    command = [*_RIPGREP, *globs, "--regexp", pattern, "--", where]
    done = sandbox.run(command, cwd=workspace.root, limits=Limits(seconds=seconds, output_bytes=1_000_000))
    if done.returncode == _NOT_FOUND:
        return None
    if done.timed_out:
        raise _too_slow(seconds)
    hits = list(_hits(workspace.root, done.text))
    if done.returncode == 2 and not hits:
        raise _invalid(pattern, glob, done.text)
    return hits


def _hits(root: Path, said: str) -> Iterator[Hit]:
    for name, number, text in _ROW.findall(said):
        while "\n" in name and not (root / name).exists():  # what ripgrep has to say of another file stands before it
            name = name.partition("\n")[2]
        yield Hit(name.removeprefix("./"), int(number), text.removesuffix("\r"))


def _python(files: Files, pattern: str, where: str, glob: str, seconds: float) -> list[Hit]:
    """Search with Python's `re` in a process of its own, which can be ended: a pattern may take exponential time."""
    inside = "" if where == "." else f"{where}/"
    names = [name for name in files.names() if name == where or name.startswith(inside)]
    names = [name for name in names if not glob or _matches(name, glob)]
    asked = json.dumps({"pattern": pattern, "names": names, "most": _PER_FILE})
    command = [sys.executable, "-I", "-c", _SEARCH]
    try:
        done = subprocess.run(
            command, input=asked.encode(), capture_output=True, cwd=files.workspace.root, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(seconds) from error
    if done.returncode:
        raise _invalid(pattern, "", done.stderr.decode("utf-8", "replace"))
    rows = map(json.loads, done.stdout.splitlines())
    return [Hit(os.fsencode(name).decode("utf-8", "replace"), *rest) for name, *rest in rows]


def _matches(name: str, glob: str) -> bool:
    """Match as ripgrep does: a glob without a slash is for the last part, one with a slash for the whole path."""
    if glob.startswith("!"):
        return not _matches(name, glob[1:])
    path = PurePath(name)
    return path.match(glob.replace("**/", "*/")) or path.match(glob.replace("**/", ""))


def _grouped(hits: list[Hit]) -> str:
    """Return the hits by file, as many as fit, and how many are missing."""
    rows: list[str] = []
    used, shown = 0, 0
    for number, hit in enumerate(hits[:MATCHES]):
        new_file = number == 0 or hits[number - 1].file != hit.file
        name = json.dumps(hit.file, ensure_ascii=False) if "\n" in hit.file else hit.file
        row = [name] * new_file + [f"{hit.line}|{clip(hit.text, _LINE)}"]
        used += sum(map(len, row)) + len(row)
        if used > CHARS:
            break
        rows, shown = rows + row, number + 1
    if shown < len(hits):
        rows.append(f"[the first {shown} of {len(hits)} matching lines; narrow the search with path, glob or pattern]")
    return "\n".join(rows)


def _too_slow(seconds: float) -> ToolError:
    return ToolError(f"The search took more than {seconds:g} seconds. Narrow it with path or glob, or simplify it.")


def _invalid(pattern: str, glob: str, said: str) -> ToolError:
    why = next((line[7:] for line in reversed(said.splitlines()) if line.startswith("error: ")), said.strip()[:200])
    what = f"glob {glob!r} or pattern {pattern!r}" if glob else f"pattern {pattern!r}"
    return ToolError(f"The {what} is not valid: {why or 'unknown reason'}. Escape special characters with a backslash.")
