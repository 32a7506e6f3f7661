"""What can be set, in one place. Precedence: flags > environment > project file > user file > defaults."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from qwencode.errors import UsageError

PROJECT_FILE = Path(".qwencode") / "config.toml"
_PROJECT_MAY_SET = {"test", "max_steps", "max_minutes"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default. The text under a field is its documentation."""

    model: str = field(default="", metadata={"help": "Model to use: a name, a GGUF file, or the URL of a server."})
    test: str = field(default="", metadata={"help": "Command that runs the tests. Empty: found by itself."})
    max_steps: int = field(default=40, metadata={"help": "Model turns at most in one run."})
    max_minutes: float = field(default=30.0, metadata={"help": "Minutes at most in one run."})
    context: int = field(default=32_768, metadata={"help": "Context length in tokens for a model in this process."})
    threads: int = field(default=0, metadata={"help": "Threads for the model. 0: the physical cores."})
    no_sandbox: bool = field(default=False, metadata={"help": "Run commands unconfined when no sandbox works here."})


@dataclass(frozen=True, slots=True)
class Places:
    """Directories after the XDG base directory specification (and its counterparts on macOS)."""

    config: Path
    data: Path
    state: Path
    cache: Path

    @classmethod
    def of_user(cls) -> "Places":
        dirs = platformdirs.PlatformDirs("qwencode", appauthor=False)
        return cls(dirs.user_config_path, dirs.user_data_path, dirs.user_state_path, dirs.user_cache_path)

    @property
    def models(self) -> Path:
        return self.data / "models"

    @property
    def sessions(self) -> Path:
        return self.state / "sessions"


def load(
    places: Places, project: Path | None, flags: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Settings:
    """Merge all sources. Flags that are None were not given.

    Raises UsageError that names the file and the key. A project file may set only what cannot loosen safety or send the
    code elsewhere: it is part of what was cloned, not of what the user decided.
    """
    settings = _apply(Settings(), _read(places.config / "config.toml"), places.config / "config.toml")
    if project is not None:
        values = _read(project / PROJECT_FILE)
        if refused := sorted(values.keys() - _PROJECT_MAY_SET):
            allowed = ", ".join(sorted(_PROJECT_MAY_SET))
            raise UsageError(f"{project / PROJECT_FILE} sets {refused[0]!r}; a project file may set only: {allowed}.")
        settings = _apply(settings, values, project / PROJECT_FILE)
    settings = _apply(
        settings, _from_environment(os.environ if environment is None else environment), "the environment"
    )
    return _apply(settings, {key: value for key, value in flags.items() if value is not None}, "the command line")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for setting in fields(Settings):
        raw = environment.get(f"QWENCODE_{setting.name.upper()}")
        if raw is None:
            continue
        kind = type(setting.default)
        try:
            found[setting.name] = raw.lower() in {"1", "true", "yes"} if kind is bool else kind(raw)  # pyright: ignore[reportCallIssue]
        except ValueError as error:
            raise UsageError(f"QWENCODE_{setting.name.upper()}={raw!r} is not a number.") from error
    return found


def _apply(settings: Settings, values: Mapping[str, Any], source: Path | str) -> Settings:
    kinds = {setting.name: type(setting.default) for setting in fields(Settings)}
    for key, value in values.items():
        if key not in kinds:
            raise UsageError(f"{source} sets {key!r}, which is not a setting. There are: {', '.join(kinds)}.")
        wanted = kinds[key]
        right = (
            isinstance(value, int | float) and not isinstance(value, bool) if wanted is float else type(value) is wanted
        )
        if not right:
            raise UsageError(f"{source} sets {key!r} to {value!r}; it takes a value of type {wanted.__name__}.")
        if wanted in (int, float) and value < 0:
            raise UsageError(f"{source} sets {key!r} to {value!r}; it cannot be negative.")
    return replace(settings, **values)
