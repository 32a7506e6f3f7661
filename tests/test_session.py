import os
import re
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode.errors import UsageError
from qwencode.events import MessageAdded, Notice, PrefillProgress, Progress, RunFinished, TextDelta, ThinkingDelta
from qwencode.messages import Message
from qwencode.session import Session, new_id, read

any_text = st.text(st.characters(codec=None, exclude_categories=())) | st.text(
    st.sampled_from("a\n\r\x0b\x0c\x1c\x85\u2028\u2029\0\ud800\udcff😀")
)


def well_formed(text: str) -> bool:
    """Two surrogates side by side are read as the one character that they spell in UTF-16."""
    return not re.search("[\ud800-\udbff][\udc00-\udfff]", text)


@given(st.lists(any_text.filter(well_formed), max_size=5))
def test_every_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]):
    folder = tmp_path_factory.mktemp("sessions")
    told = [Notice(text) for text in texts]
    with Session(folder, "s") as session:
        for event in told:
            session.record(event)
    assert list(read(session.path)) == told


def test_what_only_moves_on_the_screen_is_left_out(tmp_path: Path):
    with Session(tmp_path, "s") as session:
        for event in (Progress("search", 1), PrefillProgress(1, 2, 0), TextDelta("a"), ThinkingDelta("b")):
            session.record(event)
        session.record(MessageAdded(Message("assistant", "a", "b")))
    assert list(read(session.path)) == [MessageAdded(Message("assistant", "a", "b"))]


def test_an_event_is_on_disk_as_soon_as_it_is_recorded(tmp_path: Path):
    with Session(tmp_path, "s") as session:
        session.record(Notice("now"))
        assert list(read(session.path)) == [Notice("now")]


def test_only_the_user_may_read_it(tmp_path: Path):
    with Session(tmp_path / "new" / "folder", "s") as session:
        assert stat.S_IMODE(session.path.stat().st_mode) == 0o600


def test_ids_sort_by_time_and_differ():
    first, other = new_id(), new_id()
    time.sleep(1.01)
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", first)
    assert max(first, other) < new_id()
    assert len({new_id() for _ in range(20)}) > 15


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_half_written_last_line_is_left_out_and_cut_off_when_it_goes_on(tmp_path: Path, cut: int):
    with Session(tmp_path, "s") as session:
        session.record(Notice("whole"))
        session.record(Notice("half"))
    session.path.write_bytes(session.path.read_bytes()[:-cut])
    assert list(read(session.path)) == [Notice("whole")]
    with Session(tmp_path, "s") as session:
        session.record(RunFinished(0, "later", 1.0))
    assert list(read(session.path)) == [Notice("whole"), RunFinished(0, "later", 1.0)]


@pytest.mark.parametrize("line", [b"{", b"[]", b"1", b'{"type": "no_such"}', b'{"type": "notice"}', b"\xff", b""])
def test_a_bad_line_is_named(tmp_path: Path, line: bytes):
    with Session(tmp_path, "s") as session:
        session.record(Notice("first"))
    session.path.write_bytes(session.path.read_bytes() + line + b"\n")
    events = read(session.path)
    assert next(events) == Notice("first")
    with pytest.raises(UsageError, match=r"s\.jsonl, line 2, is not an event of this version"):
        next(events)


def test_the_consumers_errors_are_not_taken_for_bad_lines(tmp_path: Path):
    with Session(tmp_path, "s") as session:
        session.record(Notice("first"))
    events = read(session.path)
    next(events)
    with pytest.raises(KeyError):
        events.throw(KeyError("the reader's own"))  # pyright: ignore[reportAttributeAccessIssue]


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be recorded in .*file/sessions: Not a directory"):
        Session(tmp_path / "file" / "sessions", "s")
    with pytest.raises(UsageError, match=r"missing\.jsonl cannot be read: No such file"):
        list(read(tmp_path / "missing.jsonl"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is played by Linux's /dev/full")
def test_a_full_disk_is_said(tmp_path: Path):
    session = Session(tmp_path, "s")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, session._file.fileno())  # pyright: ignore[reportPrivateUsage]
    os.close(full)
    with pytest.raises(UsageError, match=r"s\.jsonl: No space left on device"):
        session.record(Notice("x"))
    session.close()
