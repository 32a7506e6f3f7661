"""What can be set, in one place. Precedence: flags > environment > project file > user file > defaults."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import platformdirs

from qwencode.errors import UsageError

PROJECT_FILE = Path(".qwencode") / "config.toml"
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_PROJECT_MAY_SET = {"test", "max_steps", "max_minutes", "mode", "deny_commands", "deny_paths"}
_MODES = ("plan", "ask", "auto")  # the strictest first
_LONG = 10_000  # a week in minutes; the clocks of the system count a month at most
_MOST = 2**31 - 1  # as llama.cpp counts
_SHOWN = 200  # characters of a wrong value
_NEAR = 70  # of 100: how much alike a mistaken name must be to be taken for a slip


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default and documentation. `least` (else 0), `most` (else _MOST) and `among` bound it."""

    model: str = field(default="", metadata={"help": "Model to use: a name, a GGUF file, or the URL of a server."})
    test: str = field(default="", metadata={"help": "Command that runs the tests. Empty: found by itself."})
    max_steps: int = field(
        default=0,
        metadata={
            "help": "Model turns at most in a run or for a message; 0: 40 a cause, 100 in chat, no limit for builtin."
        },
    )
    attempts: int = field(default=2, metadata={"least": 1, "help": "Attempts of the model at each cause at most."})
    max_minutes: float = field(default=30.0, metadata={"most": _LONG, "help": "Minutes at most in one run."})
    think: str = field(
        default="auto",
        metadata={"among": ("auto", "always", "never"), "help": "When the model thinks; auto: where it is hard."},
    )
    think_budget: int = field(
        default=0, metadata={"help": "Tokens of thinking at most in one turn. 0: by how hard the step is."}
    )
    context: int = field(default=0, metadata={"help": "Context in tokens for a model in this process. 0: what fits."})
    threads: int = field(default=0, metadata={"help": "Threads for the model. 0: the physical cores."})
    prefix_store_mb: int = field(
        default=2048,
        metadata={"help": "Megabytes on disk for kept states of the fixed part of prompts. 0: none are kept."},
    )
    batch: int = field(default=0, metadata={"help": "Prompt tokens read at a time. 0: 512, or what fits."})
    gpu_layers: int = field(
        default=-1, metadata={"least": -1, "help": "Blocks of the model on the GPU, and its output. -1: what fits."}
    )
    cpu_experts: int = field(
        default=-1, metadata={"least": -1, "help": "Blocks whose experts stay off the GPU. -1: as few as fit."}
    )
    cache_type: str = field(
        default="",
        metadata={"among": ("", "f16", "q8_0"), "help": "Attention cache: f16 or q8_0. Empty: f16 if it fits."},
    )
    draft_tokens: int = field(
        default=-1, metadata={"least": -1, "help": "Tokens guessed ahead at most; 0: none. -1: what pays and fits."}
    )
    mode: str = field(
        default="ask",
        metadata={"among": _MODES, "help": "In chat: plan (only read), ask (before edits and commands), or auto."},
    )
    allow_commands: tuple[str, ...] = field(
        default=(), metadata={"help": "Commands, by their first words, that the model may run without asking."}
    )
    deny_commands: tuple[str, ...] = field(
        default=(), metadata={"help": "Commands, by their first words, that the model may never run."}
    )
    allow_paths: tuple[str, ...] = field(
        default=(), metadata={"help": "Patterns of files that the model may change without asking."}
    )
    deny_paths: tuple[str, ...] = field(
        default=(), metadata={"help": "Patterns of files that the model may never edit."}
    )
    keys: str = field(default="emacs", metadata={"among": ("emacs", "vi"), "help": "Keys of the prompt of chat."})
    hook_seconds: float = field(
        default=20.0,
        metadata={"least": 1, "most": _LONG, "help": "Seconds that the hook may take before it lets a commit pass."},
    )
    no_sandbox: bool = field(default=False, metadata={"help": "Run commands unconfined when no sandbox works here."})


