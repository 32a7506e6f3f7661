from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode.errors import UsageError
from qwencode.settings import PROJECT_FILE, Places, Settings, explain, load

DEFAULTS = asdict(Settings())
LOOSENING = sorted(DEFAULTS.keys() - {"test", "max_steps", "max_minutes", "mode", "deny_commands", "deny_paths"})


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(*(tmp_path / name for name in ("config", "data", "state", "cache")))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project"


def user_file(places: Places, text: str | bytes) -> Path:
    places.config.mkdir(exist_ok=True)
    path = places.config / "config.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def project_file(project: Path, text: str) -> Path:
    path = project / PROJECT_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_any_source_the_defaults_hold(places: Places, project: Path):
    assert load(places, project, {}, {}) == Settings()
    assert load(places, None, {"model": None}, {}) == Settings()


def test_each_source_beats_those_below_it(places: Places, project: Path):
    sources: list[Any] = [{}, {}, {}]
    seen: list[int] = [load(places, project, {}, {}).max_steps]
    user_file(places, "max_steps = 1\n")
    seen.append(load(places, project, *sources[:1], {}).max_steps)
    project_file(project, "max_steps = 2\n")
    seen.append(load(places, project, {}, {}).max_steps)
    seen.append(load(places, project, {}, {"QWENCODE_MAX_STEPS": "3"}).max_steps)
    seen.append(load(places, project, {"max_steps": 4}, {"QWENCODE_MAX_STEPS": "3"}).max_steps)
    assert seen == [0, 1, 2, 3, 4]  # 0: as many as suit the model


@given(st.booleans(), st.integers(0, 10**6), st.floats(0, 1e4), st.text(st.characters(codec="utf-8")))
def test_any_value_comes_through_flags_and_environment(yes: bool, steps: int, minutes: float, model: str):
    places = Places(*[Path("/nowhere")] * 4)
    values = {"no_sandbox": yes, "max_steps": steps, "max_minutes": minutes, "model": model}
    wanted = Settings(**values)  # pyright: ignore[reportArgumentType]
    assert load(places, None, values, {}) == wanted
    environment = {f"QWENCODE_{key.upper()}": str(value) for key, value in values.items()}
    assert load(places, None, {}, environment) == wanted


def test_a_whole_number_will_do_for_minutes(places: Places):
    minutes = load(places, None, {"max_minutes": 5}, {}).max_minutes
    assert (minutes, type(minutes)) == (5.0, float)


@pytest.mark.parametrize(("word", "value"), [("1", True), ("YES", True), ("on", True), ("0", False), ("off", False)])
def test_yes_and_no_in_the_environment(places: Places, word: str, value: bool):
    user_file(places, f"no_sandbox = {str(not value).lower()}\n")
    assert load(places, None, {}, {"QWENCODE_NO_SANDBOX": word}).no_sandbox is value


def test_an_empty_variable_was_not_given(places: Places):
    user_file(places, 'test = "make check"\n')
    assert load(places, None, {}, {"QWENCODE_TEST": "", "QWENCODE_THREADS": ""}).test == "make check"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("QWENCODE_MAX_STEPS", "many", "QWENCODE_MAX_STEPS='many' is not a whole number."),
        ("QWENCODE_MAX_STEPS", "1.5", "QWENCODE_MAX_STEPS='1.5' is not a whole number."),
        ("QWENCODE_MAX_MINUTES", "soon", "QWENCODE_MAX_MINUTES='soon' is not a number."),
        ("QWENCODE_NO_SANDBOX", "maybe", "QWENCODE_NO_SANDBOX='maybe' is neither yes nor no."),
        ("QWENCODE_CONTEXT", "-1", "the environment sets 'context' to -1; it must be 0 or more."),
        ("QWENCODE_GPU_LAYERS", "-2", "the environment sets 'gpu_layers' to -2; it must be -1 or more."),
        ("QWENCODE_CACHE_TYPE", "q4", "the environment sets 'cache_type' to 'q4'; it can be: nothing, f16, q8_0."),
        ("QWENCODE_MAX_MINUTES", "nan", "the environment sets 'max_minutes' to nan; it must be 0 or more."),
        ("QWENCODE_MAX_MINUTES", "inf", "the environment sets 'max_minutes' to inf; it must be 10,000 at most."),
        ("QWENCODE_HOOK_SECONDS", "1e308", "the environment sets 'hook_seconds' to 1e+308; it must be 10,000 at most."),
        ("QWENCODE_THREADS", "4294967297", "the environment sets 'threads' to 4294967297; it must be 2,147,483,647 at"),
        ("QWENCODE_THREADS", "9" * 5001, f"QWENCODE_THREADS='{'9' * 198}… is not a whole number."),
    ],
)
def test_the_environments_mistakes_are_named(places: Places, variable: str, value: str, sentence: str):
    with pytest.raises(UsageError) as caught:
        load(places, None, {}, {variable: value})
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("colour = 1\n", "{path} sets 'colour', which is not a setting. There are: model, test, max_steps,"),
        ('max_steps = "4"\n', "{path} sets 'max_steps' to '4'; it takes a value of type int."),
        ("max_steps = true\n", "{path} sets 'max_steps' to True; it takes a value of type int."),
        ("max_minutes = false\n", "{path} sets 'max_minutes' to False; it takes a value of type float."),
        ("[model]\nname = 1\n", "{path} sets 'model' to {{'name': 1}}; it takes a value of type str."),
        ("threads = -2\n", "{path} sets 'threads' to -2; it must be 0 or more."),
        ("model = \n", "{path} is not valid TOML: "),
        (b"model = '\xff'\n", "{path} is not valid TOML: "),
        (f"threads = {'9' * 5001}\n", "{path} is not valid TOML: a number in it is too long"),
        (f"model = {'[' * 2000}{']' * 2000}\n", "{path} is not valid TOML: it is nested too deeply"),
        (f"model.{'a.' * 2000}a = 1\n", "{path} sets 'model' to what is too much to be shown; it takes a value"),
        (f"max_minutes = 0x{'f' * 5001}\n", "{path} sets 'max_minutes' to 2147483647.0; it must be 10,000 at most."),
        (f"max_minutes = -0x{'f' * 5001}\n", "{path} is not valid TOML: "),
        (f"max_minutes = -1{'0' * 400}\n", "{path} sets 'max_minutes' to -2147483647.0; it must be 0 or more."),
        (f"threads = 0x{'f' * 5001}\n", "{path} sets 'threads' to what is too much to be shown; it must be"),
        (f"deny_paths = [0x{'f' * 5001}]\n", "{path} sets 'deny_paths' to what is too much to be shown; it takes"),
        ("max_minutes = inf\n", "{path} sets 'max_minutes' to inf; it must be 10,000 at most."),
    ],
)
def test_a_files_mistakes_are_named(places: Places, text: str | bytes, sentence: str):
    path = user_file(places, text)
    with pytest.raises(UsageError) as caught:
        load(places, None, {}, {})
    assert str(caught.value).startswith(sentence.format(path=path))


