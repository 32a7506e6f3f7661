"""`edit`: replace a piece of a file by another.

A file is changed only where it is what the model takes it for: the old text must stand in it, and it must not change
between reading and writing. Where the old text alone says too little, with `replace_all`, there must be as many places
as there were when the model saw the file last. What it remembers is about one run: the new text of the last edit of a
file that did not match, so that it need not be written again, unless it has to change with the old text; the edits
made, so that a later one whose old text they changed is told so.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from qwencode.errors import ToolError
from qwencode.excerpt import listed, numbered, split_lines
from qwencode.tools.files import Files
from qwencode.tools.matching import Place, apart, places, replaced, stands_in
from qwencode.tools.misses import miss
from qwencode.tools.protocol import Arguments, Tool, ToolResult
from qwencode.tools.schema import tool
from qwencode.tools.syntax import broken
from qwencode.workspace import TextFile

_AROUND = 2
_REGIONS = 3
_MOST_PLACES = 2_000
_REGION_LINES = 40
_EDITS_KEPT = 8
KEPT = "\nTo try again with the same new_string, leave it out."
"""The end of a refusal of which the new text is remembered."""
REPEATED = "\nnew_string has this mistake, too. Write both again."
"""The end of a refusal of which the new text holds a line that the old text has wrong."""


class _Ambiguous(ToolError):
    """The old text stands in several places. With more lines around it the new text needs them, too."""


@dataclass(frozen=True, slots=True)
class _Edit:
    """One that was made: the texts before and after it, and where it begins in the latter."""

    key: str
    before: str
    after: str
    line: int


@dataclass(slots=True)
class _Memory:
    refused: dict[str, str] = field(default_factory=dict[str, str])
    """The new text of the last edit of a file that did not match, by the file's key."""
    made: deque[_Edit] = field(default_factory=lambda: deque[_Edit](maxlen=_EDITS_KEPT))


def edit_tool(files: Files) -> Tool:
    """Make the tool that edits files, except protected ones."""
    memory = _Memory()

    def edit(
        file_path: str,
        old_string: Annotated[str, "copied from the file without line numbers; must be unique in it"],
        new_string: Annotated[str | None, "leave out to reuse that of the last refused edit of this file"] = None,
        replace_all: bool = False,
    ) -> ToolResult:
        """Replace old_string by new_string in an existing file."""
        file = _opened(files, file_path, old_string)
        key = files.key(file_path)
        new = memory.refused.get(key) if new_string is None else new_string
        try:
            found = _wanted(file_path, file.text, old_string, new or "", replace_all, _changer(memory, key, old_string))
            _check_seen(file_path, file.text, files.shown.get(key), found, old_string, new or "")
        except _Ambiguous:
            memory.refused.pop(key, None)
            raise
        except ToolError as error:
            if new is None:
                raise
            raise ToolError(f"{error}{_again(memory, key, file.text, old_string, new)}") from error
        if new is None:
            raise ToolError(f"new_string is missing, and no refused edit of {file_path} is left to take it from.")
        text, spans = edited(file.text, found, old_string, new)
        if text == file.text:
            raise ToolError(f"This would not change {file_path}; apart from white space the texts are the same.")
        files.workspace.replace(file_path, file, text)
        memory.refused.pop(key, None)
        memory.made.append(_Edit(key, file.text, text, text.count("\n", 0, spans[0][0]) + 1))
        files.shown[key] = text
        return _result(file_path, text, spans, found, broken(file_path, file.text, text))

    def preflight(arguments: Arguments) -> str:
        if "file_path" not in arguments:
            return ""
        path, old, new = arguments["file_path"], arguments.get("old_string"), arguments.get("new_string")
        file = _opened(files, path, old)
        if old is None or stands_in(file.text, old, new or ""):
            return ""
        key = files.key(path)
        problem = _missing(path, file.text, old, new or "", _changer(memory, key, old))
        if new is None:  # it was about to be written, and is not the one before
            memory.refused.pop(key, None)
            return problem
        return problem + _again(memory, key, file.text, old, new)

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
    try:
        file = files.read(file_path)
    except ToolError as error:
        raise error if full.exists() else ToolError(f"{error} write_file creates new files.") from error
    if old == "":
        raise ToolError("old_string is empty. Give the text that is to be replaced.")
    return file


def _again(memory: _Memory, key: str, text: str, old: str, new: str) -> str:
    """Remember the new text, unless it holds a line that is in the old text and not in the file. End the refusal.

    One that is the old text is worth neither keeping nor a word.
    """
    if new == old:
        return ""
    wrong = {line.strip() for line in split_lines(old)} & {line.strip() for line in split_lines(new)}
    if all(line in text for line in wrong):
        memory.refused[key] = new
        return KEPT
    memory.refused.pop(key, None)
    return REPEATED


def _changer(memory: _Memory, key: str, old: str) -> _Edit | None:
    """Return the latest edit of a file that took the old text away from it."""
    found = (
        edit
        for edit in reversed(memory.made)
        if edit.key == key and stands_in(edit.before, old) and not stands_in(edit.after, old)
    )
    return next(found, None)


def _missing(file_path: str, text: str, old: str, new: str, changer: _Edit | None) -> str:
    where = f"was in {file_path} until an earlier edit changed it, at line {changer.line}" if changer else ""
    return f"old_string {where or f'is not in {file_path}'}. {miss(text, old, new)}"


def _check_seen(file_path: str, text: str, shown: str | None, found: Sequence[Place], old: str, new: str) -> None:
    """Refuse to change places that the model has not seen: there are more, or fewer, than it knows of."""
    if len(found) == 1 or shown is None or shown == text:
        return
    if (known := len(apart(places(shown, old, new)))) != len(found):
        raise ToolError(
            f"{file_path} has changed on disk since you saw it last: old_string is now {len(found)} times in it, and "
            f"was {known} times. Read the file again."
        )


def _wanted(file_path: str, text: str, old: str, new: str, replace_all: bool, changer: _Edit | None) -> list[Place]:
    """Return the places to change. Raises ToolError when there is none, or more than one and not all are wanted."""
    found = places(text, old, new)
    if not found:
        raise ToolError(_missing(file_path, text, old, new, changer))
    if old == new:
        raise ToolError("old_string and new_string are the same; nothing would change.")
    if len(found) > 1 and not replace_all:
        lines = list(dict.fromkeys(map(str, _line_numbers(text, [place.start for place in found]))))
        where = f"line{'s' * (len(lines) > 1)} {listed(lines, 12)}"
        raise _Ambiguous(
            f"old_string is {len(found)} times in {file_path}, at {where}. "
            "Add neighbouring lines to both texts until it is unique, or set replace_all to true."
        )
    if len(found := apart(found)) > _MOST_PLACES:
        raise ToolError(
            f"old_string is {len(found):,} times in {file_path}; edit changes at most {_MOST_PLACES:,} places."
        )
    return found


def _result(
    file_path: str, text: str, spans: Sequence[tuple[int, int]], found: Sequence[Place], wrong: str
) -> ToolResult:
    """Show the changed lines as they are now, and what is `wrong` with them.

    An edit that broke the syntax did what it was asked to, and the next one may complete it: it is no failure.
    """
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
    summary = f"edited {file_path}{many or f', line {numbers[0]}'}{'; ' if wrong else ''}{wrong}"
    return ToolResult(said + "\n".join([*shown, wrong] if wrong else shown), summary)


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
