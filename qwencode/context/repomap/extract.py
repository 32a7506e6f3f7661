"""Tags out of a source text, by tree-sitter. Runs in a process of its own (`worker.py`)."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tree_sitter import Node, QueryCursor

from qwencode.context.repomap.grammars import tagger
from qwencode.context.repomap.reading import MAX_BYTES
from qwencode.context.repomap.tags import EMPTY, NAME_CHARS, VALUES, Definition, FileTags, Reference, grouped, safe

MAX_DEFINITIONS = 2_000
_MEAN_LINE_BYTES = 200  # more: minified
_MAX_BROKEN = 3_000  # parts of one syntax error: a query takes time in proportion to their square
_MAX_MATCHES = 1_000  # at a time
_WORD = re.compile(rb"[A-Za-z_\x80-\xff][\w\x80-\xff]{2,%d}(?![\w\x80-\xff])" % (NAME_CHARS - 1))


_LOOSE = re.compile(r"([(\[{]) |,? ([)\]}])")  # what is left of a signature that was spread over lines


class _Marked(NamedTuple):
    """A definition as found in the tree: bytes `start` to `end`, the node around it all and the one with the name."""

    start: int
    end: int
    kind: str
    node: Node
    name: Node


def tags_of(data: bytes, language: str) -> FileTags:
    """Return the tags of a text. What cannot be a source that someone wrote has none."""
    if len(data) > MAX_BYTES or b"\0" in data or len(data) > _MEAN_LINE_BYTES * (data.count(b"\n") + 50):
        return EMPTY
    parser, query = tagger(language)
    root = parser.parse(data).root_node
    if _is_wreck(root):
        return EMPTY
    marked, uses = _matched(QueryCursor(query, match_limit=_MAX_MATCHES).matches(root))
    definitions = list(_definitions(marked[:MAX_DEFINITIONS], data))
    spans = [(mark.start, mark.end) for mark in marked[: len(definitions)]]
    places = _innermost(spans, [node.start_byte for _, node in uses])
    references = [
        Reference(_text(node), kind, node.start_point.row + 1, inside)
        for (kind, node), inside in zip(uses, places, strict=True)
        if node.end_byte - node.start_byte <= NAME_CHARS
    ]
    return grouped(definitions, (found for found in references if " " not in found.name), _mentions(spans, data))


def _matched(matches: Sequence[tuple[int, dict[str, list[Node]]]]) -> tuple[list[_Marked], list[tuple[str, Node]]]:
    """Return definitions and uses, each in the order of the text; a name counts once, and as a definition first."""
    marked: dict[int, _Marked] = {}
    uses: dict[int, tuple[str, Node]] = {}
    for _, captures in matches:
        for capture, nodes in captures.items():
            role, _, kind = capture.partition(".")
            if role not in ("definition", "reference") or "name" not in captures:
                continue
            name, around = captures["name"][0], nodes[0]
            start = name.start_byte
            if role == "reference":
                uses.setdefault(start, (kind, name))
            elif start not in marked or marked[start].kind in VALUES:
                marked[start] = _Marked(min(around.start_byte, start), around.end_byte, kind, around, name)
    order = sorted(marked.values(), key=lambda mark: (mark.start, -mark.end))
    return order, sorted((use for start, use in uses.items() if start not in marked), key=lambda use: use[1].start_byte)


def _definitions(marked: Sequence[_Marked], data: bytes) -> Iterator[Definition]:
    around: list[int] = []
    for number, mark in enumerate(marked):
        while around and marked[around[-1]].end <= mark.start:
            around.pop()
        inside = around[-1] if around else -1
        name = safe(_text(mark.name), NAME_CHARS).replace(" ", "")
        first, last = mark.name.start_point.row + 1, mark.node.end_point.row + 1
        yield Definition(name or "?", mark.kind, first, last, inside, _signature(mark, data))
        around.append(number)


def _signature(mark: _Marked, data: bytes) -> str:
    """Return the text of a definition up to its body; of a value only the name, for its text may be long or secret."""
    if mark.kind in VALUES:
        name = safe(_text(mark.name), NAME_CHARS)
        before = data[mark.node.start_byte : mark.name.start_byte].rpartition(b"\n")[2][:60]
        return safe(_decoded(before) + name)
    body = mark.node.child_by_field_name("body")
    end = body.start_byte if body is not None and body.start_byte > mark.name.end_byte else mark.node.end_byte
    text = data[mark.start : min(end, mark.start + 1_000)]
    if body is None:
        text = text.partition(b"\n")[0]
    return _LOOSE.sub(r"\1\2", safe(_decoded(text))).rstrip(" {:;")


def _innermost(spans: Sequence[tuple[int, int]], places: Sequence[int]) -> list[int]:
    """Return for each place the index of the innermost span around it, or -1. Both are sorted; spans nest."""
    found: list[int] = []
    around: list[int] = []
    coming = 0
    for place in places:
        while coming < len(spans) and spans[coming][0] <= place:
            while around and spans[around[-1]][1] <= spans[coming][0]:
                around.pop()
            around.append(coming)
            coming += 1
        while around and spans[around[-1]][1] <= place:
            around.pop()
        found.append(around[-1] if around else -1)
    return found


def _mentions(spans: Sequence[tuple[int, int]], data: bytes) -> list[set[str]]:
    """Return the words of the text outside of all spans, then of each span without those inside it."""
    found: list[set[bytes]] = [set() for _ in range(len(spans) + 1)]
    edges = sorted({0, len(data), *(edge for span in spans for edge in span)})
    places = _innermost(spans, edges)
    for begin, end, inside in zip(edges, edges[1:], places, strict=False):
        found[inside + 1].update(_WORD.findall(data, begin, end))
    return [set(_decoded(b" ".join(words)).split()) for words in found]


def _is_wreck(root: Node) -> bool:
    """Say whether a syntax error has so many parts that looking through them would take minutes."""
    waiting = [root] if root.has_error else []
    while waiting:
        node = waiting.pop()
        if node.child_count > _MAX_BROKEN and (node.is_error or node == root):
            return True
        if node.child_count <= _MAX_BROKEN:
            waiting += [child for child in node.children if child.has_error]
    return False


def _text(node: Node) -> str:
    return _decoded(node.text or b"")


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
