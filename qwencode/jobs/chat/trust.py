"""Which folders the user trusts: what lies in one tells the model what to do, so it is used only after a yes."""

import json
from pathlib import Path
from typing import Any, cast

from qwencode.context.instructions import NAME
from qwencode.errors import UsageError
from qwencode.settings import PROJECT_FILE, Places
from qwencode.workspace import Workspace, write_atomic

COMMANDS = Path(".qwencode") / "commands"


def known(places: Places, root: Path) -> bool | None:
    """Return what the user has said of a folder; None: nothing yet."""
    return _read(places).get(str(root.resolve()))


def remember(places: Places, root: Path, trusted: bool) -> None:
    """Keep what the user has said of a folder. Raises UsageError when that cannot be written."""
    said = {**_read(places), str(root.resolve()): trusted}
    try:
        places.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(_file(places), json.dumps(said, indent=1).encode("ascii"), 0o600)
    except OSError as error:
        raise UsageError(f"{_file(places)} cannot be written: {error.strerror}.") from error


def to_be_trusted(workspace: Workspace) -> list[str]:
    """Return the names of what would be used of a folder that is trusted; empty: there is nothing to ask."""
    start = workspace.start if workspace.start.is_relative_to(workspace.root) else workspace.root
    folders = [folder for folder in (start, *start.parents) if folder.is_relative_to(workspace.root)]
    places = [
        *(folder / NAME for folder in reversed(folders)),
        workspace.root / PROJECT_FILE,
        workspace.root / COMMANDS,
    ]
    return [place.relative_to(workspace.root).as_posix() for place in places if place.exists()]


def _file(places: Places) -> Path:
    return places.state / "trusted.json"


def _read(places: Places) -> dict[str, bool]:
    """Return what is known. A file that cannot be read is none: then the user is asked again."""
    try:
        found: Any = json.loads(_file(places).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(key): value for key, value in cast("dict[Any, Any]", found).items() if isinstance(value, bool)}
