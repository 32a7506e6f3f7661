"""Names: the wrong variable, attribute, method or function among those in reach.

Variable replacement: Offutt 1996 (SVR), TBar FP13 (Liu 2019). Method replacement: PAR *Method Replacer* (Kim et al.,
ICSE 2013), TBar FP10. Pairs that are confused: Just et al., *Are mutants a valid substitute for real faults*, FSE 2014.
"""

import ast
import difflib
from collections.abc import Iterator

from qwencode.repair.mutate.source import BUILTINS, FUNCTIONS, Edit, Source

_GROUPS = """append extend insert | appendleft append | pop popleft popitem remove | add discard remove update |
update setdefault
lower upper casefold title capitalize | strip lstrip rstrip | startswith endswith | removeprefix removesuffix
keys values items | find rfind index rindex | split rsplit splitlines | partition rpartition | ljust rjust center zfill
isdigit isalpha isalnum isdecimal isnumeric isspace | isupper islower | union intersection difference
issubset issuperset | any all | min max sum | sorted reversed list set | floor ceil trunc | int round float | str repr
len sum | read readline readlines | heappush heappop heappushpop heapreplace | bisect_left bisect_right bisect
insort_left insort_right insort | match search fullmatch | findall finditer | sub subn | enumerate zip | map filter
isinstance issubclass | dump dumps | load loads | first last | left right | days seconds total_seconds | date datetime
ROUND_HALF_UP ROUND_HALF_EVEN ROUND_HALF_DOWN ROUND_UP ROUND_DOWN ROUND_FLOOR ROUND_CEILING | symmetric_difference union
month day year hour minute second | name stem suffix | start end | head tail | row column | width height | x y
move_to_end popitem | get pop setdefault | copy deepcopy | clear copy | lower strip | write writelines | encode decode
nlargest nsmallest | lt le | gt ge | add sub | lo hi low high | prev next | before after | old new | src dst
source target | parent child children | key value | begin end | first second | real imag | iter next | put get
acquire release | sqrt pow | log log10 log2 exp | sin cos | weekday isoweekday | accumulate chain | utcnow now
islice takewhile dropwhile | product permutations combinations combinations_with_replacement | rstrip removesuffix
lstrip removeprefix | dict OrderedDict defaultdict Counter | list tuple set frozenset"""
PAIRS: dict[str, dict[str, None]] = {}
for _group in _GROUPS.replace("\n", " | ").split("|"):
    for _name in _group.split():
        PAIRS.setdefault(_name, {}).update(dict.fromkeys(other for other in _group.split() if other != _name))


def _alike(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a, b).ratio()


def variable(source: Source, node: ast.AST) -> Iterator[Edit]:
    """SVR: another name of the same function, a parameter or a constant of the module in place of this one."""
    if not isinstance(node, ast.Name) or isinstance(node.ctx, ast.Del):
        return
    scope = source.function(node)
    parent = source.parent(node)
    if isinstance(parent, ast.Call) and node is parent.func:
        return
    names = source.names_in(scope) if scope else {}
    known = {name for name in names if name not in BUILTINS and name not in source.definitions}
    if isinstance(node.ctx, ast.Load):
        known |= source.globals
    parameters = {a.arg for a in ast.walk(scope.args) if isinstance(a, ast.arg)} if scope else set[str]()
    for other in sorted(known - {node.id, "_", "cls"}):
        weight = 0.35 + 0.4 * _alike(node.id, other) + (0.15 if other in parameters else 0.0)
        weight *= 1.0 if isinstance(node.ctx, ast.Load) else 0.4
        weight *= 0.15 if "self" in (other, node.id) else 0.5 if other not in names else 1.0
        yield source.replace(node, other, min(1.0, weight))
    owner = source.owner(node)
    if owner and "self" in parameters and node.id != "self" and isinstance(node.ctx, ast.Load):
        for other in source.attributes(owner):
            if _alike(node.id, other.strip("_")) > 0.6:
                yield source.replace(node, f"self.{other}", 0.5)


def attribute(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Another attribute of the same object: its pair (`append`, `extend`), one used nearby, one with a similar name."""
    if not isinstance(node, ast.Attribute):
        return
    end = source.span(node)[1]
    start, called = end - len(node.attr), isinstance(parent := source.parent(node), ast.Call) and parent.func is node
    wanted = dict.fromkeys(PAIRS.get(node.attr, {}), 1.0)
    if isinstance(node.value, ast.Name):
        owner = source.owner(node) if node.value.id == "self" else None
        nearby = source.attributes(owner or source.tree, node.value.id)
        methods = {m.name for m in owner.body if isinstance(m, FUNCTIONS)} if owner else set[str]()
        for other in nearby.keys() | methods:
            if not owner or (other in methods) == (node.attr in methods):
                wanted.setdefault(other, 0.3 + 0.4 * _alike(node.attr, other))
    else:
        for other in ast.walk(source.function(node) or source.tree):
            if isinstance(other, ast.Attribute):
                same = isinstance(up := source.parent(other), ast.Call) and up.func is other
                if same == called:
                    wanted.setdefault(other.attr, 0.15 + 0.3 * _alike(node.attr, other.attr))
    wanted.pop(node.attr, None)
    for other, weight in wanted.items():
        yield Edit(start, end, other, weight if isinstance(node.ctx, ast.Load) else weight * 0.4)


def local_or_attribute(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A variable in place of the attribute of the same name, and back (`self.limit` and `limit`)."""
    scope = source.function(node)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self" and scope:
        called = isinstance(up := source.parent(node), ast.Call) and up.func is node
        for other in source.names_in(scope):
            if other not in ("self", "_") and other not in BUILTINS and isinstance(node.ctx, ast.Load) and not called:
                same = other == node.attr.strip("_")
                yield source.replace(node, other, 1.0 if same else 0.25 + 0.5 * _alike(other, node.attr))
    elif isinstance(node, ast.Name) and scope and (owner := source.owner(node)) and "self" in source.names_in(scope):
        used = source.attributes(owner)
        for other in (node.id, f"_{node.id}"):
            if other in used:
                yield source.replace(node, f"self.{other}", 1.0 if isinstance(node.ctx, ast.Load) else 0.7)


def function(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Another function: the pair of a builtin (`min`, `max`), or one of this file, alike in name or
    parameters first.
    """
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return
    name = node.func.id
    wanted = dict.fromkeys(PAIRS.get(name, {}), 1.0)
    for other, definition in source.definitions.items():
        if isinstance(source.parent(definition), ast.Module) and isinstance(definition, FUNCTIONS):
            fits = len(definition.args.args) == len(node.args)
            if name not in BUILTINS:
                wanted.setdefault(other, (0.5 if fits else 0.2) * (0.4 + 0.6 * _alike(name, other)))
    wanted.pop(name, None)
    importable = {
        alias.asname or alias.name
        for n in ast.walk(source.tree)
        if isinstance(n, ast.Import | ast.ImportFrom)
        for alias in n.names
    }
    for other, weight in wanted.items():
        if other in BUILTINS or other in source.definitions or other in importable:
            yield source.replace(node.func, other, weight)
