"""The map of a repository: what is where, nearest to the task first, in a few hundred tokens."""

import os
import stat
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from qwencode.context.repomap.focus import Focus, important, seeds
from qwencode.context.repomap.graph import Graph, spread
from qwencode.context.repomap.outline import outline
from qwencode.context.repomap.parsing import Parsed, parsed
from qwencode.context.repomap.reading import MAX_BYTES, digest, read_bytes
from qwencode.context.repomap.store import Entry, Stamp, load, save
from qwencode.context.repomap.tags import EMPTY, pack
from qwencode.events import Progress
from qwencode.languages import language_of
from qwencode.sandbox.policy import Tree, secrets_in
from qwencode.verify.protected import is_test_path
from qwencode.verify.results import TestResult
from qwencode.workspace import Workspace

MAX_FILES = 20_000
"""Source files of a repository that are looked into, those nearest to its root first."""
TOOL_TOKENS = 1_000
MESSAGE_TOKENS = 1_000
WAIT_SECONDS = 6.0
"""What the user may wait for a map that may turn out to be of no use."""
LEAST_TOKENS = 300
"""Some dozen definitions; a shorter map seldom holds what is looked for."""
HANDFUL = 8
_TICK_NS = 2_000_000_000  # the coarsest clock of a file system in use (FAT); most tick every few milliseconds
_STEP = 25  # files between two reports


def budget_tokens(prefill_tokens_per_second: float) -> int:
    """Return how many tokens of map the first message may hold; 0: it is not worth it, or the speed is not known.

    A map is read before the model says anything, so it costs its length over the speed of prefill. It pays where it
    spares a step of searching, which nobody can promise: the wait for it is held to WAIT_SECONDS. At 600 tokens/s
    MESSAGE_TOKENS take under two seconds, and more would only bury the rest. At 100 tokens/s 600 are left. A CPU at 40
    tokens/s would pay 25 s for the whole and has 240 left, too few to be likely to hold the place: there it gets none,
    and the model can still call `repo_map` when it needs one.
    """
    if not prefill_tokens_per_second > 0:  # nor NaN
        return 0
    tokens = int(min(MESSAGE_TOKENS, WAIT_SECONDS * prefill_tokens_per_second))
    return tokens if tokens >= LEAST_TOKENS else 0


