# Plain os calls and old-style generics: Python 3.8, and tests patch pathlib.
# ruff: noqa: B905, PTH118, PTH123, UP006, UP035
"""The part of the fork server that puts an edit into a running process. Python 3.8 and the standard library alone."""

from __future__ import annotations

import ast
import gc
import importlib.machinery
import os
import sys
import types
from typing import Any, Dict, List, Tuple

Found = Dict[types.CodeType, types.CodeType]
OPTIMIZED = 1  # co_flags of a function; class and module bodies have it not


def nested(code: types.CodeType) -> List[types.CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]


def signature(code: types.CodeType) -> Tuple[Any, ...]:
    """Return what a code object does, line numbers and nested code left out."""
    values: List[Any] = list(code.co_consts)
    constants = ["code" if isinstance(c, types.CodeType) else f"{type(c)} {c!r}" for c in values]
    handlers = getattr(code, "co_exceptiontable", b"")
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    variables = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (code.co_code, constants, handlers, shape, variables, [inner.co_name for inner in nested(code)])


def compare(old: types.CodeType, new: types.CodeType, changed: Found, bodies: List[types.CodeType]) -> bool:
    """Note the functions that differ in `changed` (old to new), and module or class bodies that differ in `bodies`."""
    own = signature(old) != signature(new)
    inside = False
    if len(nested(old)) == len(nested(new)):
        for before, after in zip(nested(old), nested(new)):
            inside = compare(before, after, changed, bodies) or inside
    if not old.co_flags & OPTIMIZED:
        if own:
            bodies.append(old)
    elif own or inside:
        changed[old] = new
    return own or inside


def key_of(code: types.CodeType) -> Tuple[Any, ...]:
    return (code.co_name, code.co_firstlineno, code.co_argcount, code.co_freevars)


class Cannot(Exception):
    """The edit cannot be expressed by swapping."""


class Swapper:
    """Puts edited code into the live functions, classes and modules of this process."""

    def __init__(self, root: str):
        self.root = os.path.realpath(root) + os.sep
        self.functions: Dict[str, Dict[Tuple[Any, ...], List[Any]]] = {}
        self.originals: Dict[str, Tuple[types.CodeType, ast.Module]] = {}
        real: Dict[str, str] = {}
        for thing in gc.get_objects():
            if type(thing) is types.FunctionType:
                name = thing.__code__.co_filename
                path = real[name] = real.get(name) or os.path.realpath(name)
                if path.startswith(self.root):
                    table = self.functions.setdefault(path, {})
                    table.setdefault(key_of(thing.__code__), []).append(thing)

    def prepare(self, file: str) -> None:
        """Compile the file as it is on disk, once, before the fork."""
        path = os.path.realpath(os.path.join(self.root, file))
        if path not in self.originals:
            with open(path, "rb") as stream:
                text = stream.read()
            self.originals[path] = (compile(text, path, "exec", dont_inherit=True), ast.parse(text))

    def swap(self, file: str, source: str) -> None:
        """Make the process behave as if the file had this source. Raises Cannot, or SyntaxError for the source."""
        path = os.path.realpath(os.path.join(self.root, file))
        old, old_tree = self.originals[path]
        new = compile(source, path, "exec", dont_inherit=True)
        changed: Found = {}
        bodies: List[types.CodeType] = []
        compare(old, new, changed, bodies)
        if bodies:
            modules = [m for m in list(sys.modules.values()) if self.file_of(m) == path]
            if not modules:
                raise Cannot("the module is not loaded")
            Bodies(self, path, modules, old_tree).apply(ast.parse(source))
        reached = {inner for code in changed for inner in nested(code)}
        for before, after in changed.items():
            live = self.live(path, before)
            if not live and before not in reached:
                raise Cannot("no live function has this code")
            for function in live:
                if function.__code__.co_freevars != after.co_freevars:
                    raise Cannot("it needs other variables of its surroundings")
                function.__code__ = after

    def live(self, path: str, code: types.CodeType) -> List[Any]:
        found = self.functions.get(path, {}).get(key_of(code), [])
        exact = [function for function in found if function.__code__ == code]
        return exact or found

    @staticmethod
    def file_of(module: Any) -> str:
        name = getattr(module, "__file__", None)
        return os.path.realpath(name) if isinstance(name, str) else ""