def test_a_file_that_cannot_be_read_is_named(places: Places):
    (places.config / "config.toml").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"config\.toml cannot be read: Is a directory\."):
        load(places, None, {}, {})


@pytest.mark.parametrize("key", [*LOOSENING, "unknown"])
def test_a_project_file_can_never_loosen_safety(places: Places, project: Path, key: str):
    path = project_file(project, f"max_steps = 3\n{key} = 1\n")
    with pytest.raises(UsageError) as caught:
        load(places, project, {key: None}, {})
    allowed = "deny_commands, deny_paths, max_minutes, max_steps, mode, test"
    assert str(caught.value) == f"{path} sets '{key}'; a project file may set only: {allowed}."


def test_a_project_file_may_forbid_more(places: Places, project: Path):
    user_file(places, 'mode = "ask"\ndeny_commands = ["rm"]\nallow_commands = ["git status"]\n')
    path = project_file(project, 'mode = "plan"\ndeny_commands = ["curl"]\ndeny_paths = ["*.lock"]\n')
    found = load(places, project, {}, {})
    assert (found.mode, found.deny_commands, found.deny_paths) == ("plan", ("rm", "curl"), ("*.lock",))
    assert found.allow_commands == ("git status",)
    project_file(project, 'mode = "auto"\ndeny_commands = []\n')
    found = load(places, project, {}, {})
    assert (found.mode, found.deny_commands) == ("ask", ("rm",)), "it forbids nothing more, and allows nothing"
    origins = {each.name: each.origin for each in explain(places, project, {})}
    assert origins["mode"] == str(places.config / "config.toml") and origins["deny_commands"] == str(path)
    assert load(places, project, {"mode": "auto"}, {}).mode == "auto"


def test_lists_come_from_files_and_from_text(places: Places):
    user_file(places, 'allow_commands = ["git log", "make, all"]\n')
    assert load(places, None, {}, {}).allow_commands == ("git log", "make, all")
    assert load(places, None, {}, {"QWENCODE_ALLOW_COMMANDS": "git log, ls ,"}).allow_commands == ("git log", "ls")
    for text in ('"git log"', "[1]", "3"):
        path = user_file(places, f"deny_paths = {text}\n")
        with pytest.raises(UsageError, match="it takes a list of texts") as caught:
            load(places, None, {}, {})
        assert str(path) in str(caught.value)


def test_places_follow_the_users_directories(own_directories: Path):
    places = Places.of_user()
    assert places.config == own_directories / "config" / "qwencode"
    assert places.models == own_directories / "data" / "qwencode" / "models"
    assert places.sessions == own_directories / "state" / "qwencode" / "sessions"
    assert places.cache == own_directories / "cache" / "qwencode"


def test_who_has_no_home_is_told_to_name_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "~nobody-of-this-name")
    with pytest.raises(UsageError, match="set HOME"):
        Places.of_user()
