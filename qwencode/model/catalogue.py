"""The published model files that are known: data for advice and for `models pull`. Nothing is downloaded by itself."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, cast

from qwencode.errors import UsageError
from qwencode.settings import Places, read_toml

OWN = "catalogue.toml"
"""The name of a file beside the user's settings that adds to the catalogue or says otherwise."""
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


def catalogue() -> Catalogue:
    """Return the catalogue: that of the package, and what the user's own file says instead or in addition.

    Read when somebody asks for it. Raises UsageError, in one sentence, when the user's file is not as it should be.
    """
    own = Places.of_user().config / OWN
    try:
        return _read(own, own.stat().st_mtime_ns)
    except OSError:
        return _read(None, 0)


@functools.lru_cache(maxsize=2)
def _read(own: Path | None, _changed: int) -> Catalogue:
    """Return the catalogue as it is while the user's file stays unchanged."""
    data = tomllib.loads(FILE.read_text(encoding="utf-8"))
    entries = {given["name"]: Entry(**given) for given in data["file"]}
    found = Catalogue(entries, data["shape"], tuple(data["recommended"]))
    if own is None:
        return found
    try:
        return _with(found, read_toml(own.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UsageError(f"{own} is not valid TOML: {error}. Mend it, or remove it.") from error
    except OSError as error:
        raise UsageError(f"{own} cannot be read: {error.strerror}.") from error
    except _Wrong as error:
        raise UsageError(f"{own} is no catalogue: {error}. Mend it, or remove it.") from error


class _Wrong(Exception):
    """What is wrong with a catalogue, as the rest of a sentence."""


def _with(found: Catalogue, data: Mapping[str, Any]) -> Catalogue:
    if unknown := sorted(data.keys() - {"file", "recommended"}):
        raise _Wrong(f"it has {unknown[0]!r}, and may have [[file]] and recommended alone")
    files, recommended = data.get("file", []), data.get("recommended", list(found.recommended))
    if not isinstance(files, list) or not isinstance(recommended, list):
        raise _Wrong("`file` is a table for each file, [[file]], and `recommended` a list of names")
    mine = [_entry(given, found.shapes) for given in cast("list[Any]", files)]
    entries = {**found.entries, **{entry.name: entry for entry in mine}}
    names = [str(name) for name in cast("list[Any]", recommended)]
    if missing := [name for name in names if name not in entries]:
        raise _Wrong(f"{missing[0]!r} is recommended, and there is no such file in it")
    return Catalogue(entries, found.shapes, tuple(names))


def _entry(given: Any, shapes: Mapping[str, Any]) -> Entry:
    if not isinstance(given, dict):
        raise _Wrong("each [[file]] is a table")
    values = cast("dict[str, Any]", given)
    known = {field.name: field for field in fields(Entry)}
    name = values.get("name", "a file without a name")
    for key, value in values.items():
        if key not in known:
            raise _Wrong(f"{name!r} has {key!r}, which is not known")
        kind = known[key].type
        fits = isinstance(value, int | float) if kind is float else type(value) is kind
        if not fits or (isinstance(value, int | float) and not 0 <= value < 1e15):
            raise _Wrong(f"{key!r} of {name!r} is {value!r}")
    needed = [key for key, field in known.items() if field.default is MISSING and key not in values]
    if needed:
        raise _Wrong(f"{name!r} has no {needed[0]!r}")
    entry = Entry(**values)
    if entry.shape not in shapes:
        raise _Wrong(f"{name!r} has the shape {entry.shape!r}, and there are {', '.join(shapes)}")
    if ".." in entry.place.parts or entry.place.is_absolute() or entry.place.suffix != ".gguf":
        raise _Wrong(f"{name!r} is to lie in {entry.place}, which is no place for a model")
    return entry


def find(name: str) -> Entry | None:
    """Return the entry of this name in any case, or of `owner/repository/file`; None when there is none."""
    wanted = name.lower().removesuffix(".gguf")
    for entry in catalogue().entries.values():
        if wanted in (entry.name.lower(), entry.place.as_posix().lower().removesuffix(".gguf")):
            return entry
    return None
