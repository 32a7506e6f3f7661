"""The sessions on disk: found, read in spite of what is broken, removed."""

import json
import stat
from pathlib import Path

import pytest

from qwencode.errors import UsageError
from qwencode.events import Notice, RunStarted, TurnStarted
from qwencode.session import Session
from qwencode.sessions import find, load, remove, summaries


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "sessions"


def held(folder: Path, name: str, *said: str, repository: str = "/r", job: str = "chat", goal: str = "") -> Path:
    with Session(folder, name) as session:
        session.record(RunStarted(job, repository, name, "1", goal))
        for number, text in enumerate(said, 1):
            session.record(TurnStarted(number, text, 0))
        return session.path


def test_a_list_with_the_first_words(folder: Path):
    assert summaries(folder) == []
    held(folder, "20260101-000000-aaaa", "Mend\n the  sum", "And the rest")
    held(folder, "20260101-000001-bbbb", job="fix", goal="Rename f")
    (folder / "notes.jsonl").write_text("{}\n\nnothing\n")
    found = {summary.id: summary for summary in summaries(folder)}
    assert {name: (each.job, each.words) for name, each in found.items()} == {
        "20260101-000000-aaaa": ("chat", "Mend the sum"),
        "20260101-000001-bbbb": ("fix", "Rename f"),
    }
    assert all(0 <= each.age < 60 and each.repository == "/r" for each in found.values())


def test_a_session_is_found_by_the_beginning_of_its_id(folder: Path):
    first, second = held(folder, "20260101-000000-aaaa"), held(folder, "20260101-000001-bbbb")
    assert find(folder, "20260101-000000-aaaa") == first
    assert find(folder, "20260101-000001") == second
    for name, said in (("2026", "could be 2 sessions"), ("1999", "There is no session"), ("../x", "is no id")):
        with pytest.raises(UsageError, match=said):
            find(folder, name)


def test_a_half_written_line_and_unknown_events_are_left_out(folder: Path):
    path = held(folder, "20260101-000000-aaaa", "Hello")
    with path.open("ab") as file:
        file.write(json.dumps({"type": "of_another_version", "x": 1}).encode() + b"\nnonsense\n")
        file.write(json.dumps({"type": "notice", "text": "Hi", "level": "info"}).encode() + b"\n")
        file.write(b'{"type": "notice", "te')
    loaded = load(path)
    assert [type(event) for event in loaded.events] == [RunStarted, TurnStarted, Notice]
    assert "half written" in loaded.notices[0] and loaded.notices[1].startswith("2 events of the session")
    Session(folder, path.stem).close()
    assert load(path).notices == loaded.notices[1:], "opened for going on, it is repaired"


def test_it_is_private_and_open_in_one_place_only(folder: Path):
    with Session(folder, "20260101-000000-aaaa") as session:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(session.path.stat().st_mode) == 0o600
        with pytest.raises(UsageError, match="open in another process"):
            Session(folder, "20260101-000000-aaaa")
    Session(folder, "20260101-000000-aaaa").close()


def test_removed(folder: Path):
    path = held(folder, "20260101-000000-aaaa")
    with Session(folder, path.stem), pytest.raises(UsageError, match="open in another process"):
        remove(path)
    remove(path)
    assert summaries(folder) == []
    with pytest.raises(UsageError, match="cannot be removed"):
        remove(path)
