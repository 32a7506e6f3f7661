"""Which model files are on this machine: our own, and those that other programs downloaded, which are used in place.

Where the others keep theirs: the Hugging Face hub's cache (`HF_HUB_CACHE`, `HF_HOME`), LM Studio (`~/.lmstudio`, or
where `~/.lmstudio-home-pointer` says), llama.cpp (`LLAMA_CACHE`), Ollama (`OLLAMA_MODELS`), which names its files after
their checksums and says in a manifest which model each is.
"""

import json
import os
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from qwencode.model.catalogue import catalogue
from qwencode.model.llama.gguf_header import ARCHITECTURES
from qwencode.settings import Places

OURS = "qwencode"
OLLAMA = "Ollama"
"""Its files may be converted for its own engine, so they are run when they are named, and never by default."""
_SYSTEM_OLLAMA = (Path("/usr/share/ollama/.ollama/models"), Path("/var/lib/ollama/.ollama/models"))
_KEY = b"general.architecture"
_HEAD_BYTES = 1 << 16
_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A model file: what it is called, where it lies, and whose it is (OURS, or the name of another program)."""

    name: str
    path: Path
    owner: str

    @property
    def size(self) -> int:
        """Bytes; 0 when it has gone meanwhile."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


def own(places: Places) -> list[Found]:
    """Return the files in the models place, without the vision parts beside them and what is not whole yet."""
    names = {entry.place: entry.name for entry in catalogue().entries.values()}
    found = list[Found]()
    for path in _glob(places.models, "**/*.gguf"):
        place = path.relative_to(places.models)
        if _is_model(path) and not any(part.startswith(".") for part in place.parts):
            found.append(Found(names.get(place, path.stem), path, OURS))
    return found


def others(places: Places, environment: Mapping[str, str] | None = None) -> list[Found]:
    """Return the files of other programs that hold a model of a family that can be run, each once."""
    if places.home is None:
        return []
    given = os.environ if environment is None else environment
    found = dict[Path, Found]()
    for each in _candidates(places.home, given):
        with suppress(OSError):
            real = each.path.resolve()
            if real not in found and _is_model(each.path) and _can_be_run(each.path):
                found[real] = each
    ours = {each.path.resolve() for each in own(places)}
    return [each for real, each in found.items() if real not in ours]


def _candidates(home: Path, environment: Mapping[str, str]) -> Iterator[Found]:
    cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    for path in _gguf(hub_cache(home, environment), "models--*/snapshots/*"):
        repository = next(part for part in path.parts if part.startswith("models--"))
        yield Found(_name(repository.removeprefix("models--").replace("--", "/"), path), path, "Hugging Face")
    for models in _lm_studio(home):
        for path in _gguf(models, "*/*"):
            yield Found(_name(f"{path.parts[-3]}/{path.parts[-2]}", path), path, "LM Studio")
    usual = home / "Library/Caches/llama.cpp" if sys.platform == "darwin" else cache / "llama.cpp"
    names = {f"{entry.repository}/{entry.file}".replace("/", "_"): entry.name for entry in catalogue().entries.values()}
    for path in _gguf(Path(environment.get("LLAMA_CACHE") or usual), "."):
        yield Found(names.get(path.name, path.stem), path, "llama.cpp")
    for models in (Path(environment.get("OLLAMA_MODELS") or home / ".ollama/models"), *_SYSTEM_OLLAMA):
        yield from _ollama(models)


def path_of(text: str) -> Path:
    """Return a path as a shell would read it: `~` is the home of a user, and stays as it is where there is none."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - that of Path raises then


def hub_cache(home: Path, environment: Mapping[str, str]) -> Path:
    """Return where the Hugging Face hub's own client keeps what it downloads."""
    if place := environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE"):
        return path_of(place)
    cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    return path_of(environment.get("HF_HOME") or str(cache / "huggingface")) / "hub"


def _lm_studio(home: Path) -> Iterator[Path]:
    with suppress(OSError, UnicodeDecodeError):
        yield Path((home / ".lmstudio-home-pointer").read_text(encoding="utf-8").strip()) / "models"
    yield home / ".lmstudio/models"
    yield home / ".cache/lm-studio/models"


def _ollama(models: Path) -> Iterator[Found]:
    for manifest in _glob(models / "manifests", "*/*/*/*"):
        with suppress(OSError, ValueError, RecursionError):
            if manifest.stat().st_size > _MANIFEST_BYTES:
                continue
            for digest in _model_layers(json.loads(manifest.read_bytes())):
                path = models / "blobs" / digest.replace(":", "-")
                yield Found(f"{manifest.parent.name}:{manifest.name}", path, OLLAMA)


def _model_layers(manifest: Any) -> Iterator[str]:
    """Yield the checksums of the layers that are model files, whatever the manifest may look like."""
    layers = cast("dict[str, Any]", manifest).get("layers") if isinstance(manifest, dict) else None
    for layer in cast("list[Any]", layers) if isinstance(layers, list) else []:
        if isinstance(layer, dict):
            kind, digest = (cast("dict[str, Any]", layer).get(key) for key in ("mediaType", "digest"))
            is_plain = isinstance(digest, str) and digest.startswith("sha256:") and "/" not in digest
            if kind == "application/vnd.ollama.image.model" and is_plain:
                yield str(digest)


def _gguf(root: Path, depth: str) -> Iterator[Path]:
    """Yield the files in the directories of a pattern, and one level below, where publishers put large ones."""
    yield from _glob(root, f"{depth}/*.gguf")
    yield from _glob(root, f"{depth}/*/*.gguf")


def _glob(root: Path, pattern: str) -> list[Path]:
    try:
        return sorted(root.glob(pattern))
    except OSError:
        return []


def _name(repository: str, path: Path) -> str:
    place = Path(repository) / path.name
    return next((entry.name for entry in catalogue().entries.values() if entry.place == place), path.stem)


def is_projector(name: str) -> bool:
    """Say whether a file of this name turns images into tokens, as publishers call those."""
    return name.lower().startswith("mmproj")


def _is_model(path: Path) -> bool:
    return os.path.isfile(path) and not is_projector(path.name)  # noqa: PTH113 (never raises)


def _can_be_run(path: Path) -> bool:
    """Say whether the head names an architecture that can be run; also where it cannot be told that early."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head[:4] != b"GGUF":
        return False
    _, key, rest = head.partition(_KEY)
    if not key or len(rest) < 12:
        return True
    length = struct.unpack_from("<Q", rest, 4)[0]
    return rest[12 : 12 + min(length, 64)] in {name.encode() for name in ARCHITECTURES}
