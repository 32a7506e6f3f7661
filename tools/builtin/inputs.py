"""Guesses what a function may be called with, from annotations, defaults, names and use, as texts of calls."""

import ast
import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

KINDS: dict[str, type] = {
    "int": int,
    "float": float,
    "str": str,
    "list": list,
    "tuple": tuple,
    "dict": dict,
    "set": set,
    "bool": bool,
    "bytes": bytes,
    "none": type(None),
}
_ATTRIBUTES = {name: set(dir(kind)) for name, kind in KINDS.items()}
_NAMES: dict[str, str] = {
    "int": "n i j k m count size num number index idx start stop end length width height limit depth level offset pos "
    "position step max min total page base year month day hour minute second bits rows cols code precision places ndim "
    "axis order degree shift nbytes seed a b",
    "float": "x y z value val r t lo hi low high alpha beta theta angle rate ratio weight scale temperature seconds "
    "tol eps p q lat lon x0 x1 x2 y0 y1 y2 dx dy a b c v w dt freq amount red green blue",
    "str": "name text s string path line key prefix suffix sep delimiter word msg message title label char c ch "
    "pattern filename url uri query source content token ident identifier version fmt format value val column field "
    "data body expr sql code indent header tag domain host language locale mode color encoding",
    "list": "items lst values data seq sequence names list array elements args lines words tokens points parts rows l "
    "xs iterable nums numbers numbers_list keys columns fields arr paths shape dims sizes matrix tuples pairs bbox",
    "dict": "d dict mapping kwargs options config params attrs data metadata obj dic dct mapping_dict env headers kw "
    "settings schema info state doc record row node",
    "tuple": "shape point pair size bbox rgb color interval range coord version box key dims",
    "bool": "reverse strict verbose flag sort inclusive force ignore_case recursive",
    "set": "seen excluded exclude visited allowed set",
}
_BY_NAME: dict[str, list[str]] = {}
for _kind, _words in _NAMES.items():
    for _word in _words.split():
        _BY_NAME.setdefault(_word, []).append(_kind)
_ANNOTATED = {
    "list": ("List", "Sequence", "Iterable", "Collection", "MutableSequence", "Iterator"),
    "dict": ("Dict", "Mapping", "MutableMapping"),
    "set": ("Set", "AbstractSet", "FrozenSet", "frozenset"),
    "tuple": ("Tuple",),
    "none": ("Optional", "None"),
    "str": ("AnyStr", "Text", "AnyPath", "PathLike"),
    "float": ("Real", "Number"),
    "callable": ("Callable",),
}
_OF_ANNOTATION = {word: kind for kind, words in _ANNOTATED.items() for word in words} | {name: name for name in KINDS}
_INTS = (0, 1, 2, 3, 4, 5, 7, 8, 10, 12, 16, 20, 31, 60, 64, 100, 255, 365, 1000, -1, -2, -5)
_FLOATS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.25, 3.0, 4.5, 10.0, 0.1, 0.25, 100.0, -1.0, -2.5, -0.5)
_STRINGS = (
    "", "a", "b", "abc", "x", "hello world", "Hello", "A-b_c", "12", "7", "-3", "a,b,c", "x=1", "foo.bar", "/a/b.txt",
    "  pad ", "snake_case", "CamelCase", "3.5", "2020-01-02", "key: value", "a\nb", "a b c", "1.2.3", "true", "(x)",
    "[1]", "aabb", "foo", "bar", "foo_bar_baz", "http://a.b/c?d=1", "10:30", "#ff8000", "100%", "a/b/c", '"q"', "xyz",
)  # fmt: skip
_CALLABLES = (
    "str",
    "len",
    "abs",
    "bool",
    "lambda x: x",
    "lambda x: x > 1",
    "lambda *a: a[0]",
    "lambda x, y: x + y",
    "max",
)
_OTHER = "none"


@dataclass(slots=True)
class Parameter:
    """A parameter and how likely it is to be of each kind."""

    name: str
    how: str
    """positional, keyword, star or stars"""
    required: bool
    kinds: Counter[str]


Chosen = dict[str, str]
"""Kinds by parameter of one call."""


