"""`edit` for the built-in model: each edit is tried at once, and taken back unless it mends everything."""

import ast
import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from qwencode.errors import ToolError
from qwencode.excerpt import clip
from qwencode.messages import ToolSpec
from qwencode.model.builtin.prompt import PASSED, Excerpt, failure_of, refusal
from qwencode.tools.edit import edited
from qwencode.tools.files import Files
from qwencode.tools.matching import Place, places
from qwencode.tools.protocol import Tool, ToolResult
from qwencode.tools.schema import tool
from qwencode.verify.results import Baseline, TestRun
from qwencode.verify.verdict import mended
from qwencode.workspace import TextFile

RunTests = Callable[[tuple[str, ...]], TestRun]
_SHOWN_CHARS = 60
_LINE_END = re.compile(r"[ \t]*(?:\r?\n|\Z)")


@dataclass(frozen=True, slots=True)
class Aim:
    """What the model was shown: an excerpt of a file, with some lines marked (numbers of the file, from 1)."""

    file: str
    shown: Excerpt
    marked: frozenset[int]


class Tries:
    """Carries out edits, one at a time. Whenever this is not running, the tree is as before, or all tests pass.

    `tests` runs the tests with the given ids (none: all). `aim` is what the model was shown last. `ran` counts the
    edits for which tests were run; `passed` says that the last one was kept.
    """

    def __init__(self, files: Files, tests: RunTests, baseline: Baseline):
        self.aim: Aim | None = None
        self.ran = 0
        self.passed = False
        self._files, self._tests, self._baseline = files, tests, baseline
        self._failed: dict[tuple[str, str], str] = {}

    def tool(self) -> Tool:
        """Return the tool. Its answers are those with which the model was trained, whatever went wrong.

        It is declared for what was shown: its file, and a marked line or two of them that follow each other. So a model
        that is held to the declaration need not copy them without a slip; what another one names is looked for.
        """

        def edit(file_path: str, old_string: str, new_string: str) -> ToolResult:
            """Replace old_string by new_string in an existing file."""
            what = f"{file_path}: {_shown(old_string)} → {_shown(new_string)}"
            try:
                file, text = self._edited(file_path, old_string, new_string)
            except ToolError as error:
                return ToolResult(refusal(), f"{what}: {str(error).partition(chr(10))[0]}", ok=False)
            key = self._files.workspace.relative(file.path), text
            if key in self._failed:
                return ToolResult(self._failed[key], f"{what}: tried before", ok=False)
            failure = _syntax_error(text) or self._failure(key[0], file, text)
            if failure is None:
                self.passed = True
                return ToolResult(PASSED, f"{what}: all tests pass")
            self._failed[key] = refusal(failure)
            return ToolResult(self._failed[key], f"{what}: taken back, tests fail", ok=False)

        made = tool(edit)
        return made if self.aim is None else replace(made, spec=_narrowed(made.spec, self.aim))

    def _edited(self, file_path: str, old: str, new: str) -> tuple[TextFile, str]:
        """Return the file and its text after the edit. Raises ToolError for an edit that cannot be made."""
        if self.passed:
            raise ToolError("all tests pass already")
        self._files.changeable(file_path)
        file = self._files.read(file_path)
        name = self._files.workspace.relative(file.path)
        if file.path.suffix != ".py":
            raise ToolError("only Python is mended")
        if not old.strip():
            raise ToolError("the line to replace is empty")
        aim = self.aim if self.aim and self.aim.file == name else None
        place, indent = _place(file.text, old, new, aim)
        text, _ = edited(file.text, [place], _indented(old, indent), _indented(new, indent))
        if text == file.text:
            raise ToolError("nothing would change")
        return file, text

    def _failure(self, name: str, before: TextFile, text: str) -> str | None:
        """Try a text of a file: None, and it stays, when all tests pass; else two lines about a test that fails."""
        workspace, kept = self._files.workspace, False
        self.ran += 1
        try:
            workspace.replace(name, before, text)
        except ToolError as error:  # a character that the file's encoding does not have, or somebody else's change
            return f"E {error}"
        try:
            failure = self._failing(self._tests(self._baseline.goal), self._baseline.goal)
            if failure is None:  # the failing tests alone are soon run; all of them only where these pass
                failure = self._failing(self._tests(()), [*self._baseline.goal, *self._passing()])
            kept = failure is None
            return failure
        finally:
            if not kept:
                with suppress(ToolError):  # somebody else has saved the file meanwhile: that stays
                    workspace.replace(name, replace(before, text=text), before.text)

    def _passing(self) -> list[str]:
        return [test for test in self._baseline.run.passing if test not in self._baseline.flaky]

    def _failing(self, done: TestRun, wanted: Sequence[str]) -> str | None:
        """Return what one of the wanted tests says that does not pass; None when all do."""
        bad = [test for test in wanted if not mended(self._baseline.run.results[test], done)]
        said = (failure_of(done.results[test].message) for test in bad if test in done.results)
        return next(filter(None, said), "") if bad or done.status != "ran" else None


def _narrowed(spec: ToolSpec, aim: Aim) -> ToolSpec:
    """Return the declaration with the choices that a shown excerpt leaves."""
    shown = {number: text for number, text in zip(aim.shown.numbers, aim.shown.lines, strict=True)}
    marked = sorted(aim.marked & shown.keys())
    pairs = [f"{shown[number]}\n{shown[number + 1]}" for number in marked if number + 1 in marked]
    lines = dict.fromkeys([*(shown[number] for number in marked), *pairs])
    choices = {"file_path": [aim.file], "old_string": [text for text in lines if text.strip()]}
    properties = {
        name: {**schema, "enum": choices[name]} if choices.get(name) else schema
        for name, schema in spec.parameters["properties"].items()
    }
    return replace(spec, parameters={**spec.parameters, "properties": properties})


def _place(text: str, old: str, new: str, aim: Aim | None) -> tuple[Place, str]:
    """Return where the old text stands, and the indentation that it and the new text lack.

    What was shown was dedented, so whole lines with the indentation of the function come first; of several the marked
    one is meant. Otherwise, what the edit tool would find. Raises ToolError where none is found, or not just one.
    """
    indent = aim.shown.indent if aim else ""
    ways = [(indent, [place for place in _found(text, old, new, indent) if _is_whole(text, place)])] if aim else []
    several = False
    for lacking, found in [*ways, ("", places(text, old, new))]:
        several = several or len(found) > 1
        if aim and len(found) > 1:
            found = [place for place in found if text.count("\n", 0, place.start) + 1 in aim.marked]
        if len(found) == 1:
            return found[0], lacking
    raise ToolError("the line is there more than once" if several else "there is no such line")


def _found(text: str, old: str, new: str, indent: str) -> list[Place]:
    return places(text, _indented(old, indent), _indented(new, indent))


def _is_whole(text: str, place: Place) -> bool:
    """Say whether a place begins where a line begins, and ends where one ends."""
    begins = place.start == 0 or text[place.start - 1] == "\n"
    return begins and (text[: place.end].endswith("\n") or _LINE_END.match(text, place.end) is not None)


def _indented(text: str, indent: str) -> str:
    return textwrap.indent(text, indent)


def _syntax_error(text: str) -> str:
    """Return what is wrong with a Python text that does not compile, else ''."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        return f"E SyntaxError: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"E {type(error).__name__}"
    return ""


def _shown(text: str) -> str:
    return f"`{clip(' ⏎ '.join(line.strip() for line in text.strip().splitlines()), _SHOWN_CHARS)}`"
