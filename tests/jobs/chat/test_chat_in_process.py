"""A conversation with the real llama.cpp on random weights: going back reads nothing of what is kept."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from chat_ground import Held, hold
from qwencode.events import CacheMissed, Notice, PrefillProgress, TextDelta, ThinkingDelta, TurnEnded
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.model import LlamaModel
from qwencode.sessions import kept_folder, remove
from qwencode.settings import Settings

OPENING = len("<|im_start|>assistant\n<think>\n\n</think>\n\n")
"""Tokens at most, a byte each, of what opens a reply and is evaluated with it."""


@pytest.fixture(params=["tiny", pytest.param("tiny_llama", marks=pytest.mark.slow)])
def file(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def opened(file: Path) -> LlamaModel:
    """Open a model that never ends a reply by itself: random weights would, now and then at the first word."""
    model = LlamaModel(file, Fit(context=16_384, threads=1), string_limit=24)
    model._banned = np.array([*model._banned, *model._stops], np.int32)
    return model


@pytest.fixture
def held(repository: Path, own_directories: Path, file: Path) -> Iterator[Held]:
    model = opened(file)
    settings = Settings(think="never", max_steps=1, mode="plan")
    found = hold(repository, own_directories, model=model, settings=settings)
    yield found
    found.chat.close()


def short(held: Held, line: str) -> None:
    """Say something, and stop the reply after a few words: it would go on to the limit."""
    seen = 0

    def enough(event: object) -> bool:
        nonlocal seen
        seen += isinstance(event, TextDelta | ThinkingDelta)
        return seen == 5

    held.say(line, stop_at=enough)
    assert held.of(TurnEnded)[-1].reason == "interrupted"


def evaluated(held: Held, line: str) -> int:
    """Say something and return the tokens that were read for it, by the progress that was shown."""
    since = len(held.events)
    short(held, line)
    progress = [event for event in held.events[since:] if isinstance(event, PrefillProgress)]
    assert not [event for event in held.events[since:] if isinstance(event, CacheMissed)]
    return progress[-1].total - progress[0].cached if progress else 0


def test_retry_and_rewind_read_nothing_of_what_is_kept(held: Held):
    first = evaluated(held, "A first question, of some length, so that reading it again would be seen.")
    assert first < 200, "the system prompt and the tools were read while the conversation was opened"
    second = evaluated(held, "And a second one, which is as long as the first or longer, for the same reason.")
    assert evaluated(held, "/retry") <= OPENING
    assert evaluated(held, "/retry think") <= OPENING
    held.say("/rewind 2")
    assert evaluated(held, "And a second one, which is as long as the first or longer, for the same reason.") <= second
    held.say("/rewind 1")
    assert evaluated(held, "A first question, of some length, so that reading it again would be seen.") <= first


def test_half_a_reply_is_not_read_again(held: Held):
    short(held, "A question.")
    half = held.talked[-1][1]
    assert held.talked[-1][0] == "assistant" and half
    said = "Go on."
    note = "(The reply before this was interrupted by the user.)"
    assert evaluated(held, said) <= len(note + said) + 4 * OPENING


@pytest.mark.slow
def test_resumed_it_is_read_once(held: Held, repository: Path, own_directories: Path, file: Path):
    short(held, "A question.")
    path = held.chat.recording.path
    held.chat.close()
    model = opened(file)
    settings = Settings(think="never", max_steps=1, mode="plan")
    again = hold(repository, own_directories, model=model, settings=settings, resume=path)
    try:
        assert again.talked == held.talked
        assert evaluated(again, "Go on.") <= 60 + 4 * OPENING, "all else was read behind the prompt"
    finally:
        again.chat.close()


def test_a_conversation_that_was_kept_goes_on_without_reading(
    held: Held, repository: Path, own_directories: Path, file: Path
):
    held.say("/keep")
    assert "nothing to keep" in held.of(Notice)[-1].text
    short(held, "A question, of some length, so that reading it again would be seen.")
    held.say("/keep")
    assert held.of(Notice)[-1].text.startswith("Kept: ")
    short(held, "One more.")
    path = held.chat.recording.path
    assert path is not None
    held.chat.close()
    model = opened(file)
    settings = Settings(think="never", max_steps=1, mode="plan")
    again = hold(repository, own_directories, model=model, settings=settings, resume=path)
    assert "are not read again" in " ".join(notice.text for notice in again.of(Notice))
    assert not again.of(PrefillProgress)
    short(again, "And so on.")
    again.chat.close()
    remove(path)
    assert not kept_folder(path).exists()


def test_what_is_too_long_is_shortened_and_can_be_taken_back(held: Held):
    most = (16_384 - held.chat.status.tokens) // 4
    for number in range(4):
        short(held, f"{number} " * (most // 2))
    notices = held.notices()
    assert "The conversation is too long to be summed up" in notices
    assert held.talked[-1][0] == "assistant" and held.talked[-1][1]
    assert any("No summary could be written" in text for _, text in held.talked)
    held.say("/undo")
    assert [text.strip()[-1] for role, text in held.talked if role == "user"] == ["0", "1", "2"]