class Inputs:
    """What calls of one function may look like."""

    def __init__(self, tree: ast.FunctionDef):
        self._name = tree.name
        self._uses = _Uses(tree)
        self._texts, self._numbers = _literals(tree)
        self.parameters = list(_parameters(tree, self._uses))

    @property
    def hopeless(self) -> bool:
        """Whether a parameter needs what no plain value has."""
        return any(not parameter.kinds for parameter in self.parameters)

    def call(self, rng: random.Random) -> tuple[str, Chosen]:
        """Make a call and say which kinds it is made of."""
        words: list[str] = []
        chosen: Chosen = {}
        skipped = False
        for parameter in self.parameters:
            if parameter.how in ("star", "stars"):
                words += self._rest(parameter, rng)
                continue
            if not parameter.required and rng.random() < 0.45:
                skipped = True
                continue
            kind = _pick(parameter.kinds, rng)
            chosen[parameter.name] = kind
            text = self._value(kind, parameter.name, rng)
            named = skipped or parameter.how == "keyword"
            words.append(f"{parameter.name}={text}" if named else text)
        return f"{self._name}({', '.join(words)})", chosen

    def learn(self, good: Iterable[Chosen]) -> None:
        """Prefer the kinds of calls that went well."""
        seen: dict[str, Counter[str]] = {}
        for chosen in good:
            for name, kind in chosen.items():
                seen.setdefault(name, Counter())[kind] += 1
        for parameter in self.parameters:
            if parameter.name in seen:
                best = seen[parameter.name]
                parameter.kinds = Counter({kind: count for kind, count in best.items()})

    def _rest(self, parameter: Parameter, rng: random.Random) -> list[str]:
        kind = _pick(parameter.kinds, rng)
        if parameter.how == "star":
            return [self._value(kind, parameter.name + "[]", rng) for _ in range(rng.randrange(4))]
        names = rng.sample(["a", "b", "c", "key"], rng.randrange(3))
        return [f"{name}={self._value(kind, parameter.name + '[]', rng)}" for name in names]

    def _value(self, kind: str, key: str, rng: random.Random, depth: int = 0) -> str:
        if kind == "int":
            known = [n for n in self._numbers if isinstance(n, int)]
            return repr(
                rng.choice(known) + rng.choice((-1, 0, 0, 1)) if known and rng.random() < 0.3 else rng.choice(_INTS)
            )
        if kind == "float":
            known = [float(n) for n in self._numbers]
            return repr(rng.choice(known) if known and rng.random() < 0.3 else rng.choice(_FLOATS))
        if kind == "str":
            return repr(self._text(rng))
        if kind == "bytes":
            return repr(self._text(rng).encode("ascii", "replace"))
        if kind == "bool":
            return rng.choice(("True", "False"))
        if kind == "callable":
            return rng.choice(_CALLABLES)
        if kind == "none":
            return "None"
        return self._container(kind, key, rng, depth)

    def _container(self, kind: str, key: str, rng: random.Random, depth: int) -> str:
        inner = key + "[]"
        kinds = self._uses.kinds(inner) or Counter({"int": 4, "str": 4, "float": 1})
        if depth >= 2:
            kinds = Counter({"int": 1, "str": 1})
        same = _pick(kinds, rng)
        count = rng.choice((0, 1, 2, 2, 3, 3, 4)) if kind != "tuple" else rng.choice((1, 2, 2, 3, 3, 4))
        if kind == "set":
            same = same if same in ("int", "str", "float") else "str"
        mixed = rng.random() < 0.1 and kind != "set"
        values = [self._value(_pick(kinds, rng) if mixed else same, inner, rng, depth + 1) for _ in range(count)]
        if kind == "list":
            return f"[{', '.join(values)}]"
        if kind == "tuple":
            return f"({', '.join(values)}{',' if len(values) == 1 else ''})"
        if kind == "set":
            return f"{{{', '.join(dict.fromkeys(values))}}}" if values else "set()"
        keys = [*self._texts, "a", "b", "c", "name", "x"]
        names = rng.sample(keys, min(len(keys), count)) if rng.random() < 0.8 else rng.sample(_INTS[:8], count)
        return "{" + ", ".join(f"{name!r}: {value}" for name, value in zip(names, values, strict=False)) + "}"

    def _text(self, rng: random.Random) -> str:
        chance = rng.random()
        if self._texts and chance < 0.2:
            return rng.choice(self._texts)
        if self._texts and chance < 0.5:
            part = rng.choice(self._texts)
            left, right = rng.choice(_STRINGS), rng.choice(_STRINGS)
            return rng.choice((part + right, left + part, left + part + right, f"a{part}b{part}c"))[:24]
        return rng.choice(_STRINGS)


def _pick(kinds: Mapping[str, float], rng: random.Random) -> str:
    return rng.choices(list(kinds), list(kinds.values()))[0]


def _literals(tree: ast.FunctionDef) -> tuple[list[str], list[int | float]]:
    """Texts and numbers in the body: inputs made of them reach what compares with them."""
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    texts = dict.fromkeys(v for v in found if isinstance(v, str) and 0 < len(v) <= 16)
    numbers = dict.fromkeys(v for v in found if type(v) in (int, float) and abs(v) < 1e6)
    return list(texts), list(numbers)


