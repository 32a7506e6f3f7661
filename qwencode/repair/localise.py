"""Where the fault may be: spectrum-based fault localisation.

Ochiai: Abreu, Zoeteweij and van Gemund, *On the accuracy of spectrum-based fault localization*, TAIC PART 2007. Ties,
which are many when few tests fail, are broken by what the failure itself tells: the lines of its traceback and the
names in it (as in Schroeter et al., *Do stack traces help developers fix bugs?*, MSR 2010).
"""

import ast
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from qwencode.errors import ToolError
from qwencode.events import Suspect
from qwencode.repair.mutate.source import FUNCTIONS, Source
from qwencode.verify.protected import is_test_path
from qwencode.verify.results import TestRun
from qwencode.workspace import Workspace

FRAMES = (re.compile(r"^(?:E\s+)?([^\s:][^:\n]*\.py):(\d+):", re.M), re.compile(r'File "([^"\n]+\.py)", line (\d+)'))
_LITERAL = re.compile(r"""'[^'\n]{1,40}'|"[^"\n]{1,40}"|(?<![\w.])\d+(?:\.\d+)?(?![\w.])""")
_LITERALS = 40
_WORD = re.compile(r"[A-Za-z_]\w+")
_OUTSIDE_TRACE = 0.8
_UNNAMED = 0.85
_AT_IMPORT = 0.75


@dataclass(frozen=True, slots=True)
class Ranking:
    """`suspects` are functions, most suspicious first, with the Ochiai coefficient of their worst line.

    `lines` maps file to line to a weight from 0 to 1: Ochiai times the tie-breakers, and a share of it for the lines
    that run at import and that suspicious lines refer to. `texts` are the sources that it speaks of;
    `literals` are the texts and numbers that the failures mention.
    """

    suspects: tuple[Suspect, ...]
    lines: Mapping[str, Mapping[int, float]]
    texts: Mapping[str, str]
    literals: tuple[str | int | float, ...] = ()


def rank(run: TestRun, goal: Sequence[str], workspace: Workspace, protected: Collection[str] = ()) -> Ranking:
    """Rank the lines and functions of the repository's own Python files by suspicion.

    `goal` are the failing tests to be mended; `protected` are paths that must not change (tests and their settings),
    and so are never suspected, as are those in another repository inside. Without coverage the tracebacks alone decide;
    without those the ranking is empty.
    """
    plain = _ochiai(run, goal)
    messages = [run.results[test].message for test in goal if test in run.results]
    frames = _frames(messages, workspace)
    seen = any(run.coverage.get(test) for test in goal)
    uncovered = {} if seen else frames
    for file, hits in uncovered.items():
        plain.setdefault(file, {}).update(hits)
    words = set(_WORD.findall(" ".join([*goal, *messages])))
    words |= {part for test in goal for part in _parts(test.rpartition("::")[2])}
    lines: dict[str, dict[int, float]] = {}
    texts: dict[str, str] = {}
    found: list[tuple[float, Suspect]] = []
    for file, scores in plain.items():
        text = "" if file in protected or is_test_path(file) else _text(file, workspace)
        if not text:
            continue
        texts[file] = text
        if (source := _parsed(file, text)) is None:
            lines[file] = dict(scores)
            found.append((1.0, Suspect(file, max(scores, key=lambda line: scores[line]), "<module>", 1.0)))
            continue
        if file in uncovered:
            scores |= _around(source, uncovered[file], scores)
        lines[file] = _weighed(source, scores, frames.get(file, {}), words)
        found += _functions(source, scores, lines[file])
    for file, extra in _import_time(lines, texts, any("NameError" in message for message in messages)).items():
        for line, score in extra.items():
            lines[file][line] = max(lines[file].get(line, 0.0), score)
    ordered = sorted(found, key=lambda pair: (-pair[0], pair[1].file, pair[1].line))
    return Ranking(tuple(suspect for _, suspect in ordered), lines, texts, _literals(messages))


def _ochiai(run: TestRun, goal: Sequence[str]) -> dict[str, dict[int, float]]:
    """Return failed(line) / sqrt(all failed * all runs of the line) for each line that a failing test ran."""
    failed: dict[str, dict[int, int]] = {}
    passed: dict[str, dict[int, int]] = {}
    with_coverage = [test for test in goal if test in run.coverage]
    for tests, counts in ((with_coverage, failed), (run.passing, passed)):
        for test in tests:
            for file, covered in run.coverage.get(test, {}).items():
                row = counts.setdefault(file, {})
                for line in covered:
                    row[line] = row.get(line, 0) + 1
    scores: dict[str, dict[int, float]] = {}
    for file, row in failed.items():
        others = passed.get(file, {})
        scores[file] = {
            line: hits / math.sqrt(len(with_coverage) * (hits + others.get(line, 0))) for line, hits in row.items()
        }
    return scores


def _frames(messages: Sequence[str], workspace: Workspace) -> dict[str, dict[int, float]]:
    """Return the repository's lines that occur in tracebacks: 1 for the innermost of a message, less further out."""
    found: dict[str, dict[int, float]] = {}
    for message in messages:
        hits = sorted((m.start(), m.group(1), int(m.group(2))) for pattern in FRAMES for m in pattern.finditer(message))
        depth = 1.0
        for _, name, line in reversed(hits):
            try:
                file = workspace.relative(workspace.resolve(name))
            except ToolError:
                continue
            if not is_test_path(file) and (workspace.root / file).is_file():
                row = found.setdefault(file, {})
                row[line] = max(row.get(line, 0.0), depth)
                depth = max(0.3, depth * 0.8)
    return found