_FIELDS = {setting.name: setting for setting in fields(Settings)}


@dataclass(frozen=True, slots=True)
class Places:
    """Directories after the XDG base directory specification (and its counterparts on macOS).

    `home`: where other programs keep their model files; None: those are not looked for.
    """

    config: Path
    data: Path
    state: Path
    cache: Path
    home: Path | None = None

    @classmethod
    def of_user(cls) -> "Places":
        """Return those of whoever runs this. Raises UsageError where there is no home directory."""
        dirs = platformdirs.PlatformDirs("qwencode", appauthor=False)
        try:
            own = dirs.user_config_path, dirs.user_data_path, dirs.user_state_path, dirs.user_cache_path
            return cls(*own, Path.home())
        except RuntimeError as error:  # as in a container that runs as a user whom it does not know
            raise UsageError("Nobody knows where your home directory is: set HOME to a directory of yours.") from error

    @property
    def models(self) -> Path:
        return self.data / "models"

    @property
    def sessions(self) -> Path:
        return self.state / "sessions"

    @property
    def maps(self) -> Path:
        return self.cache / "maps"

    @property
    def reviews(self) -> Path:
        return self.cache / "reviews"

    @property
    def prefixes(self) -> Path:
        return self.cache / "prefixes"


@dataclass(frozen=True, slots=True)
class Set:
    """A setting as it holds: its value, and where that comes from (`default`, a file, a variable, a flag)."""

    name: str
    value: Any
    origin: str


