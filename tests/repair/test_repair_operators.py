"""Each operator of the table: what it must propose, and that it changes nothing else."""

import ast

import pytest

from qwencode.repair.mutate.source import Source
from qwencode.repair.mutate.table import OPERATORS, Operator

CASES = [  # operator, before, an edit that it must propose
    ("relational operator", "if a < b: pass", "if a <= b: pass"),
    ("relational operator", "x = a is b", "x = a == b"),
    ("relational operator", "x = a not in b", "x = a in b"),
    ("relational operator", "x = a < b < c", "x = a < b <= c"),
    ("arithmetic operator", "x = a + b", "x = a - b"),
    ("arithmetic operator", "x = a / b", "x = a // b"),
    ("arithmetic operator", "x = a // b", "x = a / b"),
    ("arithmetic operator", "x = (a) + (  # +\n  b)", "x = (a) - (  # +\n  b)"),
    ("arithmetic operator", "x += 1", "x -= 1"),
    ("logical operator", "x = a and b", "x = a or b"),
    ("logical operator", "x = a or b or c", "x = a or b and c"),
    ("assignment operator", "x = y", "x += y"),
    ("assignment operator", "x += y", "x = y"),
    ("assignment operator", "d[k] = v", "d[k] += v"),
    ("unary operator", "x = not a", "x = a"),
    ("unary operator", "x = -a", "x = a"),
    ("unary operator", "x = a - b", "x = abs(a - b)"),
    ("operand order", "x = a - b", "x = b - a"),
    ("operand order", "x = a @ b", "x = b @ a"),
    ("operand order", "x = (a + b) / c", "x = c / (a + b)"),
    ("operand dropped", "x = n + 1", "x = n"),
    ("operand dropped", "x = (a + b) * c", "x = (a + b)"),
    ("operand added", "def f(a, b):\n    t = a\n", "def f(a, b):\n    t = a + b\n"),
    ("off by one", "x = items[i]", "x = items[i + 1]"),
    ("off by one", "for i in range(n): pass", "for i in range(n - 1): pass"),
    ("off by one", "x = n * k", "x = (n + 1) * k"),
    ("off by one", "return_ = f(n, (a, d))", "return_ = f(n, (a, d + 1))"),
    ("condition term dropped", "if a and b: pass", "if a: pass"),
    ("condition term dropped", "if a and b: pass", "if b: pass"),
    ("condition term dropped", "if a and (b): pass", "if a: pass"),
    ("grouping", "x = a + b * c", "x = (a + b) * c"),
    ("grouping", "x = a * (b + c)", "x = a * b + c"),
    ("grouping", "x = a or b and c", "x = (a or b) and c"),
    ("number", "x = 1", "x = 0"),
    ("number", "x = 9", "x = 10"),
    ("number", "x = 0.1", "x = 0.01"),
    ("number", "x = a ** 2", "x = a ** (-2)"),
    ("number", "x = 60", "x = 3600"),
    ("truth value", "x = True", "x = False"),
    ("truth value", "x = None", "x = []"),
    ("empty value", "x = []", "x = None"),
    ("empty value", 'x = ""', "x = 0"),
    ("text", 'x = "a, b"; y = "a; b"', 'x = "a; b"; y = "a; b"'),
    ("text", "x = ','", "x = ', '"),
    ("text", "x = 'Name'", "x = 'name'"),
    ("text", r"x = r'\d'", r"x = r'\d+'"),
    ("text prefix", 'def f(a):\n    return "{a}!"\n', 'def f(a):\n    return f"{a}!"\n'),
    ("format", 'x = f"{a:.1f}"', 'x = f"{a:.2f}"'),
    ("format", 'x = f"{a}"', 'x = f"{a!r}"'),
    ("format", 'x = f"{a:>5}"', 'x = f"{a:<5}"'),
    (
        "mutable default",
        "def f(a, b=[]):\n    b.append(a)\n",
        "def f(a, b=None):\n    if b is None:\n        b = []\n    b.append(a)\n",
    ),
    ("variable", "def f(low, high):\n    return low\n", "def f(low, high):\n    return high\n"),
    ("variable", "LIMIT = 3\ndef f(a):\n    return a\n", "LIMIT = 3\ndef f(a):\n    return LIMIT\n"),
    ("attribute or method", "x.append(y)", "x.extend(y)"),
    ("attribute or method", "x = s.lower()", "x = s.upper()"),
    ("attribute or method", "x = s.lstrip()", "x = s.strip()"),
    ("attribute or method", "for k in d.keys(): pass", "for k in d.items(): pass"),
    ("attribute or method", "x = (a + b).startswith(c)", "x = (a + b).endswith(c)"),
    ("attribute or method", "class A:\n    def f(self):\n        self.a = self.b", "class A:\n    def f(self):\n        self.a = self.a"),
    ("variable or attribute", "class A:\n    def f(self, n):\n        return n + self.n", "class A:\n    def f(self, n):\n        return self.n + self.n"),
    ("variable or attribute", "class A:\n    def f(self, n):\n        return self.n", "class A:\n    def f(self, n):\n        return n"),
    ("function", "x = min(a)", "x = max(a)"),
    ("function", "x = any(a)", "x = all(a)"),
    ("function", "x = int(a)", "x = round(a)"),
    ("function", "def one(a): pass\ndef two(a): pass\nx = one(1)", "def one(a): pass\ndef two(a): pass\nx = two(1)"),
    ("index", "x = a[0]", "x = a[-1]"),
    ("index", "x = a[1]", "x = a[0]"),
    ("index", "x = a[i]", "x = a[-i]"),
    ("slice bounds", "x = a[i:j]", "x = a[i:j + 1]"),
    ("slice bounds", "x = a[i:]", "x = a[:i]"),
    ("slice bounds", "x = a[:2]", "x = a[:3]"),
    ("slice bounds", "x = a[:]", "x = a[1:]"),
    ("slice bounds", "x = a[:]", "x = a[::-1]"),
    ("range", "for i in range(n): pass", "for i in range(1, n): pass"),
    ("range", "for i in range(1, n): pass", "for i in range(1, n + 1): pass"),
    ("range", "for i, x in enumerate(a): pass", "for i, x in enumerate(a, 1): pass"),
    ("arguments", "f(a, b)", "f(b, a)"),
    ("arguments", "f(a, b, c)", "f(a, c, b)"),
    ("arguments", "f(a, b)", "f(a)"),
    ("arguments", "f(a=x, b=y)", "f(a=y, b=x)"),
    ("missing argument", "x = sorted(a)", "x = sorted(a, reverse=True)"),
    ("missing argument", "x = d.get(k)", "x = d.get(k, 0)"),
    ("missing argument", "x = max(a)", "x = max(a, default=0)"),
    ("missing argument", "x = s.split((':'))", "x = s.split((':'), 1)"),
    ("missing argument", "def g(a, depth): pass\ndef f(a, depth):\n    g(a)\n", "def g(a, depth): pass\ndef f(a, depth):\n    g(a, depth=depth)\n"),
    ("missing conversion", "x = a", "x = int(a)"),
    ("missing conversion", "return_(str(a))", "return_(len(str(a)))"),
    ("missing method call", "x = a", "x = a.strip()"),
    ("missing method call", "x = a + b", "x = a.copy() + b"),
    ("missing method call", "x = done", "x = done[::-1]"),
    ("missing bound", "def f(a, b):\n    return a - b\n", "def f(a, b):\n    return max(0, a - b)\n"),
    ("missing bound", "def f(a, b):\n    a[0] = b\n", "def f(a, b):\n    a[0] = max(a[0], b)\n"),
    ("operand added", "def f(a, b, n):\n    return a[b:n]\n", "def f(a, b, n):\n    return a[b:n + b]\n"),
    ("membership noted", "if a not in b:\n    c(a)\n", "if a not in b:\n    b.add(a)\n    c(a)\n"),
    ("superfluous call", "x = int(a)", "x = a"),
    ("superfluous call", "x = a.lower()", "x = a"),
    ("call parentheses", "x = a.lower", "x = a.lower()"),
    ("call parentheses", "x = a.size()", "x = a.size"),
    ("lookup with default", "x = d[k]", "x = d.get(k)"),
    ("lookup with default", "x = d[k] + 1", "x = d.get(k, 0) + 1"),
    ("lookup with default", "x = d.get(k, 0)", "x = d[k]"),
    ("await", "async def f():\n    x = g()\n", "async def f():\n    x = await g()\n"),
    ("negated condition", "if a: pass", "if not a: pass"),
    ("negated condition", "x = [i for i in a if f(i)]", "x = [i for i in a if not f(i)]"),
    ("truth or identity", "if a: pass", "if a is not None: pass"),
    ("truth or identity", "if a is None: pass", "if not a: pass"),
    ("truth or identity", "x = a or b", "x = a if a is not None else b"),
    ("condition term", "def f(a, b):\n    if a: pass\n    if b: pass\n", "def f(a, b):\n    if a: pass\n    if b and a: pass\n"),
    ("condition term", "def f(a, b):\n    if a[b] > 1: pass\n", "def f(a, b):\n    if b not in a or a[b] > 1: pass\n"),
    ("comprehension filter", "x = [i for i in a]", "x = [i for i in a if i]"),
    ("comprehension filter", "x = [i for i in a if i > 1]", "x = [i for i in a]"),
    ("branch", "if a:\n    pass\nif b:\n    pass\n", "if a:\n    pass\nelif b:\n    pass\n"),
    ("branch", "if a:\n    pass\nelif b:\n    pass\n", "if a:\n    pass\nif b:\n    pass\n"),
    ("branch", "x = a if c else b", "x = b if c else a"),
    ("branch", "if a: pass", "while a: pass"),
    ("guard", "def f(a):\n    return a[0]\n", "def f(a):\n    if not a:\n        return None\n    return a[0]\n"),
    ("guard", "def f(a, k):\n    return a[k]\n", "def f(a, k):\n    if k not in a:\n        return None\n    return a[k]\n"),
    ("guard", "def f(a):\n    for b in a:\n        g(b)\n", "def f(a):\n    for b in a:\n        if not b:\n            continue\n        g(b)\n"),
    ("made conditional", "def f(d, k):\n    d[k] = 1\n", "def f(d, k):\n    if k not in d:\n        d[k] = 1\n"),
    ("statement deleted", "a = 1\nb = 2\n", "a = 1\n"),
    ("statement deleted", "if a:\n    b()\n", "if a:\n    pass\n"),
    ("statements swapped", "a()\n# note\nb()\n", "b()\n# note\na()\n"),
    ("statements swapped", "a()\nb()", "b()\na()\n"),
    ("moved out of a block", "for a in b:\n    c()\n    return_()\n", "for a in b:\n    c()\nreturn_()\n"),
    ("moved out of a block", "for a in b:\n    c()\n    d()\n", "c()\nfor a in b:\n    d()\n"),
    ("moved into a block", "for a in b:\n    c()\nd()\n", "for a in b:\n    c()\n    d()\n"),
    ("moved into a block", "d()\nfor a in b:\n    c()\n", "for a in b:\n    d()\n    c()\n"),
    ("statement copied", "class A:\n    def f(self):\n        self.n += 1\n    def g(self):\n        return 1\n",
     "class A:\n    def f(self):\n        self.n += 1\n    def g(self):\n        self.n += 1\n        return 1\n"),
    ("statement copied", "def f(a):\n    c = []\n    for b in a:\n        c.append(b)\n    return c\n",
     "def f(a):\n    c = []\n    for b in a:\n        c.append(b)\n    if b:\n        c.append(b)\n    return c\n"),
    ("loop exit", "for a in b:\n    break\n", "for a in b:\n    continue\n"),
    ("loop exit", "for a in b:\n    c()\n", "for a in b:\n    c()\n    break\n"),
    ("return", "def f(a):\n    a.b()\n", "def f(a):\n    return a.b()\n"),
    ("return", "def f(a):\n    b = a\n", "def f(a):\n    b = a\n    return b\n"),
    ("yield", "def f(a):\n    yield a\n", "def f(a):\n    yield from a\n"),
    ("exception type", "try: pass\nexcept KeyError: pass", "try: pass\nexcept ValueError: pass"),
    ("exception type", "try: pass\nexcept KeyError: pass", "try: pass\nexcept (KeyError, ValueError): pass"),
    ("exception type", "raise KeyError(a)", "raise ValueError(a)"),
    ("construction", "class A(B):\n    def __init__(self, n):\n        self.n = n\n",
     "class A(B):\n    def __init__(self, n):\n        super().__init__(n)\n        self.n = n\n"),
    ("construction", "def f():\n    n = 0\n    def g():\n        n = 1\n",
     "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n = 1\n"),
]  # fmt: skip
BY_NAME = {operator.name: operator for operator in OPERATORS}


