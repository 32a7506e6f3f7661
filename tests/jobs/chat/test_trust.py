"""A folder's own words are used only after the user has said that it is trusted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chat_ground import Held, Someone, places
from qwencode.jobs.chat.trust import known, remember
from qwencode.settings import Places

Talking = Callable[..., Held]


@pytest.fixture
def telling(repository: Path) -> Path:
    (repository / "AGENTS.md").write_text("Say please.\n")
    (repository / ".qwencode" / "commands").mkdir(parents=True)
    (repository / ".qwencode" / "commands" / "greet.md").write_text("Hello.\n")
    return repository


def uses_it(held: Held) -> bool:
    held.say("a")
    told = "Say please." in held.talked[1][1]
    assert told == any(command.name == "greet" for command in held.chat.commands)
    return told


def test_asked_once_and_remembered(talking: Talking, telling: Path):
    person = Someone(yes=[True])
    assert uses_it(talking("One.", person=person, trusted=False))
    assert "was never opened here. It has AGENTS.md, .qwencode/commands." in person.questions[0]
    assert uses_it(talking("One.", person=person, trusted=False, session="2"))
    assert len(person.questions) == 1


def test_a_no_is_remembered_as_well(talking: Talking, telling: Path):
    person = Someone(yes=[False])
    for session in ("1", "2"):
        held = talking("One.", person=person, trusted=False, session=session)
        assert not uses_it(held) and "qwencode chat --trust uses them" in held.notices()
    assert len(person.questions) == 1


def test_where_nobody_can_be_asked_it_is_not_used_nor_remembered(
    talking: Talking, telling: Path, own_directories: Path
):
    assert not uses_it(talking("One.", trusted=False))
    assert known(places(own_directories), telling) is None
    assert uses_it(talking("One.", trusted=True, session="2"))
    assert known(places(own_directories), telling) is True


def test_a_folder_without_such_files_asks_nothing(talking: Talking, repository: Path, own_directories: Path):
    person = Someone()
    talking(person=person, trusted=False)
    assert not person.questions and known(places(own_directories), repository) is None


def test_it_is_kept_by_the_real_path(own_directories: Path, telling: Path, tmp_path: Path):
    here = places(own_directories)
    (tmp_path / "link").symlink_to(telling)
    remember(here, tmp_path / "link", True)
    assert known(here, telling) is True
    remember(here, telling, False)
    assert known(here, tmp_path / "link") is False


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"/x": 1}'])
def test_a_damaged_file_is_as_none(tmp_path: Path, text: str):
    here = Places(*[tmp_path] * 4)
    (tmp_path / "trusted.json").write_text(text)
    assert known(here, Path("/x")) is None
    remember(here, Path("/x"), True)
    assert known(here, Path("/x")) is True
