"""The tree-sitter grammars, each loaded when the first file of its language is met.

A query is the grammar's own TAGS_QUERY where that is enough, with what it lacks added, or ours where there is none or
where it marks declarators instead of definitions (`queries/`).
"""

import importlib
from functools import cache
from pathlib import Path

from tree_sitter import Language, Parser, Query

_QUERIES = Path(__file__).parent / "queries"
_OWN = frozenset(("c", "cpp", "c_sharp", "bash"))
"""Languages whose query is ours alone."""
_LIKE = {"tsx": "typescript"}
_BASE = {"typescript": "javascript", "tsx": "javascript"}
"""Languages whose tags are an addition to those of another one."""
_FUNCTIONS = {"typescript": "language_typescript", "tsx": "language_tsx", "php": "language_php"}


@cache
def grammar(name: str) -> tuple[Parser, Query]:
    """Return the parser of a language and the query for its tags."""
    module = importlib.import_module(f"tree_sitter_{_LIKE.get(name, name)}")
    pointer: object = getattr(module, _FUNCTIONS.get(name, "language"))()
    language = Language(pointer)
    return Parser(language), Query(language, _query(name))


def _query(name: str) -> str:
    alike = _LIKE.get(name, name)
    parts = [] if name in _OWN else [_tags_query(part) for part in (_BASE.get(name, ""), alike) if part]
    own = _QUERIES / f"{alike}.scm"
    if own.is_file():
        parts.append(own.read_text(encoding="utf-8"))
    return "\n".join(parts)


def _tags_query(name: str) -> str:
    return importlib.import_module(f"tree_sitter_{name}").TAGS_QUERY
