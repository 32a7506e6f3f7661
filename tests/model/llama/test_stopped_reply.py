"""A reply that the user stops: what there is of it stays in memory, and nothing is read of it again."""

import gc
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from conversation import EDIT, SHORT, START
from qwencode.events import CacheMissed, CallDelta, TextDelta, ThinkingDelta
from qwencode.messages import Message, Reply
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options, ReplyInterrupted, Stopped
from replies import drive


@pytest.fixture(params=[0, 6], ids=["no drafts", "drafts"])
def drafting(tiny: Path, request: pytest.FixtureRequest) -> Iterator[LlamaModel]:
    model = LlamaModel(tiny, Fit(context=4096, threads=1, batch=64, draft_tokens=request.param), string_limit=40)
    yield model
    model.close()


def goes_on(model: LlamaModel, message: Message, prompt: int, generated: int) -> None:
    """Check that a history with the message is read from where the model has stopped."""
    answers = [Message("tool", "no", answers=call.id) for call in message.tool_calls]
    after, events = drive(model.stream([*START, message, *answers, Message("user", "Go on.")], [EDIT], SHORT))
    assert not [event for event in events if isinstance(event, CacheMissed)]
    assert prompt + generated - after.usage.cached <= 1, "at most the last token, which was drawn and never evaluated"


def stopped(model: LlamaModel, options: Options, deltas: int) -> Reply:
    stream, seen = model.stream(START, [EDIT], options), 0
    for event in stream:
        seen += isinstance(event, TextDelta | ThinkingDelta | CallDelta)
        if seen == deltas:
            break
    with pytest.raises(StopIteration) as end:
        stream.throw(Stopped())
    return end.value.value


@pytest.mark.parametrize("deltas", [1, 7])
@pytest.mark.parametrize(
    "options",
    [
        Options(max_tokens=60, seed=5),
        Options(thinking=True, thinking_budget=200, max_tokens=60, seed=5),
        Options(max_tokens=300, seed=5, tool_choice="required"),
    ],
    ids=["text", "thinking", "call"],
)
def test_stopped_at_an_event(drafting: LlamaModel, options: Options, deltas: int):
    reply = stopped(drafting, options, deltas)
    assert reply.finish == "interrupted"
    assert reply.message.content or reply.message.reasoning or reply.message.tool_calls
    goes_on(drafting, reply.message, reply.usage.prompt, reply.usage.generated)


@pytest.mark.parametrize("seconds", [0.05, 0.2])
def test_interrupted_at_work(drafting: LlamaModel, seconds: float):
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    list(drafting.read(START, [EDIT]))
    before = signal.signal(signal.SIGALRM, interrupt)
    gc.disable()  # hypothesis has itself called by it, and Python ignores what is raised there
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with pytest.raises(ReplyInterrupted) as stop:
            drive(drafting.stream(START, [EDIT], Options(max_tokens=3_500, seed=5)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.enable()
        signal.signal(signal.SIGALRM, before)
    guesses = drafting.fit.draft_tokens  # that were being checked, and are no part of the message
    goes_on(drafting, stop.value.message, 0, len(drafting._live.tokens) - guesses)


def test_interrupted_while_it_reads(drafting: LlamaModel):
    stream = drafting.stream(START, [EDIT], SHORT)
    next(stream)
    with pytest.raises(Stopped):
        stream.throw(Stopped())
    reply, _ = drive(drafting.stream(START, [EDIT], SHORT))
    assert reply.finish in ("stop", "length", "tool_calls")


def test_a_history_is_read_before_a_reply_is_wanted(drafting: LlamaModel):
    for _ in drafting.read(START, [EDIT]):
        pass
    reply, events = drive(drafting.stream(START, [EDIT], SHORT))
    opening = len("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert reply.usage.evaluated <= opening
    assert not [event for event in events if isinstance(event, CacheMissed)]
