"""A missing import: a name that the failure calls undefined and that the standard library has.

PAR and TBar, which mend Java, have no such template; for faults of Python that show as errors of names and types see Oh
and Oh, *PyTER: effective program repair for Python type errors*, ESEC/FSE 2022.
"""

import ast
import sys
from collections.abc import Iterator

from qwencode.repair.mutate.source import Edit, Source

_HOMES = """collections: defaultdict OrderedDict Counter deque namedtuple ChainMap | pathlib: Path PurePath | decimal:
Decimal
| dataclasses: dataclass field replace asdict | functools: partial wraps lru_cache reduce cached_property total_ordering
| datetime: datetime date timedelta timezone | fractions: Fraction | enum: Enum IntEnum auto | abc: ABC abstractmethod
| itertools: chain product permutations combinations islice groupby accumulate count cycle repeat takewhile zip_longest
| heapq: heappush heappop heapify nlargest nsmallest | bisect: bisect_left bisect_right insort | copy: deepcopy
| contextlib: contextmanager suppress closing | math: ceil floor sqrt inf gcd | typing: Any Optional Iterable"""
HOMES = {name: group.split(":")[0].strip() for group in _HOMES.split("|") for name in group.split(":")[1].split()}


def missing(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Import a name before the first statement of the module that is no docstring and no `__future__` import."""
    body = [statement for statement in source.tree.body if not isinstance(statement, ast.Expr)]
    if not isinstance(node, ast.stmt) or node not in body[:1] or (place := source.lines(node)) is None:
        return
    at = place[1] if isinstance(node, ast.ImportFrom) and node.module == "__future__" else place[0]
    bound = {
        alias.asname or alias.name
        for n in ast.walk(source.tree)
        if isinstance(n, ast.Import | ast.ImportFrom)
        for alias in n.names
    }
    for name in source.literals:
        if (
            not isinstance(name, str)
            or not name.isidentifier()
            or name in bound
            or name not in source.names_in(source.tree)
        ):
            continue
        if name in HOMES:
            yield Edit(at, at, f"from {HOMES[name]} import {name}{source.newline}")
        elif name in sys.stdlib_module_names:
            yield Edit(at, at, f"import {name}{source.newline}")
