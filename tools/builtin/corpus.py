"""Build the corpus of the built-in model: functions of pinned, permissively licensed packages.

    python tools/builtin/corpus.py OUT [--jobs N]

Fetches the packages of packages.toml into OUT/packages (what is there is not fetched again), compares the licence that
each names with the one on the list, and writes OUT/functions.jsonl: one row per function, each function once, none from
the held-out packages that has the shape of one in training, and none of this repository's practice ground. Prints a
table. The running Python's own library is part of training, so its version is part of the result.
"""

import argparse
import json
import multiprocessing
import platform
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # started as a program: this folder's own modules are found through tools/
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from builtin.functions import Found, digest, files, of_file, of_text
from builtin.packages import Package, Refused, fetch, licence_differs, pinned

GROUND = Path(__file__).resolve().parents[2] / "sandbox"


@dataclass(frozen=True, slots=True)
class Row:
    """One function of the corpus, in the order of its fields in the file."""

    package: str
    version: str
    licence: str
    split: str
    path: str
    name: str
    source: str

    def line(self) -> str:
        return json.dumps({key: getattr(self, key) for key in self.__slots__}, ensure_ascii=False)


class Kept:
    """Decides which functions stay. Training comes before what is held out, so that the latter gives way."""

    def __init__(self, forbidden: set[bytes]):
        self._exact = set(forbidden)
        self._shapes: set[bytes] = set()
        self.dropped: Counter[tuple[str, str]] = Counter()
        """How many were left out, by package and reason."""

    def keep(self, package: Package, found: Found) -> bool:
        if found.exact in self._exact:
            self.dropped[package.name, "again"] += 1
            return False
        self._exact.add(found.exact)
        if package.split == "train":
            self._shapes.add(found.shape)
        elif found.shape in self._shapes:
            self.dropped[package.name, "shape"] += 1
            return False
        return True


def forbidden(ground: Path) -> set[bytes]:
    """Return the digests of all functions of the practice ground, its tests included."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(ground.rglob("*.py"))]
    return {digest(tree) for text in texts for _, _, tree in of_text(text)}


def standard_library() -> tuple[Package, Path]:
    library = Package("python", platform.python_version(), "PSF-2.0", "train")
    return library, Path(sysconfig.get_path("stdlib"))


def rows(places: Sequence[tuple[Package, Path]], kept: Kept, jobs: int) -> Iterator[Row]:
    """Yield the functions of the packages, training first, in an order that does not depend on `jobs`."""
    ordered = sorted(places, key=lambda place: place[0].split != "train")
    with multiprocessing.Pool(jobs) as pool:
        for package, root in ordered:
            for found in pool.imap(of_file, files(root), chunksize=16):
                for one in found:
                    if kept.keep(package, one):
                        facts = (package.name, package.version, package.licence, package.split)
                        yield Row(*facts, one.path, one.name, one.source)


def fetched(packages: Sequence[Package], folder: Path) -> list[tuple[Package, Path]]:
    """Return the packages that could be fetched and whose licence is the one on the list; print the others."""
    places: list[tuple[Package, Path]] = []
    for package in packages:
        try:
            place = fetch(package, folder)
        except Refused as refused:
            print(f"left out: {refused}", file=sys.stderr)
            continue
        if differs := licence_differs(package, place):
            print(f"left out: {differs}", file=sys.stderr)
        else:
            places.append((package, place))
    return places


def table(packages: Sequence[Package], counts: Counter[str], dropped: Counter[tuple[str, str]]) -> str:
    """Return the counts as text: functions kept, seen before, and of a shape that training has."""
    lines = [f"{'package':28} {'version':14} {'split':9} {'kept':>8} {'again':>7} {'shape':>7}"]
    for package in sorted(packages, key=lambda package: (package.split != "train", package.name)):
        again, shape = dropped[package.name, "again"], dropped[package.name, "shape"]
        start = f"{package.name:28} {package.version:14} {package.split:9}"
        lines.append(f"{start} {counts[package.name]:8,} {again:7,} {shape:7,}")
    for split in ("train", "held-out"):
        mine = [package for package in packages if package.split == split]
        lines.append(f"{split}: {sum(counts[p.name] for p in mine):,} functions of {len(mine)} packages")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the corpus of the built-in model.")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    folder: Path = options.out / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pinned()
    places = [standard_library(), *fetched(wanted, folder)]
    kept, counts = Kept(forbidden(GROUND)), Counter[str]()
    part: Path = options.out / "functions.jsonl.part"
    with part.open("w", encoding="utf-8") as file:
        for row in rows(places, kept, options.jobs):
            file.write(row.line() + "\n")
            counts[row.package] += 1
    part.replace(options.out / "functions.jsonl")
    print(table([package for package, _ in places], counts, kept.dropped))
    return 0 if len(places) == len(wanted) + 1 else 1


if __name__ == "__main__":
    sys.exit(main())
