"""Files named in a task: which words are one, what is shown of them, and what never is."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwencode.context.mentions import Mentioned, mentioned
from qwencode.context.prompts import first_message
from qwencode.workspace import Workspace


@pytest.fixture
def workspace(repository: Path) -> Workspace:
    (repository / "src").mkdir()
    (repository / "src" / "money.py").write_text("".join(f"line_{n}\n" for n in range(1, 31)))
    (repository / "two words.txt").write_text("spaced\n")
    (repository / ".env").write_text("KEY=secret-value\n")
    (repository / "data.bin").write_bytes(b"\0\1\2")
    (repository / "empty.py").write_text("")
    return Workspace(repository)


@pytest.mark.parametrize(
    ("task", "shown"),
    [
        ("Look at @src/money.py, please.", ["1|line_1", "30|line_30"]),
        ("Look at @src/money.py:3-5.", ["3|line_3", "5|line_5"]),
        ("(@src/money.py:7)", ["7|line_7"]),
        ("See @src/money.py:29-99", ["29|line_29", "30|line_30"]),
        ('Read @"two words.txt" first', ["1|spaced"]),
        ("@empty.py", ["empty.py"]),
    ],
)
def test_a_file_is_shown(workspace: Workspace, task: str, shown: list[str]):
    found = mentioned(workspace, task)
    rows = found.text.splitlines()
    assert rows[-1] == shown[-1] and (len(rows) == 1 or rows[1] == shown[0])
    assert found.notices[0].text.startswith("Shown to the model: ")


@pytest.mark.parametrize(
    "task", ["", "no file", "the @property is wrong", "mail me@src/money.py", "@src", "@gone.py", "@", "@@src/money.py"]
)
def test_other_words_are_left_alone(workspace: Workspace, task: str):
    assert mentioned(workspace, task) == Mentioned()


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ("@.env", "secrets"),
        ("@data.bin", "binary"),
        ("@../../outside.txt", "outside"),
        ("@.git/config", ".git"),
        ("@link.txt", "outside"),
    ],
)
def test_what_may_not_be_shown_is_named(workspace: Workspace, tmp_path: Path, task: str, why: str):
    (tmp_path / "outside.txt").write_text("not yours")
    (workspace.root.parent.parent / "outside.txt").write_text("not yours")
    (workspace.root / "link.txt").symlink_to(tmp_path / "outside.txt")
    found = mentioned(workspace, f"See {task}")
    assert found.text == "" and len(found.notices) == 1
    assert found.notices[0].level == "warning" and why in found.notices[0].text


def test_together_they_stay_within_the_limit(workspace: Workspace):
    (workspace.root / "long.txt").write_text("words and words\n" * 5_000)
    found = mentioned(workspace, "@long.txt @src/money.py @long.txt:1-3", limit=2_000)
    assert len(found.text) < 2_400 and "left out" in found.text
    assert [notice.level for notice in found.notices][:2] == ["info", "warning"]


def test_they_are_part_of_the_first_message(workspace: Workspace):
    named = mentioned(workspace, "Mend @src/money.py:3")
    text = first_message(workspace, task="Mend @src/money.py:3", files=named.text).content
    assert "<<< files that the task names\nsrc/money.py\n3|line_3\n>>>" in text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.text(alphabet='@ab./:-0123456789 "\n', max_size=200))
def test_any_text_is_a_task(workspace: Workspace, task: str):
    assert "secret-value" not in mentioned(workspace, task).text