def _parameters(tree: ast.FunctionDef, uses: "_Uses") -> Iterator[Parameter]:
    arguments = tree.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    for one, default in zip(plain, defaults, strict=True):
        yield Parameter(one.arg, "positional", default is None, _guess(one, default, uses))
    if arguments.vararg:
        kinds = uses.kinds(arguments.vararg.arg + "[]") or Counter({"int": 2, "str": 2, "list": 1})
        yield Parameter(arguments.vararg.arg, "star", False, kinds)
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield Parameter(one.arg, "keyword", default is None, _guess(one, default, uses))
    if arguments.kwarg:
        yield Parameter(arguments.kwarg.arg, "stars", False, Counter({"int": 2, "str": 2}))


def _guess(argument: ast.arg, default: ast.expr | None, uses: "_Uses") -> Counter[str]:
    """Weigh the kinds of one parameter; those that lack an attribute which is used are out."""
    found = uses.kinds(argument.arg)
    if argument.annotation is not None:
        for node in ast.walk(argument.annotation):
            word = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
            word = "none" if isinstance(node, ast.Constant) and node.value is None else word
            if word in _OF_ANNOTATION:
                found[_OF_ANNOTATION[word]] += 8
    if isinstance(default, ast.Constant):
        kind = next((name for name, kind in KINDS.items() if type(default.value) is kind), _OTHER)
        found[kind] += 2 if kind == "none" else 6
    elif isinstance(default, ast.List | ast.Tuple | ast.Dict | ast.Set):
        found[type(default).__name__.lower()] += 6
    words = [argument.arg, argument.arg.rstrip("s0123456789"), argument.arg.rpartition("_")[2]]
    for word in dict.fromkeys(words):
        for kind in _BY_NAME.get(word, ()):
            found[kind] += 2
    if argument.arg.startswith(("is_", "has_", "use_", "with_")):
        found["bool"] += 4
    if sum(found.values()) < 6:
        for kind, weight in (("str", 1.5), ("int", 1.5), ("list", 1), ("float", 0.5), ("dict", 0.5), ("tuple", 0.3)):
            found[kind] += weight
    needed = uses.attributes(argument.arg)
    if argument.arg in ("self", "cls"):
        return Counter({"none": 1})
    return Counter({k: w for k, w in found.items() if k == "callable" or needed <= _ATTRIBUTES[k]})


_OF_CALL = {
    "range": {"int": 5}, "chr": {"int": 5}, "ord": {"str": 3}, "len": {"list": 2, "str": 2, "dict": 0.5, "tuple": 1},
    "sum": {"list": 4}, "sorted": {"list": 4, "str": 0.5}, "enumerate": {"list": 3, "str": 1}, "zip": {"list": 4},
    "abs": {"int": 2, "float": 3}, "round": {"float": 4, "int": 1}, "int": {"str": 2, "float": 2, "int": 2},
    "float": {"str": 2, "float": 3, "int": 1}, "str": {"int": 2, "str": 2, "float": 1}, "set": {"list": 3, "str": 1},
    "list": {"list": 2, "tuple": 1, "str": 1, "dict": 0.5}, "max": {"int": 2, "float": 1, "list": 2},
    "min": {"int": 2, "float": 1, "list": 2}, "any": {"list": 3}, "all": {"list": 3}, "dict": {"dict": 3, "list": 1},
    "hex": {"int": 5}, "bin": {"int": 5}, "divmod": {"int": 4}, "pow": {"int": 3, "float": 2}, "iter": {"list": 3},
    "reversed": {"list": 3, "str": 1}, "tuple": {"list": 3}, "map": {"list": 3}, "callable": {"callable": 2},
}  # fmt: skip
_ANY_CONTAINER = {"list": 2, "tuple": 1, "str": 1, "dict": 0.7}