def _literals(messages: Sequence[str]) -> tuple[str | int | float, ...]:
    """Return the short texts and numbers in the failures, in the order of appearance."""
    found: dict[str | int | float, None] = {}
    for message in messages:
        for match in _LITERAL.finditer(message):
            try:
                value = ast.literal_eval(match.group())
            except (SyntaxError, ValueError):
                continue
            found[value] = None
    return tuple(found)[:_LITERALS]


def _text(file: str, workspace: Workspace) -> str:
    try:
        ours = file.endswith(".py") and not workspace.other_repository(file)
        return workspace.read(file).text if ours else ""
    except ToolError:
        return ""


def _parts(name: str) -> set[str]:
    """Return the runs of words in a test's name: `test_parse_amount_fails` gives `parse_amount`, among others."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.partition("[")[0]).lower().split("_")
    return {"_".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}


def _around(source: Source, hits: Mapping[int, float], scores: Mapping[int, float]) -> dict[int, float]:
    """Suspect the functions of a traceback as a whole where no coverage tells which of their lines ran."""
    found: dict[int, float] = {}
    for node in source.statements:
        if isinstance(node, FUNCTIONS):
            span = range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)
            depth = max((hits.get(line, 0.0) for line in span), default=0.0)
            found |= {line: max(scores.get(line, 0.0), 0.7 * depth) for line in span if depth}
    return found


def _weighed(
    source: Source, scores: Mapping[int, float], frames: Mapping[int, float], words: set[str]
) -> dict[int, float]:
    named: dict[int, float] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, FUNCTIONS):
            factor = 1.0 if node.name in words or node.name.strip("_").lower() in words else _UNNAMED
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                named[line] = max(factor, named.get(line, 0.0))
    return {
        line: score * (_OUTSIDE_TRACE + (1 - _OUTSIDE_TRACE) * frames.get(line, 0.0)) * named.get(line, _UNNAMED)
        for line, score in scores.items()
    }


def _functions(
    source: Source, scores: Mapping[int, float], weights: Mapping[int, float]
) -> list[tuple[float, Suspect]]:
    """Return the functions that hold suspicious lines, each with its weight."""
    owners: dict[int, str] = {}
    for node in sorted(source.statements, key=lambda n: n.lineno):
        if isinstance(node, FUNCTIONS):
            owners |= dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), source.qualname(node))
    best: dict[str, tuple[float, int]] = {}
    for line, weight in sorted(weights.items()):
        name = owners.get(line, "<module>")
        if weight > best.get(name, (0.0, 0))[0]:
            best[name] = (weight, line)
    return [(weight, Suspect(source.path, line, name, scores[line])) for name, (weight, line) in best.items()]


def _import_time(
    lines: Mapping[str, Mapping[int, float]], texts: Mapping[str, str], missing: bool
) -> dict[str, dict[int, float]]:
    """Suspect the assignments, imports, defaults and heads that ran at import, by the suspicious lines that refer to
    them; with a name `missing`, also the place where imports begin.
    """
    used: dict[str, float] = {}
    found: dict[str, dict[int, float]] = {file: {} for file in lines}
    sources = {file: source for file in lines if (source := _parsed(file, texts[file])) is not None}
    for file, scores in lines.items():
        _note_words(texts[file], scores, used)
    for _ in range(2):  # what a default refers to is reached through the head of its function
        for file, source in sources.items():
            for node in source.statements:
                score = _AT_IMPORT * _import_score(source, node, lines[file], used)
                row = found[file]
                row |= {line: max(row.get(line, 0.0), score) for line in source.header_lines(node) if score}
        for file, row in found.items():
            _note_words(texts[file], row, used)
    for file, source in sources.items() if missing else ():
        first = next((node for node in source.tree.body if not isinstance(node, ast.Expr)), None)
        if first is not None:
            found[file][first.lineno] = max(lines[file].values(), default=0.0)
    return found


def _parsed(file: str, text: str) -> Source | None:
    try:
        return Source(file, text)
    except SyntaxError:
        return None


def _note_words(text: str, scores: Mapping[int, float], used: dict[str, float]) -> None:
    rows = text.splitlines()
    for line, score in scores.items():
        for word in _WORD.findall(rows[line - 1]) if line <= len(rows) else ():
            used[word] = max(used.get(word, 0.0), score)


def _import_score(source: Source, node: ast.stmt, scores: Mapping[int, float], used: Mapping[str, float]) -> float:
    if isinstance(node, FUNCTIONS):
        return max((scores.get(line, 0.0) for line in range(node.lineno, (node.end_lineno or 0) + 1)), default=0.0)
    if source.function(node) is not None:
        return 0.0
    if isinstance(node, ast.Assign | ast.AnnAssign):
        names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        return max((used.get(name, 0.0) for name in names), default=0.0)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return 0.5 * max(used.get(alias.asname or alias.name, 0.0) for alias in node.names)
    return 0.0
