"""`edit`: replace a piece of a file by another."""

from collections.abc import Sequence
from typing import Annotated

from qwencode.errors import ToolError
from qwencode.excerpt import listed, numbered, split_lines
from qwencode.tools.files import Files
from qwencode.tools.matching import Place, apart, places, replaced
from qwencode.tools.misses import miss
from qwencode.tools.protocol import Arguments, Tool, ToolResult
from qwencode.tools.schema import tool
from qwencode.workspace import TextFile

_AROUND = 2
_REGIONS = 3
_MOST_PLACES = 2_000
_REGION_LINES = 40


def edit_tool(files: Files) -> Tool:
    """Make the tool that edits files, except protected ones."""

    def edit(
        file_path: str,
        old_string: Annotated[str, "copied from the file without line numbers; must be unique in it"],
        new_string: str,
        replace_all: bool = False,
    ) -> ToolResult:
        """Replace old_string by new_string in an existing file."""
        file = _opened(files, file_path, old_string)
        found = _wanted(file_path, file.text, old_string, new_string, replace_all)
        if old_string == new_string:
            raise ToolError("old_string and new_string are the same; nothing would change.")
        text, spans = edited(file.text, found, old_string, new_string)
        if text == file.text:
            raise ToolError(f"This would not change {file_path}; apart from white space the texts are the same.")
        files.workspace.write(file_path, text, file.encoding)
        return _result(file_path, text, spans, found)

    def preflight(arguments: Arguments) -> str:
        if "file_path" not in arguments:
            return ""
        path, old = arguments["file_path"], arguments.get("old_string")
        file = _opened(files, path, old)
        new = arguments.get("new_string", "")  # no new text can follow a shift that the empty one cannot
        if old is not None and not places(file.text, old, new):
            return _missing(path, file.text, old, new)
        return ""

    return tool(edit, preflight=preflight, changes=files.named)


def edited(text: str, found: Sequence[Place], old: str, new: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the text with every place replaced, and the spans of the replacements in it."""
    pieces: list[str] = []
    spans: list[tuple[int, int]] = []
    done = length = 0
    for place in found:
        piece = replaced(text, place, old, new)
        length += place.start - done
        spans.append((length, length + len(piece)))
        pieces += [text[done : place.start], piece]
        done, length = place.end, length + len(piece)
    return "".join([*pieces, text[done:]]), spans


def _opened(files: Files, file_path: str, old: str | None) -> TextFile:
    """Return the file that is to be changed; `old` is None while it is not known. Raises ToolError."""
    full = files.changeable(file_path)
    if old == "":
        hint = "write_file creates new files." if not full.exists() else "Give the text that is to be replaced."
        raise ToolError(f"old_string is empty. {hint}")
    return files.read(file_path)


def _missing(file_path: str, text: str, old: str, new: str) -> str:
    return f"old_string is not in {file_path}. {miss(text, old, new)}"


def _wanted(file_path: str, text: str, old: str, new: str, replace_all: bool) -> list[Place]:
    """Return the places to change. Raises ToolError when there is none, or more than one and not all are wanted."""
    found = places(text, old, new)
    if not found:
        raise ToolError(_missing(file_path, text, old, new))
    if len(found) > 1 and not replace_all:
        lines = list(dict.fromkeys(map(str, _line_numbers(text, [place.start for place in found]))))
        where = f"line{'s' * (len(lines) > 1)} {listed(lines, 12)}"
        raise ToolError(
            f"old_string is {len(found)} times in {file_path}, at {where}. "
            "Add neighbouring lines until it is unique, or set replace_all to true."
        )
    if len(found := apart(found)) > _MOST_PLACES:
        raise ToolError(
            f"old_string is {len(found):,} times in {file_path}; edit changes at most {_MOST_PLACES:,} places."
        )
    return found


def _result(file_path: str, text: str, spans: Sequence[tuple[int, int]], found: Sequence[Place]) -> ToolResult:
    """Show the changed lines as they are now."""
    lines, regions = split_lines(text), list[tuple[int, int]]()
    numbers = _line_numbers(text, [position for start, end in spans for position in (start, max(start, end - 1))])
    for begin, end in zip(numbers[::2], numbers[1::2], strict=True):
        first, last = max(1, begin - _AROUND), min(len(lines), end + _AROUND)
        if regions and first <= regions[-1][1] + 1:
            first = regions.pop()[0]
        regions.append((first, last))
    shown = [_numbered_region(lines, first, last) for first, last in regions[:_REGIONS]]
    if len(regions) > _REGIONS:
        shown.append(f"[{len(regions) - _REGIONS} more regions of the file changed]")
    many = f" in {len(spans)} places" if len(spans) > 1 else ""
    shifted = " new_string was shifted to the file's indentation." if found[0].add or found[0].drop else ""
    said = f"Edited {file_path}{many}.{shifted} It now reads:\n"
    return ToolResult(said + "\n".join(shown), f"edited {file_path}{many or f', line {numbers[0]}'}")


def _numbered_region(lines: Sequence[str], first: int, last: int) -> str:
    cut = min(last, first + _REGION_LINES - 1)
    return numbered(lines[first - 1 : cut], first) + (f"\n[and {last - cut} more lines]" if cut < last else "")


def _line_numbers(text: str, positions: Sequence[int]) -> list[int]:
    """Return the number of the line, from 1, that holds each position; positions ascend."""
    numbers: list[int] = []
    line, done = 1, 0
    for position in positions:
        line += text.count("\n", done, position)
        done = position
        numbers.append(line)
    return numbers
