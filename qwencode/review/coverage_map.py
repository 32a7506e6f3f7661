"""Which files each test ran, kept from earlier runs of `fix` and of the hook: a file for each repository in the cache.

What does not load is an empty map. It is only ever used to choose tests, so a stale line costs a test too many or few.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwencode.verify.results import TestRun
from qwencode.workspace import GitError, Workspace, git, write_atomic

MAX_BYTES = 32_000_000
FORMAT = 2


@dataclass(frozen=True, slots=True)
class Covered:
    """What is known of one test: its file, that file's content (object id), what it ran, and how long it took.

    `state` stands for the contents of all that it ran: where that is another by now, it may run other files.
    """

    file: str
    oid: str
    ran: frozenset[str]
    seconds: float
    state: str = ""


@dataclass(slots=True)
class CoverageMap:
    """The tests of a repository by id."""

    path: Path
    tests: dict[str, Covered] = field(default_factory=dict[str, Covered])

    @classmethod
    def load(cls, folder: Path, repository: Path) -> "CoverageMap":
        """Read the map of a repository, named by git's shared directory, so that its work trees have one together."""
        name = hashlib.sha256(str(repository).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        path = folder / f"{name}.coverage.json"
        tests: dict[str, Covered] = {}
        try:
            data: Any = json.loads(path.read_bytes())
            names: list[str] = list(map(os.fspath, data["paths"]))  # a TypeError for what is no text
            for test, (file, oid, seconds, state, ran) in data["tests"].items() if data["format"] == FORMAT else ():
                covered = frozenset(names[int(at)] for at in ran)
                tests[test] = Covered(names[int(file)], str(oid), covered, float(seconds), str(state))
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            tests = {}
        return cls(path, tests)

    def touching(self, changed: Iterable[str]) -> list[str]:
        """Return the tests that ran any of these files, those that ran the fewest files first."""
        wanted = set(changed)
        found = [test for test, known in self.tests.items() if known.ran & wanted or known.file in wanted]
        return sorted(found, key=lambda test: (len(self.tests[test].ran), self.tests[test].seconds, test))

    def files(self) -> set[str]:
        """Return the test files that the map knows."""
        return {known.file for known in self.tests.values()}

    def sound_files(self, oids: Mapping[str, str]) -> set[str]:
        """Return the test files of which it is known what they run when these are the contents of the repository."""
        stale = {known.file for known in self.tests.values() if known.state != _state({*known.ran, known.file}, oids)}
        return self.files() - stale

    def learn(self, run: TestRun, oids: Mapping[str, str]) -> None:
        """Take in a run with coverage. `oids`: the object ids of the files as they were run."""
        for test, covered in run.coverage.items():
            result = run.results.get(test)
            if result is not None and result.file:
                oid = oids.get(result.file, "")
                ran, seconds = frozenset(covered), round(result.seconds, 3)
                self.tests[test] = Covered(result.file, oid, ran, seconds, _state({*ran, result.file}, oids))

    def forget(self, gone: Sequence[str]) -> None:
        """Forget the tests of files that are not there any more."""
        files = set(gone)
        self.tests = {test: known for test, known in self.tests.items() if known.file not in files}

    def save(self) -> None:
        """Write the map; a place that cannot be written keeps nothing."""
        names = sorted({path for known in self.tests.values() for path in (known.file, *known.ran)})
        at = {name: number for number, name in enumerate(names)}
        rows = {
            test: (at[known.file], known.oid, known.seconds, known.state, sorted(at[path] for path in known.ran))
            for test, known in self.tests.items()
        }
        data = json.dumps({"format": FORMAT, "paths": names, "tests": rows}, separators=(",", ":")).encode("ascii")
        if len(data) <= MAX_BYTES:
            with suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_atomic(self.path, data, 0o600)


def _state(ran: Iterable[str], oids: Mapping[str, str]) -> str:
    text = "\0".join(f"{path}\0{oids.get(path, '')}" for path in sorted(ran))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def remember(folder: Path, workspace: Workspace, run: TestRun) -> None:
    """Keep what a run of the tests in the user's own work tree has covered."""
    if not run.coverage:
        return
    with suppress(GitError):
        shared = os.fsdecode(git(workspace.root, "rev-parse", "--git-common-dir").removesuffix(b"\n"))
        listed = git(workspace.root, "ls-files", "--stage", "-z").split(b"\0")
        changed = set(git(workspace.root, "ls-files", "--modified", "-z").split(b"\0"))
        rows = (row.partition(b"\t") for row in listed if row)
        oids = {os.fsdecode(name): about.split()[1].decode() for about, _, name in rows if name not in changed}
        known = CoverageMap.load(folder, (workspace.root / shared).resolve())
        known.learn(run, oids)
        known.save()
