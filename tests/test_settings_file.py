"""One line of the settings file changes, and no other byte."""

import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.errors import UsageError
from qwencode.settings import Places, Settings, explain, load
from qwencode.settings_file import begin, drop, put

LINES = {
    "model": 'model = "x"  # the large one',
    "threads": "threads=4",
    "max_minutes": "max_minutes   = 5.5 # half of it",
    "no_sandbox": "no_sandbox = true",
    "test": "test = 'make  check'",
}
VALUES = {"model": 'a "b" ü', "threads": "7", "max_minutes": "2", "no_sandbox": "off", "test": "pytest -q # x"}
COMMENTS = ["# threads = 9", "", "  # indented", "#", "\t"]


def places(config: Path) -> Places:
    return Places(config, *[Path("/nowhere")] * 3)


@given(
    st.permutations(sorted(LINES)),
    st.integers(0, len(LINES)),
    st.lists(st.sampled_from(COMMENTS), min_size=len(LINES), max_size=len(LINES)),
    st.sampled_from(sorted(VALUES)),
    st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=40)
def test_all_other_lines_stay(order: list[str], count: int, comments: list[str], name: str, end: str):
    lines = [line for key, comment in zip(order, comments, strict=True) for line in (comment, LINES[key])][: 2 * count]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        path.write_bytes("".join(line + end for line in lines).encode())
        before = load(places(Path(folder)), None, {}, {})
        put(path, name, VALUES[name])
        after = path.read_bytes().decode().split(end)
        at = [number for number, line in enumerate(lines) if line == LINES[name]]
        if at:
            assert after[: at[0]] + after[at[0] + 1 : -1] == lines[: at[0]] + lines[at[0] + 1 :]
            assert after[at[0]].endswith(LINES[name].partition("  #")[2])
        else:
            assert after[: len(lines)] == lines
        loaded = load(places(Path(folder)), None, {}, {})
        assert str(getattr(loaded, name)) in {VALUES[name], "2.0", "False"}
        for other in LINES.keys() - {name}:
            assert getattr(loaded, other) == getattr(before, other)
        assert drop(path, name)
        assert not drop(path, name)
        assert getattr(load(places(Path(folder)), None, {}, {}), name) == getattr(Settings(), name)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("max_step", "3", "There is no setting 'max_step'; did you mean 'max_steps'?"),
        ("Max-Steps", "3", "There is no setting 'Max-Steps'; did you mean 'max_steps'?"),
        ("colour", "red", "There is no setting 'colour'. There are: model, test,"),
        ("max_steps", "many", "max_steps='many' is not a whole number."),
        ("max_minutes", "", "max_minutes='' is not a number."),
        ("max_minutes", "nan", "the command line sets 'max_minutes' to nan; it must be 0 or more."),
        ("no_sandbox", "perhaps", "no_sandbox='perhaps' is neither yes nor no."),
        ("max_minutes", "1e308", "the command line sets 'max_minutes' to 1e+308; it must be 10,000 at most."),
        ("model", "\udcff", r"model='\udcff' holds bytes that are not UTF-8, and "),
        ("gpu_layers", "-2", "the command line sets 'gpu_layers' to -2; it must be -1 or more."),
        ("cache_type", "q4_0", "the command line sets 'cache_type' to 'q4_0'; it can be: nothing, f16, q8_0."),
    ],
)
def test_what_is_wrong_is_named_and_nothing_written(tmp_path: Path, name: str, text: str, sentence: str):
    path = tmp_path / "config.toml"
    with pytest.raises(UsageError) as caught:
        put(path, name, text)
    assert str(caught.value).startswith(sentence)
    assert not path.exists()


def test_a_file_that_is_no_toml_is_left_alone(tmp_path: Path):
    path = tmp_path / "config.toml"
    deep, long = b"a = %s%s\n" % (b"[" * 2000, b"]" * 2000), b"a = %s\n" % (b"9" * 5001)
    too_deep_to_change = b"a = %s%s\n" % (b"[" * 400, b"]" * 400)
    wrong = (b"threads = [\n", b"model = '\xff'\n", b"threads = 1\nthreads = 2\n", deep, long, too_deep_to_change)
    for content in wrong:
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"is not valid TOML: .*\. Mend it with `qwencode config edit`"):
            put(path, "threads", "2")
        assert path.read_bytes() == content


def test_links_and_modes_stay(tmp_path: Path):
    real, link = tmp_path / "dotfiles.toml", tmp_path / "config" / "config.toml"
    link.parent.mkdir()
    real.write_text("threads = 1\n")
    real.chmod(0o600)
    link.symlink_to(real)
    put(link, "threads", "2")
    assert link.is_symlink()
    assert real.read_text() == "threads = 2\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config", "dotfiles.toml"]


@pytest.mark.usefixtures("permissions_hold_everywhere")
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(UsageError, match=r"config\.toml cannot be written: Permission denied"):
            put(tmp_path / "sub" / "config.toml", "threads", "2")
    finally:
        tmp_path.chmod(0o755)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be"):
        put(tmp_path / "file" / "config.toml", "threads", "2")


def test_a_new_file_names_every_setting_and_changes_none(tmp_path: Path):
    path = tmp_path / "config.toml"
    begin(path)
    assert load(places(tmp_path), None, {}, {}) == Settings()
    text = path.read_text()
    assert all(f"# {each.name} = " in text for each in explain(places(tmp_path), None, {}))
    path.write_text(text.replace("# ", ""))  # every example is a setting with its default
    path.write_text("\n".join(line for line in path.read_text().splitlines() if " = " in line))
    assert load(places(tmp_path), None, {}, {}) == Settings()
    put(path, "threads", "3")
    begin(path)
    assert "threads = 3" in path.read_text()


def test_every_setting_says_where_it_comes_from(tmp_path: Path):
    (tmp_path / "config.toml").write_text("threads = 1\nmax_steps = 2\ntest = 'a'\n")
    project = tmp_path / "project"
    (project / ".qwencode").mkdir(parents=True)
    (project / ".qwencode" / "config.toml").write_text("max_steps = 3\ntest = 'b'\n")
    found = explain(places(tmp_path), project, {"QWENCODE_TEST": "c", "QWENCODE_MODEL": ""})
    by_name = {each.name: (each.value, each.origin) for each in found}
    assert by_name["model"] == ("", "default")
    assert by_name["threads"] == (1, str(tmp_path / "config.toml"))
    assert by_name["max_steps"] == (3, str(project / ".qwencode" / "config.toml"))
    assert by_name["test"] == ("c", "QWENCODE_TEST")


def test_a_list_is_written_as_one(tmp_path: Path):
    path = tmp_path / "config.toml"
    assert put(path, "deny_commands", "rm, git push") == ("rm", "git push")
    assert 'deny_commands = ["rm", "git push"]' in path.read_text()
    assert load(places(tmp_path), None, {}, {}).deny_commands == ("rm", "git push")