def load(
    places: Places, project: Path | None, flags: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Settings:
    """Merge all sources. Flags that are None were not given.

    Raises UsageError that names the file and the key. A project file may set only what cannot loosen safety or send the
    code elsewhere: it is part of what was cloned, not of what the user decided.
    """
    settings, _ = _merged(places, project, environment)
    return _apply(settings, {key: value for key, value in flags.items() if value is not None}, "the command line")


def explain(places: Places, project: Path | None, environment: Mapping[str, str] | None = None) -> list[Set]:
    """Return every setting with its value and the source that decided it. Raises UsageError as `load` does."""
    settings, origins = _merged(places, project, environment)
    return [Set(name, getattr(settings, name), origins.get(name, "default")) for name in _FIELDS]


def user_file(places: Places) -> Path:
    """Return the path of the user's settings file."""
    return places.config / "config.toml"


def describe(name: str) -> str:
    """Return what a setting means. Raises UsageError for a name that is none."""
    if name not in _FIELDS:
        raise UsageError(f"There is no setting {name!r}{_instead(name)}")
    return _FIELDS[name].metadata["help"]


def parse(name: str, text: str, source: str = "the command line") -> Any:
    """Return the value that a setting gets from text. Raises UsageError for a wrong name, type or value."""
    describe(name)
    value = _value(text, _kinds()[name], f"{name}={_shown(text)}")
    return getattr(_apply(Settings(), {name: value}, source), name)


def _instead(name: str) -> str:
    """Return the rest of a sentence that names what may have been meant, or all that there is."""
    from rapidfuzz import process  # only for a mistake, so that no start waits for it

    near = process.extractOne(name.lower().replace("-", "_"), list(_FIELDS), score_cutoff=_NEAR)
    return f"; did you mean {near[0]!r}?" if near else f". There are: {', '.join(_FIELDS)}."


def _merged(
    places: Places, project: Path | None, environment: Mapping[str, str] | None
) -> tuple[Settings, dict[str, str]]:
    """Return what all files and the environment come to, and who has the last word on what."""
    settings, origins = Settings(), dict[str, str]()
    for source, values in _sources(places, project, os.environ if environment is None else environment):
        if project is not None and source == project / PROJECT_FILE:
            values = _tightening(settings, values)
        settings = _apply(settings, values, source)
        origins |= {key: str(source) if isinstance(source, Path) else _variable(key) for key in values}
    return settings, origins


def _sources(
    places: Places, project: Path | None, environment: Mapping[str, str]
) -> Iterator[tuple[Path | str, Mapping[str, Any]]]:
    """Yield what is set in each place, the last word last."""
    yield user_file(places), _read(user_file(places))
    if project is not None:
        values = _read(project / PROJECT_FILE)
        if refused := sorted(values.keys() - _PROJECT_MAY_SET):
            allowed = ", ".join(sorted(_PROJECT_MAY_SET))
            raise UsageError(f"{project / PROJECT_FILE} sets {refused[0]!r}; a project file may set only: {allowed}.")
        yield project / PROJECT_FILE, values
    yield "the environment", _from_environment(environment)


def _tightening(settings: Settings, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a project file sets so that it forbids more than the user does, and never less."""
    found = dict(values)
    for key in ("deny_commands", "deny_paths"):
        if isinstance(own := found.get(key), list):
            found[key] = [*getattr(settings, key), *own]
    if (mode := found.get("mode")) in _MODES and _MODES.index(mode) > _MODES.index(settings.mode):
        del found["mode"]
    return found


def read_toml(text: str) -> dict[str, Any]:
    """Return what a text in TOML says. Raises ValueError that tells what is wrong with it."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:
        raise ValueError("a number in it is too long") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def _variable(name: str) -> str:
    return f"QWENCODE_{name.upper()}"


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings given as QWENCODE_<NAME>. An empty variable was not given."""
    given = {name: environment.get(_variable(name), "") for name in _FIELDS}
    kinds = _kinds()
    return {name: _value(raw, kinds[name], f"{_variable(name)}={_shown(raw)}") for name, raw in given.items() if raw}


def _value(text: str, kind: type, what: str) -> Any:
    """Return text as a value of a type. Raises UsageError that begins with `what`."""
    if kind is bool:
        if text.lower() not in _WORDS:
            raise UsageError(f"{what} is neither yes nor no.")
        return _WORDS[text.lower()]
    if kind is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return kind(text)
    except ValueError as error:
        raise UsageError(f"{what} is not a {'whole ' if kind is int else ''}number.") from error


def _apply(settings: Settings, values: Mapping[str, Any], source: Path | str) -> Settings:
    kinds = _kinds()
    right: dict[str, Any] = {}
    for key, value in values.items():
        if key not in kinds:
            raise UsageError(f"{source} sets {key!r}, which is not a setting{_instead(key)}")
        wanted, bounds = kinds[key], _FIELDS[key].metadata
        least, most = bounds.get("least", 0), bounds.get("most", _MOST)
        if wanted is float and type(value) is int:
            value = float(max(-_MOST, min(value, _MOST)))  # more does not fit into a float, and is too much
        if wanted is tuple and isinstance(value, list):
            items = cast("list[Any]", value)
            value = tuple(items) if all(type(item) is str for item in items) else items
        if type(value) is not wanted:
            named = "a list of texts" if wanted is tuple else f"a value of type {wanted.__name__}"
            raise UsageError(f"{source} sets {key!r} to {_shown(value)}; it takes {named}.")
        if isinstance(value, int | float) and not least <= value <= most:  # nor NaN
            limit = f"{most:,} at most" if value > most else f"{least} or more"
            raise UsageError(f"{source} sets {key!r} to {_shown(value)}; it must be {limit}.")
        if "among" in bounds and value not in bounds["among"]:
            known = ", ".join(name or "nothing" for name in bounds["among"])
            raise UsageError(f"{source} sets {key!r} to {_shown(value)}; it can be: {known}.")
        right[key] = value
    return replace(settings, **right)


def _shown(value: Any) -> str:
    """Return a wrong value as it is shown."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number too long or a list too deep for that
        return "what is too much to be shown"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _kinds() -> dict[str, type[Any]]:
    """Return the type of each setting: that of its default."""
    default = Settings()
    return {setting.name: type(getattr(default, setting.name)) for setting in fields(Settings)}
