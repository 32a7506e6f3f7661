"""A reply that is stopped inside a call: the model is usable at once, and reads nothing of it again."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from conversation import EDIT, SHORT, START
from qwencode.events import CacheMissed, CallDelta, Event
from qwencode.messages import Message, Reply, ToolCall
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import CallRefused, Options
from replies import drive

PROBLEM = "old_string is not in a.py."


@pytest.fixture(params=[0, 6], ids=["no drafts", "drafts"])
def drafting(tiny: Path, request: pytest.FixtureRequest) -> Iterator[LlamaModel]:
    model = LlamaModel(tiny, Fit(context=4096, threads=1, batch=64, draft_tokens=request.param), string_limit=40)
    yield model
    model.close()


def refused(stream: Generator[Event, None, Reply], parameters: int) -> Reply:
    """Throw at the event that begins the n-th parameter, as who watches a reply does. The message is made up."""
    for event in stream:
        if isinstance(event, CallDelta) and event.parameter and not event.text:
            parameters -= 1
            if not parameters:
                break
    cut = ToolCall("call-1", "edit", {"file_path": "a.py"}, PROBLEM, refused=True)
    with pytest.raises(StopIteration) as end:
        stream.throw(CallRefused(Message("assistant", tool_calls=(cut,))))
    return end.value.value


@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize("parameters", [1, 3])
def test_nothing_is_read_again(drafting: LlamaModel, parameters: int, thinking: bool):
    options = Options(thinking=thinking, thinking_budget=24, max_tokens=400, seed=5, tool_choice="required")
    reply = refused(drafting.stream(START, [EDIT], options), parameters)
    assert reply.finish == "refused"
    assert reply.seed == 5
    assert reply.usage.generated > 0
    history = [*START, reply.message, Message("tool", PROBLEM, answers="call-1")]
    after, events = drive(drafting.stream(history, [EDIT], SHORT))
    assert not [event for event in events if isinstance(event, CacheMissed)]
    again = reply.usage.prompt + reply.usage.generated - after.usage.cached
    assert again <= 1, "at most the last token, which was drawn and never evaluated"
    text = "".join(drafting._engine.piece(token).decode(errors="replace") for token in drafting._live.tokens)
    answered = text.index(f"<tool_response>\n{PROBLEM}")
    assert (
        text[:answered].rstrip().endswith("</parameter>\n</function>\n</tool_call>\nuser")
    )  # control tokens have no text


def test_what_comes_next_is_what_it_would_be_without_the_cache(smooth: Path):
    options = Options(max_tokens=300, seed=3, tool_choice="required")
    model = LlamaModel(smooth, Fit(context=4096, threads=1, batch=64), string_limit=20)
    reply = refused(model.stream(START, [EDIT], options), 2)
    history = [*START, reply.message, Message("tool", PROBLEM, answers="call-1")]
    after, _ = drive(model.stream(history, [EDIT], options))
    model._live.align([])
    again, _ = drive(model.stream(history, [EDIT], options))
    assert (after.message, again.usage.cached) == (again.message, 0)
    model.close()
