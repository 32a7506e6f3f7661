"""What a file's chat template writes around the texts is learned once, and is then its own output byte for byte."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import templates
from qwencode.model.dialect.template import Frames, NotLearned, Render, learned, renderer
from qwencode.model.dialect.template_worker import rendered

VALUES = {"bos_token": "<|begin|>", "eos_token": "</s>", "tools": None}


def here(template: str) -> Render:
    """Return a renderer in this process: good enough for templates that are ours."""
    return lambda conversations: rendered(template, conversations, VALUES)


def frames(name: str) -> Frames:
    return learned(here(templates.USABLE[name]))


def turns(texts: Sequence[str]) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)]


def whole(template: str, messages: Sequence[Mapping[str, str]], thinking: bool = False) -> str:
    conversation: dict[str, Any] = {"messages": messages, "add_generation_prompt": True, "enable_thinking": thinking}
    ((text, problem),) = rendered(template, [conversation], VALUES)
    assert not problem
    return text


texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(str.strip).filter(bool), max_size=7)
plain = texts.filter(lambda found: len(found) % 2 and not any("</think>" in text for text in found))


@pytest.mark.parametrize("name", templates.USABLE)
@settings(max_examples=15, deadline=None)
@given(messages=plain, system=st.sampled_from(["", "Be brief.\n\nAnd kind."]), thinking=st.booleans())
def test_the_frames_give_what_the_template_gives(name: str, messages: list[str], system: str, thinking: bool) -> None:
    if name in templates.WITHOUT_SYSTEM:
        system = ""
    conversation = [*([{"role": "system", "content": system}] if system else []), *turns(messages)]
    assert frames(name).text(conversation, thinking) == whole(templates.USABLE[name], conversation, thinking)


@pytest.mark.parametrize("name", templates.USABLE)
def test_whether_there_is_a_system_role(name: str) -> None:
    assert (frames(name).system is None) == (name in templates.WITHOUT_SYSTEM)


def test_how_a_reply_begins() -> None:
    closed = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert frames("thinking").opening == (closed, "<|im_end|>\n<|im_start|>assistant\n")
    assert frames("thinking").user_assistant == "<|im_end|>\n<|im_start|>assistant\n"
    assert {opening[-8:] for opening in frames("always thinks").opening} == {"<think>\n"}
    assert frames("inst").opening == (" [/INST]", " [/INST]")
    assert frames("inst").user_assistant == " [/INST] "
    assert frames("inst").assistant_user == "</s>[INST] "


def test_the_date_is_that_of_today() -> None:
    today = datetime.datetime.now().strftime("%d %b %Y")
    assert f"Today is {today}." in frames("dated").start


@pytest.mark.parametrize("name", templates.UNUSABLE)
def test_what_cannot_be_used_one_message_at_a_time_is_refused(name: str) -> None:
    template, words = templates.UNUSABLE[name]
    with pytest.raises(NotLearned, match=words):
        learned(here(template))


@pytest.mark.parametrize("name", templates.HOSTILE)
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hostile_template_costs_a_little_time_and_nothing_else(name: str) -> None:
    with pytest.raises(NotLearned):
        learned(renderer(templates.HOSTILE[name], "", ""))


@pytest.mark.parametrize("name", ["escape", "cycler", "include", "import", "changes", "deep"])
def test_the_sandbox_holds(name: str) -> None:
    ((text, problem),) = rendered(templates.HOSTILE[name], [{"messages": []}], VALUES)
    assert not text
    assert problem


def test_the_process_gives_the_same(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not import from the current directory."""
    (tmp_path / "jinja2.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert learned(renderer(templates.HEADERS, "<|begin|>", "</s>")) == frames("headers")