class _Uses:
    """What the body does with each name. `x[]` is an element of `x`: what iteration or an index gives."""

    def __init__(self, tree: ast.FunctionDef):
        self._alias: dict[str, str] = {}
        self._found: dict[str, Counter[str]] = {}
        self._needed: dict[str, set[str]] = {}
        guarded = {id(node) for test in ast.walk(tree) if isinstance(test, ast.Try) for node in ast.walk(test)}
        for node in ast.walk(tree):
            if isinstance(node, ast.For | ast.comprehension):
                self._bind(node.target, node.iter)
        for node in ast.walk(tree):
            self._note(node, id(node) in guarded)

    def kinds(self, key: str) -> Counter[str]:
        """Weights of the kinds that the use of a name speaks for, those of its elements weighed by their depth."""
        found = Counter(self._found.get(key, {}))
        needed = self._needed.get(key, set())
        for name, attributes in _ATTRIBUTES.items():
            if needed and needed <= attributes:
                found[name] += 6 if name not in ("bytes",) else 0.3
        if not found and key + "[]" in self._found:
            found.update({"list": 2, "tuple": 1})
        return found

    def attributes(self, key: str) -> set[str]:
        """Attributes that a value must have."""
        return self._needed.get(key, set())

    def _key(self, node: ast.AST) -> str:
        if isinstance(node, ast.Name):
            return self._alias.get(node.id, node.id)
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
            inner = self._key(node.value)
            return inner + "[]" if inner else ""
        return ""

    def _bind(self, target: ast.expr, source: ast.expr) -> None:
        inner = source
        pair = False
        if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.args:
            pair = source.func.id == "enumerate"
            inner = source.args[0] if source.func.id in ("enumerate", "sorted", "reversed", "list", "set") else source
        elif isinstance(source, ast.Call) and isinstance(source.func, ast.Attribute):
            pair = source.func.attr == "items"
            inner = source.func.value if source.func.attr in ("items", "values") else source
        key = self._key(inner)
        if not key:
            return
        if not isinstance(source, ast.Call):
            self._add(key, _ANY_CONTAINER)
        if pair and isinstance(target, ast.Tuple) and len(target.elts) == 2:
            target = target.elts[1]
        if isinstance(target, ast.Name):
            self._alias.setdefault(target.id, key + "[]")
        elif isinstance(target, ast.Tuple):
            self._add(key + "[]", {"tuple": 4})
            for one in target.elts:
                if isinstance(one, ast.Name):
                    self._alias.setdefault(one.id, key + "[][]")

    def _add(self, key: str, kinds: Mapping[str, float]) -> None:
        found = self._found.setdefault(key, Counter())
        for kind, weight in kinds.items():
            found[kind] += weight

    def _note(self, node: ast.AST, guarded: bool) -> None:
        if isinstance(node, ast.Attribute):
            key = self._key(node.value)
            if key and not guarded:
                self._needed.setdefault(key, set()).add(node.attr)
        elif isinstance(node, ast.Subscript):
            text = isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
            self._about(node.value, {"dict": 4} if text else {"list": 2, "str": 1, "tuple": 1, "dict": 0.5})
        elif isinstance(node, ast.Call):
            self._of_call(node)
        elif isinstance(node, ast.BinOp):
            self._of_arithmetic(node)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for side, other in [*itertools.pairwise(sides), *zip(sides[1:], sides, strict=False)]:
                if isinstance(other, ast.Constant):
                    kind = next((name for name, kind in KINDS.items() if type(other.value) is kind), "")
                    self._about(side, {kind: 1 if kind == "none" else 3} if kind else {})
            if isinstance(node.ops[-1], ast.In | ast.NotIn):
                self._about(node.comparators[-1], {"list": 2, "str": 1, "dict": 1, "set": 1})

    def _about(self, node: ast.AST, kinds: Mapping[str, float]) -> None:
        key = self._key(node)
        if key:
            self._add(key, kinds)

    def _of_call(self, node: ast.Call) -> None:
        self._about(node.func, {"callable": 8})
        if isinstance(node.func, ast.Name):
            if node.func.id == "isinstance" and len(node.args) == 2:
                words = [part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)]
                self._about(node.args[0], {_OF_ANNOTATION[word]: 3 for word in words if word in _OF_ANNOTATION})
            for one in node.args:
                self._about(one, _OF_CALL.get(node.func.id, {}))
        elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            module = node.func.value.id
            kinds = {
                "math": {"float": 4, "int": 2},
                "re": {"str": 5},
                "path": {"str": 5},
                "json": {"str": 1, "dict": 1},
            }
            for one in node.args:
                self._about(one, kinds.get(module, {}))

    def _of_arithmetic(self, node: ast.BinOp) -> None:
        numbers: dict[str, float] = {"int": 2, "float": 2}
        if isinstance(node.op, ast.Add):
            other: dict[str, float] = {"int": 1, "float": 1, "str": 1}
            for side, against in ((node.left, node.right), (node.right, node.left)):
                text = isinstance(against, ast.JoinedStr) or (
                    isinstance(against, ast.Constant) and isinstance(against.value, str)
                )
                self._about(side, {"str": 4} if text else other)
        elif isinstance(node.op, ast.BitAnd | ast.BitOr | ast.LShift | ast.RShift | ast.BitXor):
            self._about(node.left, {"int": 4})
            self._about(node.right, {"int": 4})
        elif not (isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant)):
            self._about(node.left, numbers)
            self._about(node.right, numbers)
