"""Debugging left-overs on new lines: what stops a program, prints for the developer, or runs one test alone.

Strings and comments are not code, so they are blanked out first. Plain printing is what many programs are for: of
`print` only what is plainly for debugging counts, and `console.log` only in a file that did not print before.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from qwencode.events import FindingReported
from qwencode.excerpt import split_lines
from qwencode.findings import Severity
from qwencode.languages import language_of
from qwencode.review.change import FileChange
from qwencode.review.code_only import code_only


class _Trace(NamedTuple):
    """What is looked for in the code of a line, and what it is called."""

    pattern: re.Pattern[str]
    rule: str
    severity: Severity
    what: str


def _traces(*rows: tuple[str, str, Severity, str]) -> tuple[_Trace, ...]:
    return tuple(
        _Trace(re.compile(pattern), f"leftovers/{rule}", severity, what) for pattern, rule, severity, what in rows
    )


_STOP = "stops the program in a debugger"
_ALONE = "runs this test alone, so that the others are not run"
_SHOWS = "prints for debugging"
_JAVASCRIPT = _traces(
    (r"^\s*debugger\s*;?\s*$", "breakpoint", "error", f"`debugger` {_STOP}"),
    (r"\b(?:describe|context|suite|it|test|specify)\.only\b", "focused-test", "error", f"`.only` {_ALONE}"),
    (r"(?<![\w.$])(?:fdescribe|fcontext|fit)\s*\(", "focused-test", "error", f"It {_ALONE}"),
    (r"(?<![\w.$])console\.(?:log|debug|trace|dir|table)\s*\(", "print", "warning", f"`console` {_SHOWS}"),
)
_TRACES: dict[str, tuple[_Trace, ...]] = {
    "python": _traces(
        (r"(?<![\w.])breakpoint\s*\(", "breakpoint", "error", f"`breakpoint()` {_STOP}"),
        (
            r"\b(?:i?pdb|pudb|wdb|rpdb|web_pdb|remote_pdb|celery\.contrib\.rdb|pytest)\.set_trace\s*\(",
            "breakpoint",
            "error",
            f"`set_trace()` {_STOP}",
        ),
        (
            r"^\s*(?:import|from)\s+(?:i?pdb|pudb|wdb|rpdb|web_pdb|pdbpp|icecream|snoop|pysnooper)\b",
            "debug-import",
            "warning",
            "A debugging module is imported",
        ),
        (
            r"\b(?:debugpy|pydevd)\.(?:breakpoint|listen|wait_for_client|settrace)\s*\(",
            "breakpoint",
            "error",
            f"It {_STOP}",
        ),
        (
            r"\b(?:IPython\.embed|code\.interact)\s*\(",
            "breakpoint",
            "error",
            "It stops the program in an interactive shell",
        ),
        (r"(?<![\w.])ic\s*\(", "print", "warning", f"`ic()` {_SHOWS}"),
    ),
    "javascript": _JAVASCRIPT,
    "typescript": _JAVASCRIPT,
    "tsx": _JAVASCRIPT,
    "ruby": _traces(
        (r"\bbinding\.(?:pry|irb|break)\b", "breakpoint", "error", f"`binding` {_STOP}"),
        (r"^\s*(?:byebug|debugger)\s*$", "breakpoint", "error", f"It {_STOP}"),
        (r"(?<![\w.])(?:fdescribe|fcontext|fit)\b", "focused-test", "error", f"It {_ALONE}"),
        (r",\s*:?focus\s*(?::|=>)\s*true|,\s*:focus\b", "focused-test", "error", f"`:focus` {_ALONE}"),
    ),
    "rust": _traces((r"(?<!\w)dbg!\s*[(\[{]", "print", "warning", f"`dbg!` {_SHOWS}")),
    "go": _traces(
        (r"\bspew\.(?:Dump|Printf?)\s*\(|\bpp\.Print(?:ln)?\s*\(", "print", "warning", f"It {_SHOWS}"),
        (r"\bruntime\.Breakpoint\s*\(", "breakpoint", "error", f"`runtime.Breakpoint()` {_STOP}"),
        (r"\b(?:FDescribe|FContext|FIt|FSpecify)\s*\(", "focused-test", "error", f"It {_ALONE}"),
    ),
    "php": _traces(
        (r"(?<![\w>:$])(?:var_dump|dd|ddd|dump|print_r|debug_zval_refcount)\s*\(", "print", "warning", f"It {_SHOWS}"),
        (r"(?<![\w>:$])xdebug_break\s*\(", "breakpoint", "error", f"`xdebug_break()` {_STOP}"),
    ),
    "c_sharp": _traces((r"\bDebugger\.(?:Break|Launch)\s*\(", "breakpoint", "error", f"`Debugger` {_STOP}")),
    "c": _traces((r"\b(?:__debugbreak|DebugBreak)\s*\(|\braise\s*\(\s*SIGTRAP", "breakpoint", "error", f"It {_STOP}")),
    "java": _traces(
        (r"\.printStackTrace\s*\(\s*\)\s*;\s*$", "print", "note", "The stack is printed instead of logged or raised")
    ),
}
_TRACES["cpp"] = _TRACES["c"]
_DEBUG_PRINT = re.compile(
    r"^\s*(?:print|pprint|pprint\.pprint|pp)\s*\(\s*(?:[frb]?f?[\"'](?:\W*(?:debug|dbg|xxx+|here|wtf|foo|test(?:ing)?|asdf)\b|[#*=>-]{3,}(?![=>-])\s*\w)"
    r"|f[\"']\s*(?:(?:\w+\s*)?\{[^{}\"']+=\}[\s,;|]*)+[\"']\s*\)|locals\(\)|globals\(\)|vars\(\)|dir\()",
    re.IGNORECASE,
)
"""A `print` that is plainly for debugging: it shouts a mark, or shows a variable with its name."""
_CONSOLE = re.compile(r"(?<![\w.$])console\.\w+\s*\(")
_PRINTS_ANYWAY = re.compile(
    r"(^|/)(bin|cli|scripts?|tools|examples?|demos?|benchmarks?|docs?)(/|\.[cm]?[jt]s$)|\.config\.", re.I
)
_HABIT = 3  # of a new file: so many make it one that prints


def leftovers(file: FileChange) -> Iterator[FindingReported]:
    """Find debugging left-overs on the new lines of a file."""
    language = language_of(file.path)
    traces = _TRACES.get(language)
    if file.after is None or not traces or not file.added:
        return
    lines = split_lines(file.after)
    possible = [number for number in sorted(file.added) if _may_hold(traces, language, lines[number - 1])]
    if not possible:
        return  # to find strings and comments takes far longer than this look
    code = split_lines(code_only(language, file.after))
    prints = _prints_anyway(file, language)
    for number in possible:
        here = code[number - 1] if number <= len(code) else ""
        whole = lines[number - 1]
        for trace in traces:
            if trace.pattern.search(here) and not (prints and "`console`" in trace.what):
                yield _found(file, number, trace, whole)
                break
        else:
            if language == "python" and here.strip() and _DEBUG_PRINT.match(whole):
                yield _found(
                    file, number, _Trace(_DEBUG_PRINT, "leftovers/print", "warning", f"`print` {_SHOWS}"), whole
                )


def _may_hold(traces: tuple[_Trace, ...], language: str, line: str) -> bool:
    """Say whether a line holds one of the traces, if only in a string or a comment."""
    if any(trace.pattern.search(line) for trace in traces):
        return True
    return language == "python" and _DEBUG_PRINT.match(line) is not None


def _prints_anyway(file: FileChange, language: str) -> bool:
    """Say whether printing to the console is what a JavaScript file does anyway."""
    if language not in ("javascript", "typescript", "tsx"):
        return False
    habit = len(_CONSOLE.findall(file.before)) if file.before else 0
    new = 0 if file.before else len(_CONSOLE.findall(file.after or ""))
    shebang = (file.after or "").startswith("#!")
    return bool(habit or new >= _HABIT or shebang or _PRINTS_ANYWAY.search(file.path))


def _found(file: FileChange, number: int, trace: _Trace, line: str) -> FindingReported:
    """Return the finding. A line that holds nothing else can go as a whole."""
    alone = re.fullmatch(r"\s*(?:[\w.$]+!?\s*\(.*\)|debugger|byebug|binding\.\w+|(?:import|from)\s.*)\s*;?\s*", line)
    keeps = trace.rule.endswith("focused-test") or not alone or line.count("(") != line.count(")")
    suggestion = "Take it out before the commit." if keeps else "Delete the line."
    return FindingReported(
        file.path, number, trace.severity, trace.rule, f"{trace.what}.", suggestion, None if keeps else ""
    )
