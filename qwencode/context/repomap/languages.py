"""Which language a file is in, by its name, and the name by which other files speak of it."""

from pathlib import PurePosixPath

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


def language_of(path: str) -> str:
    """Return the language of a file, '' where none is known."""
    return _BY_SUFFIX.get(PurePosixPath(path).suffix.lower(), "")


def spoken_name(path: str) -> str:
    """Return the word that stands for a file in the imports of others: its stem, or its folder's name."""
    pure = PurePosixPath(path)
    stem = pure.name.partition(".")[0]
    by_folder = stem in _SPEAKS_FOR_FOLDER or pure.suffix == ".go"  # a package of Go is a folder
    return pure.parent.name or stem if by_folder else stem
