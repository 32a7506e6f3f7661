"""Where a map begins: the definitions that the task, the failing tests and the files in play speak of."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from qwencode.context.repomap.graph import Graph
from qwencode.verify.results import TestResult

_TESTS, _TRACES, _TASK, _FILES = 1.0, 1.0, 0.7, 0.7
_MOST_TESTS = 20
_MOST_WORDS = 200
_TEXT_CHARS = 20_000
_COMMON = 300  # a word that is in more names says nothing
_IMPORTANT = 100
_WORD = re.compile(r"[^\W\d_]\w*")
_IDENTIFIER = re.compile(
    r"\w*[^\W_]_\w+|_\w+|\w*[a-z][A-Z]\w*|[A-Z]\w*[a-z]\w*[A-Z]\w*|\w{3,}(?=\()|(?<=`)\w+(?=`)|^\s*\w+\s*$"
)
_FRAME = re.compile(r"""([\w@.+/\\-]+\.\w{1,4})["']?(?:, line |:|\()(\d+)""")
_SMALL_WORDS = re.compile(
    "the|and|for|are|was|not|its|has|had|but|can|all|any|one|two|too|out|how|who|why|now|this|that|with|from|when"
)
_ENDINGS = ("ing", "ed", "es", "s", "e")


@dataclass(frozen=True, slots=True)
class Focus:
    """What a map is for. `files` are paths relative to the root; all may be empty."""

    task: str = ""
    tests: Sequence[TestResult] = ()
    files: Sequence[str] = ()


def seeds(graph: Graph, focus: Focus) -> dict[int, float]:
    """Return the nodes that the focus speaks of, with weights; {} when it speaks of none."""
    tests = focus.tests[:_MOST_TESTS]
    parts = [
        (_TESTS, _sum(_test(graph, test) for test in tests)),
        (_TRACES, _sum(_traced(graph, test.message[-_TEXT_CHARS:]) for test in tests)),
        (_TASK, _sum([_named(graph, focus.task[:_TEXT_CHARS]), _worded(graph, focus.task[:_TEXT_CHARS])])),
        (_FILES, _sum(_file(graph, path) for path in focus.files)),
    ]
    return _sum({node: share * weight for node, share in _whole(part).items()} for weight, part in parts)


def important(graph: Graph, visible: Sequence[str]) -> dict[int, float]:
    """Return the definitions whose names stand in most files, for a map without a focus."""
    shown = set(visible)
    found: dict[int, float] = {}
    for name, nodes in graph.definers.items():
        weight = (graph.mentions(name) + 0.1) * graph.weight(name) / len(nodes)
        found |= {node: weight for node in nodes if graph.place(node)[0] in shown}
    best = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return dict(best[:_IMPORTANT])


def _test(graph: Graph, test: TestResult) -> dict[int, float]:
    """Return the test itself, or all of its file where the test has no name that can be found in it."""
    plain = re.sub(r"\[.*", "", test.id)
    file = test.file or plain.partition("::")[0]
    names = set(_WORD.findall(plain.rpartition("::")[2].rpartition(".")[2]))
    if file not in graph:
        named = plain.split(".")
        paths = ("/".join(named[:end]) + ".py" for end in range(len(named), 0, -1))
        file = next((path for path in paths if path in graph), "")
    if not file:
        return {}
    definitions = graph.tags(file).definitions
    found = [number for number, definition in enumerate(definitions) if definition.name in names]
    return dict.fromkeys((graph.node(file, number) for number in found or range(-1, len(definitions))), 1.0)


def _traced(graph: Graph, message: str) -> dict[int, float]:
    """Return the definitions around the lines that a traceback names."""
    found: dict[int, float] = {}
    for name, line in _FRAME.findall(message):
        for path in _paths(graph, name):
            definitions = graph.tags(path).definitions
            around = [number for number, it in enumerate(definitions) if it.line <= int(line[:9]) <= it.last]
            found[graph.node(path, around[-1] if around else -1)] = 1.0
    return found


def _paths(graph: Graph, name: str) -> list[str]:
    """Return the file that a path in a traceback means: it may be absolute, or relative to a folder above."""
    parts = [part for part in re.split(r"[\\/]+", name) if part not in ("", ".")]
    for start in range(len(parts)):
        if (path := "/".join(parts[start:])) in graph:
            return [path]
    return []


def _named(graph: Graph, text: str) -> dict[int, float]:
    """Return the definitions whose very names stand in a text, where they are written as names and not as words."""
    found: dict[int, float] = defaultdict(float)
    for name in dict.fromkeys(_IDENTIFIER.findall(text)):
        for node in graph.definers.get(name.strip(), ())[:_COMMON]:
            found[node] += 3 * graph.weight(name.strip()) / len(graph.definers[name.strip()])
    return found


def _worded(graph: Graph, text: str) -> dict[int, float]:
    """Return the definitions whose names are made of words of a text, with a crude stem for each word."""
    names = list(graph.definers)
    starts: list[int] = []
    at = 0
    for name in names:
        starts.append(at)
        at += len(name) + 1
    every = "\n".join(names)
    lower = every.lower() if len(every.lower()) == len(every) else every
    found: dict[int, float] = defaultdict(float)
    for stem in list(dict.fromkeys(_stems(text)))[:_MOST_WORDS]:
        hits = {bisect_right(starts, place) - 1 for place in _starts_of(stem, lower, every)}
        if len(hits) > _COMMON:
            continue
        for name in (names[hit] for hit in hits):
            share = graph.weight(name) * len(stem) / len(name) / len(hits)
            for node in graph.definers[name][:_COMMON]:
                found[node] += share / len(graph.definers[name])
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:_IMPORTANT])


def _stems(text: str) -> Iterator[str]:
    for word in _WORD.findall(text.lower()):
        if len(word) >= 3 and not _SMALL_WORDS.fullmatch(word):
            ending = next((ending for ending in _ENDINGS if word.endswith(ending) and len(word) - len(ending) > 3), "")
            yield word.removesuffix(ending)


def _starts_of(stem: str, lower: str, every: str) -> Iterator[int]:
    """Yield where the stem begins a part of a name: after `_`, at a capital, or at the start."""
    place = lower.find(stem)
    while place >= 0:
        if place == 0 or every[place - 1] in "_\n" or (every[place].isupper() and not every[place - 1].isupper()):
            yield place
        place = lower.find(stem, place + 1)


def _file(graph: Graph, path: str) -> dict[int, float]:
    if path not in graph:
        return {}
    count = len(graph.tags(path).definitions)
    return {graph.node(path, number): 1 / (count + 1) for number in range(-1, count)}


def _sum(parts: Iterable[Mapping[int, float]]) -> dict[int, float]:
    total: dict[int, float] = defaultdict(float)
    for part in parts:
        for node, weight in part.items():
            total[node] += weight
    return dict(total)


def _whole(part: Mapping[int, float]) -> dict[int, float]:
    """Scale weights so that they sum to 1."""
    total = sum(part.values())
    return {node: weight / total for node, weight in part.items()} if total else {}