class Bodies:
    """Changes of module and class bodies: simple assignments, default arguments."""

    def __init__(self, swapper: Swapper, path: str, modules: List[Any], tree: ast.Module):
        self.swapper, self.path, self.modules, self.tree = swapper, path, modules, tree

    def apply(self, new: ast.Module) -> None:
        for module in self.modules:
            self.statements(self.tree.body, new.body, module, module)

    def statements(self, old: List[Any], new: List[Any], module: Any, owner: Any) -> None:
        if len(old) != len(new):
            raise Cannot("a definition or statement of the module came or went")
        for before, after in zip(old, new):
            if type(before) is not type(after):
                raise Cannot("a statement of the module changed its kind")
            if ast.dump(before) != ast.dump(after):
                self.statement(before, after, module, owner, old)

    def statement(self, old: Any, new: Any, module: Any, owner: Any, block: List[Any]) -> None:
        if isinstance(old, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if dumped(old.decorator_list) != dumped(new.decorator_list) or old.name != new.name:
                raise Cannot("a decorator or name changed")
            if dumped([old.args]) != dumped([new.args]):
                self.defaults(old, new, module, owner)
        elif isinstance(old, ast.ClassDef):
            parts = [dumped([*node.bases, *node.keywords, *node.decorator_list]) + node.name for node in (old, new)]
            inner = owner.__dict__.get(old.name)
            if parts[0] != parts[1] or not isinstance(inner, type):
                raise Cannot("the head of a class changed")
            self.statements(old.body, new.body, module, inner)
        elif isinstance(old, (ast.Assign, ast.AnnAssign)):
            self.assignment(old, new, module, owner, block)
        elif not isinstance(old, ast.Expr) or not isinstance(old.value, ast.Constant):
            raise Cannot("a statement of the module changed")

    def evaluate(self, node: ast.expr, module: Any, owner: Any) -> Any:
        code = compile(ast.Expression(node), self.path, "eval", dont_inherit=True)
        return eval(code, module.__dict__, dict(owner.__dict__))

    def defaults(self, old: Any, new: Any, module: Any, owner: Any) -> None:
        names = [[a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)] for node in (old, new)]
        if names[0] != names[1]:
            raise Cannot("parameters changed")
        first = min([old.lineno, *(decorator.lineno for decorator in old.decorator_list)])
        table = self.swapper.functions.get(self.path, {})
        found = [f for key, live in table.items() if key[:2] == (old.name, first) for f in live]
        found = [f for f in found if f.__globals__ is vars(module)]
        if not found:
            raise Cannot("no live function has these defaults")
        values = tuple(self.evaluate(node, module, owner) for node in new.args.defaults)
        pairs = zip(new.args.kwonlyargs, new.args.kw_defaults)
        keywords = {a.arg: self.evaluate(node, module, owner) for a, node in pairs if node is not None}
        for function in found:
            function.__defaults__ = values or None
            function.__kwdefaults__ = keywords or None

    def assignment(self, old: Any, new: Any, module: Any, owner: Any, block: List[Any]) -> None:
        targets = [node.targets if isinstance(node, ast.Assign) else [node.target] for node in (old, new)]
        target = targets[0][0]
        if dumped(targets[0]) != dumped(targets[1]) or len(targets[0]) > 1 or not isinstance(target, ast.Name):
            raise Cannot("the target of an assignment changed")
        name, plain = target.id, owner is module
        at_import = [node for statement in block for node in outside_functions(statement)]
        uses = [node for node in at_import if isinstance(node, ast.Name) and node.id == name and node is not target]
        if uses or new.value is None or name not in vars(owner):
            raise Cannot(f"{name} is used while the module is imported")
        value, before = self.evaluate(new.value, module, owner), owner.__dict__[name]
        if plain and self.imported_elsewhere(name, before, module):
            raise Cannot(f"{name} is imported by another module")
        if not plain and (
            owner.__class__.__module__ not in ("builtins", "abc") or hasattr(owner, "__dataclass_fields__")
        ):
            raise Cannot("the class makes something of its attributes")
        kinds: List[Any] = [type(value), type(before)]
        if any(hasattr(kind, "__set_name__") for kind in kinds):
            raise Cannot(f"{name} is a descriptor")
        setattr(owner, name, value)

    def imported_elsewhere(self, name: str, value: Any, module: Any) -> bool:
        plain = isinstance(value, (int, float, str, bytes, type(None)))
        for other in list(sys.modules.values()):
            foreign = other is not module and self.swapper.file_of(other).startswith(self.swapper.root)
            if foreign and any(v is value and (not plain or k == name) for k, v in list(vars(other).items())):
                return True
        return False


def dumped(nodes: List[Any]) -> str:
    return " ".join(ast.dump(node) for node in nodes)


def outside_functions(node: ast.AST) -> List[ast.AST]:
    """Return the nodes that are evaluated while the module is imported."""
    found: List[ast.AST] = [node]
    for field, value in ast.iter_fields(node):
        if field == "body" and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        for child in value if isinstance(value, list) else [value]:  # pyright: ignore[reportUnknownVariableType]
            if isinstance(child, ast.AST):
                found += outside_functions(child)
    return found


def ignore_caches(root: str) -> None:
    """Make the import system compile the repository's files anew: bytecode caches may be stale, or planted."""
    inside = os.path.realpath(root) + os.sep
    loader: Any = importlib.machinery.SourceFileLoader
    original = loader.path_stats

    def path_stats(self: Any, path: str) -> Any:
        if os.path.realpath(path).startswith(inside) and "site-packages" not in path:
            raise OSError("not read")
        return original(self, path)

    loader.path_stats = path_stats


def overlay(root: str, file: str, source: str) -> None:
    """Make the import system see this source in place of the file."""
    wanted = os.path.realpath(os.path.join(root, file))
    loader: Any = importlib.machinery.SourceFileLoader
    original = loader.get_code

    def get_code(self: Any, fullname: str) -> Any:
        if os.path.realpath(self.path) == wanted:
            return compile(source, self.path, "exec", dont_inherit=True)
        return original(self, fullname)

    loader.get_code = get_code