class RepositoryMap:
    """The map of one repository. `cache` is the directory in which what was parsed is kept.

    Covered: what git ignores, files that look like secrets, links and binaries never come in; of test files nothing is
    shown unless they are in play; text of the repository is shown on one line each, without control characters. A file
    counts as unchanged when size, times of change and inode are those at which it was read, and when these times lay
    two seconds back then: an edit within the same tick of the clock cannot hide, since the file is then compared by
    content once more. Not covered: a file server whose clock is further off than that.
    """

    def __init__(self, workspace: Workspace, cache: Path):
        self._workspace = workspace
        self._cache = cache
        self._tree = Tree(workspace.root)
        self._entries: dict[str, Entry] | None = None
        self._graph: Graph | None = None
        self._names: list[str] = []

    def refresh(self) -> Generator[Progress]:
        """Bring the map up to date with the files. Yields how far it is while files are parsed."""
        self._names = self._listed()
        before = load(self._cache, self._workspace.root) if self._entries is None else self._entries
        sources = [name for name in self._names if language_of(name)]
        if len(sources) > MAX_FILES:
            sources = sorted(sorted(sources, key=lambda name: (name.count("/"), name))[:MAX_FILES])
        entries, stale = self._known(before, sources)
        yield from self._parse(stale, entries)
        changed = entries != before
        if changed:
            save(self._cache, self._workspace.root, entries)
        if changed or self._graph is None:
            self._graph = Graph({path: entry.parsed for path, entry in entries.items()})
        self._entries = entries

    def render(
        self, tokens: int, *, task: str = "", tests: Sequence[TestResult] = (), files: Sequence[str] = ()
    ) -> str:
        """Return the map in about `tokens` tokens at most, '' for 0 or an empty repository.

        Nearest to the words of the task, to the failing tests and what they name, and to the files in play comes first;
        without any of them, what is used in most places. The same files and arguments give the same text.
        """
        if tokens <= 0:
            return ""
        graph = self._current()
        focus = Focus(task, tests, files)
        return self._drawn(graph, tokens, focus, seeds(graph, focus))

    def look(self, focus: str) -> str:
        """Return the map around some words, a path (file or folder) or a symbol; '' when there is nothing like it."""
        graph = self._current()
        path = os.path.normpath(focus.strip()) if focus.strip() else ""
        files = [name for name in self._names if path and (name == path or name.startswith(f"{path}/"))]
        files = files or [name for name in self._names if path and name.endswith(f"/{path}")]
        wanted = Focus("" if files else focus, (), files)
        begin = seeds(graph, wanted)
        return self._drawn(graph, TOOL_TOKENS, wanted, begin) if begin or files or not path else ""

    def worth(self, prefill_tokens_per_second: float, *, code_shown: bool) -> int:
        """Return the tokens of map for a first message about this repository.

        None where the suspicious code is shown already and there are but a handful of source files: then the map says
        what a look at the code says.
        """
        self._current()
        sources = sum(language_of(name) != "" and not is_test_path(name) for name in self._names)
        return 0 if code_shown and sources <= HANDFUL else budget_tokens(prefill_tokens_per_second)

    def _current(self) -> Graph:
        for _ in self.refresh():
            pass
        assert self._graph is not None
        return self._graph

    def _drawn(self, graph: Graph, tokens: int, focus: Focus, begin: Mapping[int, float]) -> str:
        in_play, root = frozenset(focus.files), str(self._workspace.root)
        visible = [name for name in self._names if name in in_play or not is_test_path(name)]
        known = [name for name in visible if name in graph]
        rank = spread(begin or important(graph, known), graph.edges)
        others = [name for name in visible if name not in graph and not os.path.islink(f"{root}/{name}")]  # noqa: PTH114
        return outline(graph, rank, known, others, tokens)

    def _listed(self) -> list[str]:
        """Return the files that may be spoken of. Links are left out elsewhere, so that none leads to a secret."""
        root = self._workspace.root
        marked = [path for path in self._tree.marked() if path.name != ".git"]
        secret = {path.relative_to(root).as_posix() for path in secrets_in(root, marked)}
        return [name for name in self._workspace.files() if name not in secret]

    def _known(
        self, before: Mapping[str, Entry], sources: Sequence[str]
    ) -> tuple[dict[str, Entry], dict[str, Stamp | None]]:
        """Return what is known of the sources, and the stamps of those that have to be parsed."""
        contents = {entry.parsed.digest: entry.parsed for entry in before.values()}
        entries: dict[str, Entry] = {}
        stale: dict[str, Stamp | None] = {}
        root = str(self._workspace.root)
        for name in sources:
            path = os.path.join(root, name)  # noqa: PTH118 (thousands of files: a Path for each takes longer than the rest)
            found = _stamped(path)
            if found is None:
                continue
            stamp, settled = found
            entry = before.get(name)
            if entry and entry.stamp == stamp:
                entries[name] = entry
                continue
            kept = stamp if settled else None
            data = read_bytes(path) if contents else None
            known = contents.get(digest(data)) if data is not None else None
            if known:
                entries[name] = Entry(kept, known)
            else:
                stale[name] = kept
        return entries, stale

    def _parse(self, stale: Mapping[str, Stamp | None], entries: dict[str, Entry]) -> Generator[Progress]:
        names = list(stale)
        jobs = [(language_of(name), str(self._workspace.root / name)) for name in names]
        for count, (number, found) in enumerate(parsed(jobs) if jobs else (), 1):
            name = names[number]
            found = found or self._without_tags(name)
            if found:
                entries[name] = Entry(stale[name], found)
            if count % _STEP == 0 or count == len(jobs):
                yield Progress("map", count, len(jobs), "files")

    def _without_tags(self, name: str) -> Parsed | None:
        """Return what is kept of a file that no worker got through; it is not tried again. None if it is gone."""
        data = read_bytes(str(self._workspace.root / name))
        return Parsed(digest(data), "", "", pack(EMPTY)) if data is not None else None


def _stamped(path: str) -> tuple[Stamp, bool] | None:
    """Return the state of a source file, and whether a later change is sure to show in it; None: it is no such file."""
    now = time.time_ns()
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
        return None
    stamp = Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    return stamp, max(found.st_mtime_ns, found.st_ctime_ns) < now - _TICK_NS
