"""Which definition uses which, and how near others are to some of them by personalised PageRank.

A node is a definition, or a file's code outside of definitions. An edge leads from a node to the definitions of each
name that it uses. PageRank: Page, Brin, Motwani, Winograd 1999; personalised on the places that the task speaks of.
Only nodes that rank reaches are looked at, so a large repository costs little more than a small one.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from qwencode.context.repomap.parsing import Parsed
from qwencode.context.repomap.tags import FileTags, unpack
from qwencode.languages import spoken_name

DAMPING = 0.75
ROUNDS = 6
"""Further ones move less than a fifth of the rank, among places too far off to be shown."""
LEAST = 5e-4
"""Rank below this, of 1 in all, is not passed on."""
_WIDTH = 4_096  # numbers a file's nodes: more than definitions are kept of one
_SAMPLE = 500  # files in which names are counted
_CALL, _WORD, _AROUND, _MADE = 1.0, 0.3, 0.2, 0.5
_SAME_FILE, _ALMOST, _PACKAGE, _STEM_ALONE, _SAME_FOLDER, _ELSEWHERE = 1.0, 0.9, 0.5, 0.4, 0.4, 0.1
_LARGE = 300  # a folder of more files says little when it is named
_APART = 0.5  # two files that do not even share the first folder of their paths
_LEAST_SHARE = 0.002
_LITTLE = 0.5  # a node whose uses weigh less than this passes on only a part of its rank
_COMMON = 100  # a name with more definitions says nothing about other files
_MAKERS = frozenset(("__init__", "__new__", "__post_init__", "constructor", "initialize", "__construct", "new"))

Edges = Sequence[tuple[int, float]]


def spread(seeds: Mapping[int, float], edges: Callable[[int], Edges]) -> dict[int, float]:
    """Return the PageRank of the nodes near `seeds` (node to weight), which sums to 1; {} without seeds.

    The shares of a node's edges sum to 1 at most; what is not passed on goes back to the seeds.
    """
    total = sum(seeds.values())
    if total <= 0:
        return {}
    start = {node: weight / total for node, weight in sorted(seeds.items()) if weight > 0}
    rank = start
    for _ in range(ROUNDS):
        passed: dict[int, float] = defaultdict(float)
        for node, mass in rank.items():
            if mass >= LEAST:
                for target, share in edges(node):
                    passed[target] += DAMPING * mass * share
        left = 1.0 - sum(passed.values())
        for node, weight in start.items():
            passed[node] += left * weight
        rank = dict(passed)
    return rank


class Graph:
    """The definitions of a repository. `files` maps path to what was parsed."""

    def __init__(self, files: Mapping[str, Parsed]):
        self.paths = sorted(files)
        self._files = files
        self._number = {path: number for number, path in enumerate(self.paths)}
        self._tags: dict[int, FileTags] = {}
        self._edges: dict[int, Edges] = {}
        self._weight: dict[str, float] = {}
        self._nearness: dict[int, Mapping[int, float]] = {}
        self._folder = [path.rpartition("/")[0] for path in self.paths]
        self._top = [path.partition("/")[0] for path in self._folder]
        self._by_name: dict[str, list[int]] = {}
        self._by_folder: dict[str, list[int]] = {}
        self._in_folder: dict[str, list[int]] = {}
        for number, (path, folder) in enumerate(zip(self.paths, self._folder, strict=True)):
            self._by_name.setdefault(spoken_name(path), []).append(number)
            self._by_folder.setdefault(folder.rpartition("/")[2], []).append(number)
            self._in_folder.setdefault(folder, []).append(number)

    def node(self, path: str, definition: int = -1) -> int:
        """Return the node of a definition by its index in the file; -1: that of the file itself."""
        return self._number[path] * _WIDTH + definition + 1

    def place(self, node: int) -> tuple[str, int]:
        """Return path and index of the definition of a node, -1 for a file itself."""
        return self.paths[node // _WIDTH], node % _WIDTH - 1

    def tags(self, path: str) -> FileTags:
        """Return the tags of a file."""
        return self._tags_of(self._number[path])

    def __contains__(self, path: str) -> bool:
        return path in self._number

    @cached_property
    def definers(self) -> Mapping[str, Sequence[int]]:
        """The nodes that define a name, by name."""
        found: dict[str, list[int]] = {}
        for number, path in enumerate(self.paths):
            for node, name in enumerate(self._files[path].names.split(), number * _WIDTH + 1):
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def _in_files(self) -> Counter[str]:
        counted = self.paths[:: max(1, len(self.paths) // _SAMPLE)]
        return Counter(word for path in counted for word in self._files[path].words.split())

    def mentions(self, name: str) -> int:
        """Return in how many files of a sample the name stands."""
        return self._in_files[name]

    def weight(self, name: str) -> float:
        """Return what a use of the name tells, 0 to 1: less for one that is everywhere, defined often, or short."""
        if name not in self._weight:
            self._weight[name] = self._weighed(name)
        return self._weight[name]

    def _weighed(self, name: str) -> float:
        files = min(len(self.paths), _SAMPLE) + 1
        rarity = math.log(1 + files / (1 + self._in_files[name])) / math.log(1 + files)
        often = math.sqrt(len(self.definers.get(name, (0,))))
        short = 0.3 if len(name) < 4 else 1.0
        special = 0.2 if name.startswith("__") and name.endswith("__") else 1.0
        return rarity * short * special / often

    def edges(self, node: int) -> Edges:
        """Return the nodes that a node leads to, with shares that sum to 1, or none."""
        if node not in self._edges:
            weights = self._weights(node)
            total = max(sum(weights.values()), _LITTLE)
            shares = ((target, weight / total) for target, weight in weights.items())
            self._edges[node] = [(target, share) for target, share in shares if share >= _LEAST_SHARE]
        return self._edges[node]

    def _weights(self, node: int) -> dict[int, float]:
        file, index = node // _WIDTH, node % _WIDTH - 1
        tags = self._tags_of(file)
        weights: dict[int, float] = defaultdict(float)
        for names, kind, elsewhere in (
            (tags.calls[index + 1], _CALL, _ELSEWHERE),
            (tags.words[index + 1], _WORD, 0.0),  # a word of a comment is the name of something somewhere
        ):
            for name in (name for name in names.split() if name in self.definers):
                for target, share in self._shares(file, node, name, elsewhere):
                    weights[target] += kind * share
        if index >= 0:
            around = tags.definitions[index].inside
            if around >= 0:
                weights[file * _WIDTH + around + 1] += _AROUND
            for number, inner in enumerate(tags.definitions[index + 1 :], node + 1):
                if inner.line > tags.definitions[index].last:
                    break
                if inner.inside == index and inner.name in _MAKERS:
                    weights[number] += _MADE
        return weights

    def _shares(self, file: int, node: int, name: str, elsewhere: float) -> Edges:
        """Return how a use of a name in a file is divided among the definitions of that name, the nearest first."""
        near = self._near(file)
        where = self.definers[name]
        least = 0.0 if len(where) > _COMMON else elsewhere
        found = [(other, near.get(other // _WIDTH, least)) for other in where if other != node]
        total = sum(nearness * nearness for _, nearness in found)
        if not total:
            return ()
        nearest = max(nearness for _, nearness in found)
        private = 0.2 if nearest < _SAME_FILE and name.startswith("_") and not name.endswith("__") else 1.0
        weight = self.weight(name) * nearest * private / total
        return [(other, weight * nearness * nearness) for other, nearness in found if nearness]

    def _near(self, file: int) -> Mapping[int, float]:
        """Return which files a file is likely to mean by a name, and how likely: it names them, or lies beside them."""
        if file not in self._nearness:
            words = self._files[self.paths[file]].words.split()
            folder, found = self._folder[file], dict[int, float]()
            packages = [self._by_folder[word] for word in words if 0 < len(self._by_folder.get(word, ())) <= _LARGE]
            stems = [self._by_name[word] for word in words if word in self._by_name]
            for near, groups in ((_PACKAGE, packages), (_STEM_ALONE, stems)):
                for other in (other for group in groups for other in group):
                    kin = self._top[other] == self._top[file]
                    found[other] = found.get(other, 0.0) + (near if kin else near * _APART)
            for other in self._in_folder[folder]:
                found[other] = found.get(other, 0.0) + _SAME_FOLDER
            self._nearness[file] = {other: min(near, _ALMOST) for other, near in found.items()} | {file: _SAME_FILE}
        return self._nearness[file]

    def _tags_of(self, file: int) -> FileTags:
        if file not in self._tags:
            self._tags[file] = unpack(self._files[self.paths[file]].tags)
        return self._tags[file]
