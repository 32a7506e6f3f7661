"""Ranked definitions as a text: by file, best first, with the lines to read on from."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from qwencode.context.repomap.graph import Graph
from qwencode.context.repomap.tags import VALUES, Definition, safe

CHARS_PER_TOKEN = 2.8
"""Measured on maps: 2.8 to 3.2, on average 2.9, with llama.cpp's vocabulary file for the pre-tokenizer of this model
family (`qwen35`). Numbers of lines cost a token a digit."""
PATH_CHARS = 200
GAP = " …"
"""Ends a line after which definitions are left out."""
_VALUE = 0.5  # of a constant against a function
_MOST_SHOWN = 400  # definitions
_MOST_MISSES = 12  # definitions in a row that do not fit
_MOST_OTHERS = 600  # characters for names of files that are not shown


def outline(graph: Graph, rank: Mapping[int, float], visible: Sequence[str], others: Sequence[str], tokens: int) -> str:
    """Return the best ranked definitions of the visible files in about `tokens` tokens at most.

    Each stands with its line and what it is in. `others` are names of files without definitions; as many of these and
    of the files that are not shown are named last as room is left for.
    """
    room = int(tokens * CHARS_PER_TOKEN)
    shown = _chosen(graph, rank, frozenset(visible), room)
    order = sorted(shown, key=lambda path: (-max(rank.get(graph.node(path, n), 0.0) for n in shown[path]), path))
    parts = [_section(path, graph.tags(path).definitions, shown[path]) for path in order]
    room -= sum(len(part) + 1 for part in parts)
    left = sorted(
        {*visible, *others} - shown.keys(), key=lambda path: (-_of_file(graph, rank, path), path.count("/"), path)
    )
    parts.append(_names(left, min(room, _MOST_OTHERS)))
    return "\n".join(part for part in parts if part)


def _of_file(graph: Graph, rank: Mapping[int, float], path: str) -> float:
    return rank.get(graph.node(path), 0.0) if path in graph else 0.0


def _chosen(graph: Graph, rank: Mapping[int, float], visible: frozenset[str], room: int) -> dict[str, set[int]]:
    """Return which definitions fit, by path: the best first, each with those around it."""
    shown: dict[str, set[int]] = {}
    misses = 0
    for node in _ordered(graph, rank, visible):
        path, index = graph.place(node)
        if index in shown.get(path, ()):
            continue
        definitions = graph.tags(path).definitions
        before = shown.get(path, set())
        after = {*before, *_chain(definitions, index)}
        cost = len(_section(path, definitions, after)) + 1
        cost -= len(_section(path, definitions, before)) + 1 if before else 0
        if cost <= room:
            shown[path] = after
            room -= cost
            misses = 0
        elif (misses := misses + 1) >= _MOST_MISSES:
            break
    return shown


def _ordered(graph: Graph, rank: Mapping[int, float], visible: frozenset[str]) -> list[int]:
    """Return the definitions to show, best first: those of a file that ranks high as a whole before a lone one."""
    of_file: dict[str, float] = defaultdict(float)
    found: list[tuple[float, int]] = []
    for node, mass in rank.items():
        path, index = graph.place(node)
        if path in visible:
            of_file[path] += mass
            if index >= 0:
                found.append((mass, node))
    worth = {node: mass * math.sqrt(of_file[graph.place(node)[0]]) for mass, node in found}
    best = sorted(worth, key=lambda node: (-worth[node], node))[:_MOST_SHOWN]
    for node in best:
        path, index = graph.place(node)
        if graph.tags(path).definitions[index].kind in VALUES:
            worth[node] *= _VALUE
    return sorted(best, key=lambda node: (-worth[node], node))


def _chain(definitions: Sequence[Definition], index: int) -> list[int]:
    """Return the definition and those around it."""
    chain: list[int] = []
    while index >= 0:
        chain.append(index)
        index = definitions[index].inside
    return chain


def _section(path: str, definitions: Sequence[Definition], shown: set[int]) -> str:
    lines = [f"{safe(path, PATH_CHARS)}:"]
    last = -1
    for number in sorted(shown):
        if number > last + 1:
            lines[-1] += GAP
        depth = len(_chain(definitions, number)) - 1
        lines.append(f"{definitions[number].line}|{'  ' * min(depth, 8)}{definitions[number].text}")
        last = number
    if last < len(definitions) - 1:
        lines[-1] += GAP
    return "\n".join(lines)


def _names(paths: Sequence[str], room: int) -> str:
    """Return as many of the paths as fit, and how many more there are."""
    text = ""
    for number, path in enumerate(paths):
        longer = f"{text}, {safe(path, PATH_CHARS)}" if text else f"Other files: {safe(path, PATH_CHARS)}"
        more = len(paths) - number - 1
        if len(longer) + (len(f", and {more:,} more") if more else 0) > room:
            return f"{text}, and {len(paths) - number:,} more" if text else ""
        text = longer
    return text
