"""The stream of candidates: every one compiles, means something else, stays in its place; best first, none twice."""

import ast
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeded import INVENTORY, ROUTES, TEXT

from qwencode.repair.mutate.candidates import Candidate, candidates

EXOTIC = '''# -*- coding: latin-1 -*-
"""Größen."""
MASS = {"Fläche": 2, "Höhe": 3}
def wert(größe, *, faktor=1):  # Wert
\tif größe == "Fläche": return MASS[größe] * faktor
\ttext = f"{größe!r}: {MASS.get(größe, 0):>3}" "\\
fortgesetzt"
\treturn (text
\t\t.strip())  # Ende'''
SOURCES = [INVENTORY, TEXT, ROUTES, EXOTIC]


def region(text: str, line: int) -> tuple[int, int]:
    """Return the first and last line of the outermost function around a line, or of the statement at module level."""
    tree = ast.parse(text)
    block: list[ast.stmt] = tree.body
    while True:
        inside = [s for s in block if s.lineno - 1 <= line <= (s.end_lineno or 0)]
        if inside and isinstance(inside[-1], ast.ClassDef) and line != inside[-1].lineno:
            block = inside[-1].body
            continue
        return (min(s.lineno for s in inside) - 1, max(s.end_lineno or 0 for s in inside)) if inside else (line, line)


@settings(max_examples=15, deadline=None)
@given(st.data())
@pytest.mark.slow
def test_every_candidate_compiles_differs_and_stays_in_its_place(data: st.DataObject):
    text = data.draw(st.sampled_from(SOURCES))
    if data.draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    lines = text.count("\n") + 1
    line = data.draw(st.integers(1, lines))
    first, last = region(text, line)
    for candidate in islice(candidates({"a.py": text}, {"a.py": {line: 1.0}}), 120):
        after = candidate.applied(text)
        assert after != text
        compile(after, "a.py", "exec", dont_inherit=True)
        assert ast.dump(ast.parse(after)) != ast.dump(ast.parse(text))
        assert after.startswith(text[: candidate.start])
        assert after.endswith(text[candidate.end :])
        rows = text.splitlines(keepends=True)
        if candidate.function == "<module>":  # its statements may change places with their neighbours
            continue
        assert sum(map(len, rows[: first - 1])) <= candidate.start <= candidate.end <= sum(map(len, rows[: last + 1]))
        assert after.count("\n") - after.count("\r\n") in (0, text.count("\n") - text.count("\r\n")) or "\r" not in text


def stream(text: str, scores: dict[int, float]) -> list[Candidate]:
    return list(candidates({"a.py": text}, {"a.py": scores}))


def test_best_first_and_each_text_once():
    found = stream(ROUTES, {12: 1.0, 17: 0.6})
    assert all(a.score >= b.score for a, b in pairwise(found))
    texts = [candidate.applied(ROUTES) for candidate in found]
    assert len(set(texts)) == len(texts)
    assert {candidate.function for candidate in found} == {"shortest"}
    assert all(candidate.function == "shortest" and candidate.what for candidate in found)


def test_a_file_that_does_not_parse_gets_edits_that_make_it_parse():
    broken = "def f(a)\n    return a\n"
    found = [candidate.applied(broken) for candidate in candidates({"a.py": broken}, {"a.py": {1: 1.0}})]
    assert "def f(a):\n    return a\n" in found
    for text in found:
        compile(text, "a.py", "exec")


def test_missing_bracket_on_the_line_before():
    broken = "x = [1, 2\ny = 3\n"
    found = [candidate.applied(broken) for candidate in candidates({"a.py": broken}, {"a.py": {2: 1.0}})]
    assert "x = [1, 2]\ny = 3\n" in found


def test_literals_of_the_failure_are_tried():
    text = 'def f():\n    return "add", 3\n'
    found = [c.applied(text) for c in candidates({"a.py": text}, {"a.py": {2: 1.0}}, ("take", 18))]
    assert 'def f():\n    return "take", 3\n' in found
    assert 'def f():\n    return "add", 18\n' in found


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "pass", "x = 1\n\\\n", "\f\ndef f():\n\treturn 1\n"])
def test_odd_files_are_no_trouble(text: str):
    for candidate in candidates({"a.py": text}, {"a.py": dict.fromkeys(range(1, 6), 1.0)}):
        compile(candidate.applied(text), "a.py", "exec")
