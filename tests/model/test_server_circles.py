"""A server whose model goes round in circles is hung up on; one that repeats what code repeats is not."""

import json
from collections.abc import Iterator

import pytest

from loopback import Answer, Loopback, delta, events, serving, stream
from qwencode.messages import Message, Reply
from qwencode.model.protocol import Options
from qwencode.model.server import ServerModel
from replies import drive

SENTENCE = "I should look at the parser again, since the test fails there.\n"


def reply(*answers: Answer) -> tuple[Reply, Loopback]:
    with serving(Loopback(*answers)) as server:
        model = ServerModel(server.url, model="m")
        said, _ = drive(model.stream([Message("user", "Go.")], [], Options()))
        model.close()
        return said, server


@pytest.mark.parametrize("kind", ["content", "reasoning_content"])
@pytest.mark.parametrize("size", [4, 9, 200])
def test_circles_end_the_reply(kind: str, size: int):
    def endless() -> Iterator[bytes]:
        text = SENTENCE * 4_000
        for at in range(0, len(text), size):
            yield events(delta(**{kind: text[at : at + size]}), done=False)

    said, server = reply(Answer(endless()))
    assert said.finish == "repetition"
    assert 100 < len(said.message.content + said.message.reasoning) < 40_000
    assert server.hung_up.wait(5)


def test_calls_may_repeat_themselves():
    first = {"index": 0, "id": "c", "type": "function", "function": {"name": "edit", "arguments": ""}}
    table = json.dumps({"new": "    0, 0, 0, 0,\n" * 300})
    rest = [
        delta(tool_calls=[{"index": 0, "function": {"arguments": table[at : at + 9]}}])
        for at in range(0, len(table), 9)
    ]
    said, _ = reply(stream(delta(tool_calls=[first]), *rest, delta("tool_calls")))
    assert said.finish == "tool_calls"


def test_a_text_that_quotes_twice_is_whole():
    text = "".join(f"Line {n} says {n * 7}.\n" for n in range(60)) * 2
    said, _ = reply(stream(*(delta(content=text[at : at + 5]) for at in range(0, len(text), 5)), delta("stop")))
    assert said.finish == "stop" and said.message.content == text.strip()
