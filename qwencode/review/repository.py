"""The repository as git sees it at this moment: in a hook git names its own directory, work tree and index.

`workspace.git` drops what a git process above us has set, since it is meant for the user's own files. Here it counts:
`git commit FILE` and `git commit -a` write an index of their own and name it in GIT_INDEX_FILE, and a hook in a linked
work tree gets GIT_DIR (githooks(5)). So the three are read once, made absolute, and passed on explicitly.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qwencode.errors import UsageError
from qwencode.workspace import GitError, git

EMPTY_TREES = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
"""The tree without files, by git's object format; git knows it without it being stored."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree, git's directory for it, the one that all its work trees share, and the index that counts now."""

    root: Path
    git_dir: Path
    common: Path
    index: Path

    @classmethod
    def find(cls, start: Path, environment: Mapping[str, str] | None = None) -> "Repository":
        """Open the repository around a directory, or the one that the environment names. Raises UsageError."""
        names = os.environ if environment is None else environment
        where = [
            f"{option}={(start / names[name]).resolve()}"
            for option, name in (("--git-dir", "GIT_DIR"), ("--work-tree", "GIT_WORK_TREE"))
            if names.get(name)
        ]
        asked = ("--show-toplevel", "--absolute-git-dir", "--git-common-dir")
        try:
            lines = git(start, *where, "rev-parse", *asked).removesuffix(b"\n").split(b"\n")
            if len(lines) != len(asked):  # a path with a line break in it
                lines = [git(start, *where, "rev-parse", each).removesuffix(b"\n") for each in asked]
        except GitError as error:
            raise UsageError(f"{start} is not in a git work tree that can be read ({error}).") from error
        root, own, common = map(os.fsdecode, lines)
        given = names.get("GIT_INDEX_FILE")
        index = (start / given).absolute() if given else Path(own, "index")
        return cls(Path(root).resolve(), Path(own), (start / common).resolve(), index)

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run git on this repository and index, as `workspace.git` does. Raises GitError."""
        where = (f"--git-dir={self.git_dir}", f"--work-tree={self.root}")
        return git(self.root, *where, *arguments, stdin=stdin, index=self.index)

    def commit(self, name: str) -> str:
        """Return the id of a commit, '' where there is none of this name."""
        try:
            return (
                self.git("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}").decode().strip()
            )
        except GitError:
            return ""

    def head(self) -> str:
        """Return the commit that HEAD is, or the empty tree before the first one."""
        return self.commit("HEAD") or self.empty_tree()

    def empty_tree(self) -> str:
        """Return the id of the tree without files."""
        return EMPTY_TREES[self.git("rev-parse", "--show-object-format").decode().strip()]

    def merged(self) -> tuple[str, ...]:
        """Return the commits that are being merged into HEAD."""
        try:
            return tuple((self.git_dir / "MERGE_HEAD").read_text(encoding="ascii").split())
        except OSError:
            return ()

    def blobs(self, oids: Sequence[str], most: int) -> dict[str, bytes]:
        """Return the contents of blobs of at most so many bytes, by id: two processes, however many there are."""
        wanted = b"".join(b"%s\n" % oid.encode() for oid in dict.fromkeys(oids))
        if not wanted:
            return {}
        sizes = [line.split() for line in self.git("cat-file", "--batch-check", stdin=wanted).splitlines()]
        small = [oid for oid, kind, *rest in sizes if kind == b"blob" and int(rest[0]) <= most]
        data = self.git("cat-file", "--batch", stdin=b"".join(oid + b"\n" for oid in small)) if small else b""
        found: dict[str, bytes] = {}
        at = 0
        for _ in small:
            end = data.index(b"\n", at)
            oid, _, size = data[at:end].split()
            at = end + 1 + int(size) + 1
            found[oid.decode()] = data[end + 1 : at - 1]
        return found
