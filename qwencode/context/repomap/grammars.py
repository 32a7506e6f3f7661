"""The queries for tags: the grammar's own TAGS_QUERY where that is enough, with what it lacks added, or ours where
there is none or where it marks declarators instead of definitions (`queries/`).
"""

from functools import cache
from pathlib import Path

from tree_sitter import Parser, Query

from qwencode.languages import grammar, wheel

_QUERIES = Path(__file__).parent / "queries"
_OWN = frozenset(("c", "cpp", "c_sharp", "bash"))
"""Languages whose query is ours alone."""
_LIKE = {"tsx": "typescript"}
_BASE = {"typescript": "javascript", "tsx": "javascript"}
"""Languages whose tags are an addition to those of another one."""


@cache
def tagger(language: str) -> tuple[Parser, Query]:
    """Return the parser of a language and the query for its tags."""
    return Parser(grammar(language)), Query(grammar(language), _query(language))


def _query(language: str) -> str:
    alike = _LIKE.get(language, language)
    parts = [] if language in _OWN else [_tags_query(part) for part in (_BASE.get(language, ""), alike) if part]
    own = _QUERIES / f"{alike}.scm"
    if own.is_file():
        parts.append(own.read_text(encoding="utf-8"))
    return "\n".join(parts)


def _tags_query(language: str) -> str:
    return wheel(language).TAGS_QUERY
