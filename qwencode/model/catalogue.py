"""The published model files that are known: data for advice and for `models pull`. Nothing is downloaded by itself."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("catalogue.toml")


@dataclass(frozen=True, slots=True)
class Entry:
    """One published file. What is not known is empty or 0; the fields are explained at the head of the data."""

    name: str
    repository: str
    file: str
    quantisation: str
    shape: str
    mtp: bool = False
    revision: str = ""
    bytes: int = 0
    gigabytes: float = 0.0
    sha256: str = ""
    perplexity: float = 0.0
    divergence: float = 0.0
    memory_gb: int = 0

    @property
    def size(self) -> int:
        """Bytes, rounded where no more is known; 0: unknown."""
        return self.bytes or int(self.gigabytes * 1e9)

    @property
    def place(self) -> Path:
        """Where the file lies below the models place: as on the hub, since names repeat between repositories."""
        return Path(self.repository) / self.file


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All entries by name, the shapes they refer to, and the names of those that are recommended, best first."""

    entries: Mapping[str, Entry]
    shapes: Mapping[str, Mapping[str, Any]]
    recommended: tuple[str, ...]


@functools.cache
def catalogue() -> Catalogue:
    """Return the catalogue. It is a file of the package, read when somebody asks for it."""
    data = tomllib.loads(FILE.read_text(encoding="utf-8"))
    entries = [Entry(**fields) for fields in data["file"]]
    return Catalogue({entry.name: entry for entry in entries}, data["shape"], tuple(data["recommended"]))


def find(name: str) -> Entry | None:
    """Return the entry of this name in any case, or of `owner/repository/file`; None when there is none."""
    wanted = name.lower().removesuffix(".gguf")
    for entry in catalogue().entries.values():
        if wanted in (entry.name.lower(), entry.place.as_posix().lower().removesuffix(".gguf")):
            return entry
    return None
