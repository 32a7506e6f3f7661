"""`fix` over a real HTTP server on the loopback: streamed tool calls, cut where a network would cut them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_fix import GOOD, PARSER, RIGHT

from fix_ground import Ran
from loopback import Answer, Loopback, delta, events, serving
from qwencode.events import MessageAdded, ReplyFinished, VerdictReached
from qwencode.messages import Message
from qwencode.model.server import ServerModel


def answer(line: Message | str) -> Answer:
    """Stream a message in pieces of seven bytes, its arguments in fragments of nine characters."""
    if isinstance(line, str):
        chunks = [delta(content=line[at : at + 5]) for at in range(0, len(line), 5)]
        body = events(*chunks, delta("stop"))
    else:
        (asked,) = line.tool_calls
        arguments = json.dumps(asked.arguments)
        first = {"index": 0, "id": "c", "type": "function", "function": {"name": asked.name, "arguments": ""}}
        rest = [arguments[at : at + 9] for at in range(0, len(arguments), 9)]
        more = [delta(tool_calls=[{"index": 0, "function": {"arguments": piece}}]) for piece in rest]
        body = events(delta(reasoning_content="Let me see."), delta(tool_calls=[first]), *more, delta("tool_calls"))
    return Answer([body[at : at + 7] for at in range(0, len(body), 7)])


@pytest.mark.slow
def test_a_server_mends_what_search_cannot(run_fix: Callable[..., Ran], practice_copy: Callable[[str], Path]):
    root = practice_copy("quillexpr")
    with serving(Loopback(*map(answer, GOOD))) as server:
        ran = run_fix(root, ServerModel(server.url), use_search=False)
    verdict = ran.of(VerdictReached)[-1]
    assert (verdict.status, verdict.changed_files) == ("fixed", (PARSER,)), verdict.reason
    assert len(server.requests) == len(GOOD)
    for request in server.requests:
        assert request["chat_template_kwargs"]["preserve_thinking"] is True
        assert request["messages"][: len(server.requests[0]["messages"])] == server.requests[0]["messages"]
        assert request["tools"] == server.requests[0]["tools"]
    last = server.requests[-1]["messages"]
    assert [message["role"] for message in last[2:]] == ["assistant", "tool"] * 5
    assert last[2]["reasoning_content"] == "Let me see."


def test_nothing_is_asked_behind_the_users_back(run_small: Callable[..., Ran]):
    """Every request is a reply that the user sees: no titles, no summaries on the side, no warming up."""
    lines = [RIGHT[0], "Let me edit it now.", *RIGHT[1:]]
    with serving(Loopback(*map(answer, lines), pages={"/v1/models": {"data": [{"id": "m"}]}})) as server:
        ran = run_small(ServerModel(server.url), use_search=False)
    assert ran.of(VerdictReached)[-1].status == "fixed"
    replies = ran.of(ReplyFinished)
    assert len(server.requests) == len(replies) == len(lines)
    asked = [path for path in server.paths if path.endswith("/chat/completions")]
    assert len(asked) == len(replies)
    assert set(server.paths) - set(asked) <= {"/v1/models", "/props"}, "and beside that only what the server is"
    shown = [event.message for event in ran.of(MessageAdded) if event.message.role != "assistant"]
    sent = server.requests[-1]["messages"]
    assert [m["content"] for m in sent if m["role"] != "assistant"] == [m.content for m in shown]
