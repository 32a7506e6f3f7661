"""Which language a file is in, by its name, and the tree-sitter grammars: each is loaded when it is first needed."""

import importlib
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language

_SUFFIXES = {
    "python": ".py .pyi .pyw",
    "javascript": ".js .jsx .mjs .cjs",
    "typescript": ".ts .mts .cts",
    "tsx": ".tsx",
    "go": ".go",
    "rust": ".rs",
    "java": ".java",
    "c": ".c",
    "cpp": ".h .cc .cpp .cxx .hh .hpp .hxx",  # C headers read well as C++
    "c_sharp": ".cs",
    "ruby": ".rb .rake",
    "php": ".php",
    "bash": ".sh .bash",
}
_BY_SUFFIX = {suffix: language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_SPEAKS_FOR_FOLDER = frozenset(("__init__", "index", "mod", "lib", "main"))
_FUNCTIONS = {"typescript": "language_typescript", "tsx": "language_tsx", "php": "language_php"}


def language_of(path: str) -> str:
    """Return the language of a file, '' where none is known."""
    name = path.rpartition("/")[2]  # no PurePosixPath: it is asked of every file of a repository, more than once
    dot = name.rfind(".")
    return _BY_SUFFIX.get(name[dot:].lower(), "") if dot > 0 else ""


def spoken_name(path: str) -> str:
    """Return the word that stands for a file in the imports of others: its stem, or its folder's name."""
    folder, _, name = path.rpartition("/")
    stem = name.partition(".")[0]
    by_folder = stem in _SPEAKS_FOR_FOLDER or name.endswith(".go")  # a package of Go is a folder
    return folder.rpartition("/")[2] or stem if by_folder else stem


@cache
def grammar(language: str) -> "Language":
    """Return the grammar of a language that `language_of` names."""
    from tree_sitter import Language

    pointer: object = getattr(wheel(language), _FUNCTIONS.get(language, "language"))()
    return Language(pointer)


def wheel(language: str) -> ModuleType:
    """Return the module that a grammar comes in; there is one a language, so that nothing is fetched at run time."""
    return importlib.import_module(f"tree_sitter_{'typescript' if language == 'tsx' else language}")