def proposals(operator: Operator, text: str) -> set[str]:
    source = Source("a.py", text)
    found: set[str] = set()
    for statement in source.statements:
        for node in [statement] if operator.statement else source.header(statement):
            for edit in operator.propose(source, node):
                assert 0 < edit.weight <= 1.3, operator.name
                assert 0 <= edit.start <= edit.end <= len(text)
                found.add(text[: edit.start] + edit.text + text[edit.end :])
    return found


@pytest.mark.parametrize(("name", "before", "after"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)])
def test_proposes(name: str, before: str, after: str):
    ast.parse(after)
    assert after in proposals(BY_NAME[name], before)


@pytest.mark.parametrize(("name", "before", "after"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)])
def test_line_ends_stay_as_they_are(name: str, before: str, after: str):
    made = proposals(BY_NAME[name], before.replace("\n", "\r\n"))
    assert after.replace("\n", "\r\n") in made
    assert not any("\n" in text.replace("\r\n", "") for text in made)


@pytest.mark.parametrize(
    ("before", "name", "after"),
    [
        ('"""Doc."""\nx = heapq.nlargest(1, y)\n', "heapq", '"""Doc."""\nimport heapq\nx = heapq.nlargest(1, y)\n'),
        ("import os\nx = deque()\n", "deque", "from collections import deque\nimport os\nx = deque()\n"),
        (
            "from __future__ import annotations\nx = Path()\n",
            "Path",
            "from __future__ import annotations\nfrom pathlib import Path\nx = Path()\n",
        ),
    ],
)
def test_a_name_that_the_failure_misses_is_imported(before: str, name: str, after: str):
    source = Source("a.py", before, ("no_such_module", name))
    edits = [e for s in source.statements for e in BY_NAME["import"].propose(source, s)]
    assert [before[: e.start] + e.text + before[e.end :] for e in edits] == [after]


def test_every_operator_has_a_case():
    assert {case[0] for case in CASES} | {"import"} == set(BY_NAME)


def test_every_operator_names_its_source_and_is_documented():
    assert all(operator.source and operator.propose.__doc__ for operator in OPERATORS)
    assert all(0 < operator.prior <= 1 for operator in OPERATORS)


def test_offsets_after_wide_characters():
    assert "é = 'ü😀'; x = a <= b" in proposals(BY_NAME["relational operator"], "é = 'ü😀'; x = a < b")


def test_nodes_of_format_strings_are_placed_right():
    made = proposals(BY_NAME["relational operator"], 'x = f"{a < b} and {c:>{w}}"')
    assert 'x = f"{a <= b} and {c:>{w}}"' in made
