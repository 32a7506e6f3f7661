"""What is typed, pasted and remembered."""

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

import fake_chat
from qwencode.jobs.chat.person import Nobody
from qwencode.ui.chat.entry import Completing, Pastes, PrivateHistory, wants_completions

LONG = "\n".join(f"line {number}" for number in range(10_000))


def test_a_long_paste_is_a_sign_and_is_sent_whole():
    pastes = Pastes()
    sign = pastes.sign(LONG)
    assert sign == "[10,000 lines pasted]"
    line = pastes.line(f"explain {sign} please")
    assert line.shown == "explain [10,000 lines pasted] please"
    assert line.text == f"explain {LONG} please"


def test_signs_of_different_pastes_differ():
    pastes = Pastes()
    first, second, again = pastes.sign(LONG), pastes.sign(LONG.upper()), pastes.sign(LONG)
    assert (first, second, again) == ("[10,000 lines pasted]", "[10,000 lines pasted, 2]", first)
    assert pastes.whole(first + second) == LONG + LONG.upper()


def test_a_short_paste_is_text():
    assert Pastes().sign("a\r\nb\rc\n") == "a\nb\nc\n"
    assert Pastes().sign("x" * 2_001) == "[2,001 characters pasted]"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40) | st.just(LONG) | st.just("x" * 3_000), max_size=5))
def test_every_paste_is_sent_as_it_was(texts: list[str]):
    pastes = Pastes()
    for text in texts:
        wanted = text.replace("\r\n", "\n").replace("\r", "\n")
        assert pastes.whole(pastes.sign(text)) == wanted or "pasted]" in text


def test_a_sign_that_was_typed_stays_what_it_is():
    assert Pastes().whole("[3 lines pasted]") == "[3 lines pasted]"


def test_bytes_that_are_no_text_can_be_sent():
    line = Pastes().line("caf\udce9")
    assert line.text == "caf\ufffd"
    line.text.encode()


def history(file: Path) -> list[str]:
    return list(PrivateHistory(file, str).load_history_strings())


def test_the_history_is_kept_for_its_user_only(tmp_path: Path):
    file = tmp_path / "state" / "history"
    kept = PrivateHistory(file, str)
    for text in ("first", "two\nlines", 'quo"ted'):
        kept.append_string(text)
    assert history(file) == ['quo"ted', "two\nlines", "first"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_history_holds_what_a_sign_stands_for(tmp_path: Path):
    pastes, file = Pastes(), tmp_path / "history"
    kept = PrivateHistory(file, pastes.whole)
    text = "\n".join(f"row {number}" for number in range(20))
    kept.append_string(pastes.sign(text))
    kept.append_string(pastes.sign(LONG))
    assert kept.get_strings()[-1] == "[10,000 lines pasted]"
    assert history(file) == [text]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b'{"a": 1}\n[]\n3\n', b'"half', b'"ok"\n"hal'])
def test_a_damaged_history_is_no_reason_to_stop(tmp_path: Path, content: bytes):
    file = tmp_path / "history"
    file.write_bytes(content)
    assert history(file) in ([], ["ok"])


def test_of_a_very_long_history_the_end_is_read(tmp_path: Path):
    file = tmp_path / "history"
    file.write_text("".join(f'"entry {number} {"x" * 100}"\n' for number in range(20_000)))
    found = history(file)
    assert found[0].startswith("entry 19999 ")
    assert 8_000 < len(found) < 10_000
    assert found[-1].startswith("entry ")


def test_a_history_that_cannot_be_written_is_kept_in_memory(tmp_path: Path):
    (tmp_path / "state").write_text("a file, no folder")
    kept = PrivateHistory(tmp_path / "state" / "history", str)
    kept.append_string("text")
    assert kept.get_strings() == ["text"]


@pytest.mark.parametrize(
    ("left", "wanted"),
    [
        ("/he", True),
        ("/", True),
        ("look at @ca", True),
        ("@", True),
        ("mail@x", False),
        ("why", False),
        ("/a\nb", False),
    ],
)
def test_a_menu_opens_for_commands_and_files(left: str, wanted: bool):
    assert wants_completions(left) is wanted


def test_completions_come_from_the_conversation():
    chat = fake_chat.FakeChat(Nobody(), lambda text: None)
    found = list(Completing(lambda: chat).get_completions(Document("/he"), CompleteEvent()))
    assert [(each.text, each.start_position) for each in found] == [("/help", -3)]
    assert list(Completing(lambda: None).get_completions(Document("/he"), CompleteEvent())) == []
