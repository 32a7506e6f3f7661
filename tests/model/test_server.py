"""The client for OpenAI-compatible servers, against a real one on loopback, every fault included."""

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopback import Answer, Loopback, delta, events, refusal, serving, stream
from qwencode.errors import HistoryTooLong, ModelUnavailable
from qwencode.events import CallDelta, Event, Notice, PrefillProgress, TextDelta, ThinkingDelta
from qwencode.messages import Message, Reply, ToolCall, ToolSpec, Usage
from qwencode.model.openai_wire import Assembly, server_sent_events
from qwencode.model.protocol import CallRefused, Options
from qwencode.model.server import ServerModel
from replies import drive

USER = Message("user", "Go.")
TOOLS = [
    ToolSpec(
        "edit",
        "Edit.",
        {
            "type": "object",
            "properties": {"path": {"type": "string"}, "old": {"type": "string"}, "times": {"type": "integer"}},
            "required": ["path"],
        },
    ),
    ToolSpec("status", "Status.", {"type": "object", "properties": {}}),
]
STOP = delta("stop")


def run(
    loopback: Loopback,
    history: list[Message] | None = None,
    options: Options = Options(),  # noqa: B008
    tools: list[ToolSpec] = TOOLS,
    **arguments: Any,
) -> tuple[Reply, list[Event]]:
    with serving(loopback):
        model = ServerModel(loopback.url, **{"model": "m", "delays": (0.0, 0.0), **arguments})
        try:
            return drive(model.stream(history or [USER], tools, options))
        finally:
            model.close()


def tool(index: int | None = 0, id: str = "", name: str = "", arguments: Any = None) -> dict[str, Any]:
    call: dict[str, Any] = {"function": {}}
    call |= {key: value for key, value in (("index", index), ("id", id)) if value not in (None, "")}
    call["function"] |= {k: v for k, v in (("name", name), ("arguments", arguments)) if v not in (None, "")}
    return delta(tool_calls=[call])


# What is sent.


def test_the_request():
    history = [
        Message("system", "S"),
        USER,
        Message("assistant", "I edit.", "why", (ToolCall("call-1", "edit", {"path": "ä", "times": 2}),)),
        Message("tool", "done", answers="call-1"),
    ]
    loopback = Loopback(stream(delta(content="ok"), STOP))
    run(loopback, history, Options(thinking=True, thinking_budget=99, max_tokens=5, tool_choice="required", seed=3))
    (body,) = loopback.requests
    assert body["messages"] == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Go."},
        {
            "role": "assistant",
            "content": "I edit.",
            "reasoning_content": "why",
            "reasoning": "why",
            "tool_calls": [
                {
                    "id": "call-1",
                    "type": "function",
                    "function": {"name": "edit", "arguments": '{"path": "ä", "times": 2}'},
                }
            ],
        },
        {"role": "tool", "content": "done", "tool_call_id": "call-1"},
    ]
    assert body["chat_template_kwargs"] == {"enable_thinking": True, "preserve_thinking": True}
    assert [one["function"]["name"] for one in body["tools"]] == ["edit", "status"]
    wanted = {"model": "m", "stream": True, "max_tokens": 5, "tool_choice": "required", "seed": 3, "min_p": 0.0}
    wanted |= {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "thinking_budget_tokens": 99, "return_progress": True}
    assert wanted.items() <= body.items()


def test_without_thinking_and_tools():
    loopback = Loopback(stream(delta(content="ok"), STOP))
    run(loopback, tools=[])
    (body,) = loopback.requests
    assert body["chat_template_kwargs"] == {"enable_thinking": False, "preserve_thinking": True}
    assert (body["temperature"], body["top_p"]) == (0.7, 0.8)
    assert not {"tools", "tool_choice", "seed", "thinking_budget_tokens"} & body.keys()


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", "/v1/chat/completions", "/v1#named"])
def test_urls(suffix: str):
    loopback = Loopback(stream(delta(content="ok"), STOP))
    with serving(loopback):
        model = ServerModel(loopback.url.removeprefix("http://") + suffix)
        drive(model.stream([USER], [], Options()))
        model.close()
    assert loopback.paths[-1] == "/v1/chat/completions"
    assert loopback.requests[0]["model"] == ("named" if "#" in suffix else "default")


def test_the_listed_model_is_taken():
    loopback = Loopback(stream(delta(content="ok"), STOP), pages={"/v1/models": {"data": [{"id": "a"}, {"id": "b"}]}})
    run(loopback, model="")
    assert loopback.requests[0]["model"] == "a"


def test_the_key_is_sent_and_not_shown(monkeypatch: pytest.MonkeyPatch):
    loopback = Loopback(*[stream(delta(content="ok"), STOP) for _ in range(3)])
    run(loopback)
    run(loopback, api_key="secret")
    monkeypatch.setenv("QWENCODE_API_KEY", "kept")
    run(loopback)
    assert [sent.get("Authorization") for sent in loopback.headers] == [None, "Bearer secret", "Bearer kept"]
    assert "secret" not in ServerModel("http://user:secret@localhost", api_key="secret").name


@pytest.mark.parametrize("key", ["schlüssel", "sec\rret", "sec\nret", "sec\0ret", "\udcff"])
def test_a_key_that_cannot_be_sent_is_said_and_not_shown(key: str):
    with pytest.raises(ModelUnavailable, match="The API key in QWENCODE_API_KEY has characters that no key has") as no:
        ServerModel("http://localhost", api_key=key)
    assert key not in str(no.value)


def test_line_ends_around_a_key_are_no_part_of_it():
    loopback = Loopback(stream(delta(content="ok"), STOP))
    run(loopback, api_key=" secret\r\n")
    assert loopback.headers[0]["Authorization"] == "Bearer secret"


def test_half_a_character_in_a_message_is_replaced():
    loopback = Loopback(stream(delta(content="ok"), STOP))
    history = [Message("user", "a\udcff"), Message("assistant", "", "\ud83d", (ToolCall("1", "x", {"y": "\ud83d"}),))]
    run(loopback, history)
    sent = loopback.requests[0]["messages"]
    assert (sent[0]["content"], sent[1]["reasoning"]) == ("a\ufffd", "\ufffd")
    assert sent[1]["tool_calls"][0]["function"]["arguments"] == '{"y": "\ufffd"}'


@pytest.mark.parametrize(
    ("name", "value", "url", "says"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "http://192.0.2.1", "speaks SOCKS, for which `pip install socksio`"),
        ("HTTP_PROXY", "ftp://me:secret@127.0.0.1:9", "http://192.0.2.1", "cannot be used: give one like http://proxy"),
        ("HTTP_PROXY", "http://me:secret@x:port", "http://192.0.2.1", "cannot be used: give one like http://proxy"),
        ("SSL_CERT_FILE", "/none.pem", "https://localhost", "The certificates cannot be loaded (No such file"),
        ("SSL_CERT_FILE", __file__, "https://192.0.2.1", "The certificates cannot be loaded ("),
    ],
)
def test_surroundings_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str, url: str, says: str):
    for other in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(other, raising=False)
        monkeypatch.delenv(other.lower(), raising=False)
    monkeypatch.setenv(name, value)
    model = ServerModel(url)
    assert (model.context_length, model.models()) == (0, [])
    with pytest.raises(ModelUnavailable) as caught:
        drive(model.stream([USER], [], Options()))
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
    model.close()


@pytest.mark.parametrize(
    "url",
    ["ftp://localhost", "http://", "http://localhost:port", "http://[::1", "", f"http://{'a' * 64}.net", "http://a..b"],
)
def test_what_is_no_url(url: str):
    with pytest.raises(ModelUnavailable, match="is not a URL"):
        ServerModel(url)


def test_no_proxy_for_loopback(monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert run(Loopback(stream(delta(content="ok"), STOP)))[0].message.content == "ok"


# What is read.


def test_text_reasoning_usage():
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 90}}
    timings = {"cache_n": 90, "prompt_n": 10, "prompt_ms": 500.0, "predicted_n": 7, "predicted_ms": 1000.0}
    loopback = Loopback(
        stream(
            delta(role="assistant", content=None),
            {**delta(), "prompt_progress": {"total": 100, "cache": 90, "processed": 95, "time_ms": 250}},
            delta(reasoning_content="I th"),
            delta(reasoning_content="ink.\n"),
            delta(content="\n\nHel"),
            delta(content="lo\u2028you"),
            STOP,
            {"choices": [], "usage": usage, "timings": timings},
        )
    )
    reply, seen = run(loopback, options=Options(thinking=True, seed=4))
    assert reply.message == Message("assistant", "Hello\u2028you", "I think.")
    assert (reply.finish, reply.seed) == ("stop", 4)
    assert reply.usage == Usage(100, 90, 10, 7, 0.5, 1.0)
    assert seen == [
        PrefillProgress(95, 100, 90, 20.0, 0.25),
        ThinkingDelta("I th"),
        ThinkingDelta("ink."),
        TextDelta("Hel"),
        TextDelta("lo\u2028you"),
    ]


def test_reasoning_by_its_other_name_and_no_usage():
    reply, _ = run(Loopback(stream(delta(reasoning="hm"), delta(content="a"), STOP)))
    assert (reply.message.reasoning, reply.message.content) == ("hm", "a")
    assert (reply.usage.prompt, reply.usage.generated) == (0, 0)
    assert reply.usage.prefill_seconds > 0


@pytest.mark.parametrize("odd", ["NaN", "1e999", "-1e999", "1" + "0" * 400, "-3", '"12"', "[]", "null", "true"])
def test_a_count_that_is_none_counts_nothing(odd: str):
    counts = (
        f'{{"prompt_tokens": {odd}, "completion_tokens": {odd}, "prompt_tokens_details": {{"cached_tokens": {odd}}}}}'
    )
    times = f'{{"cache_n": {odd}, "prompt_n": {odd}, "prompt_ms": {odd}, "predicted_n": {odd}, "predicted_ms": {odd}}}'
    progress = f'{{"total": {odd}, "cache": {odd}, "processed": {odd}, "time_ms": {odd}}}'
    last = f'{{"usage": {counts}, "timings": {times}, "prompt_progress": {progress}}}'
    reply, seen = run(Loopback(stream(delta(content="a"), last, STOP)))
    assert reply.usage == Usage()
    assert PrefillProgress(0, 0, 0, 0.0, None) in seen


def test_an_error_that_is_null_is_none():
    chunks = [{**delta(content="ok"), "error": None}, {**STOP, "error": None}]
    assert run(Loopback(stream(*chunks)))[0].message.content == "ok"


def test_names_that_no_text_can_hold_are_mended():
    chunks = [tool(0, "\ud83d", "status\ud83d"), delta("tool_calls")]
    reply, seen = run(Loopback(stream(*chunks), pages={"/v1/models": {"data": [{"id": "m\ud83d"}]}}), model="")
    (call,) = reply.message.tool_calls
    assert (call.id, call.name) == ("\ufffd", "status\ufffd")
    assert CallDelta("status\ufffd") in seen


CALLS: dict[str, list[Any]] = {
    "fragments": [
        tool(0, "a", "edit"),
        *[tool(0, arguments=piece) for piece in ('{"pa', 'th": "x\\n', '", "times":', ' "2"}')],
        tool(1, "b", "status", "{}"),
    ],
    "whole": [tool(0, "a", "edit", '{"path": "x\\n", "times": 2}'), tool(1, "b", "status")],
    "together": [
        delta(
            tool_calls=[
                {"index": 0, "id": "a", "function": {"name": "edit", "arguments": '{"path": "x\\n", "times": 2.0}'}},
                {"index": 1, "id": "b", "function": {"name": "status", "arguments": ""}},
            ]
        )
    ],
    "no index": [
        tool(None, "a", "edit", '{"path": "x\\n",'),
        tool(None, arguments='"times": 2}'),
        tool(None, "b", "status"),
    ],
    "the same index": [tool(0, "a", "edit", '{"path": "x\\n", "times": 2}'), tool(0, "b", "status", "{}")],
    "an object": [tool(0, "a", "edit", {"path": "x\n", "times": 2}), tool(1, "b", "status", {})],
    "encoded twice": [tool(0, "a", "edit", '"{\\"path\\": \\"x\\\\n\\", \\"times\\": 2}"'), tool(1, "b", "status")],
    "name in every chunk": [
        tool(0, "a", "edit", '{"path": "x\\n", '),
        tool(0, "a", "edit", '"times": 2}'),
        tool(1, "b", "status"),
    ],
}


@pytest.mark.parametrize("name", CALLS)
def test_tool_calls(name: str):
    reply, _ = run(Loopback(stream(delta(content="Now."), *CALLS[name], delta("tool_calls"))))
    assert reply.finish == "tool_calls"
    assert reply.message.tool_calls == (ToolCall("a", "edit", {"path": "x\n", "times": 2}), ToolCall("b", "status"))


def test_missing_and_repeated_ids_become_unique():
    history = [USER, Message("assistant", tool_calls=(ToolCall("x", "status"),)), Message("tool", "ok", answers="x")]
    chunks = [tool(0, "x", "status"), tool(1, "", "status"), tool(2, "y", "status"), tool(3, "y", "status")]
    reply, _ = run(Loopback(stream(*chunks, delta("tool_calls"))), history)
    ids = [call.id for call in reply.message.tool_calls]
    assert ids == ["call-2", "call-3", "y", "call-5"]


def test_values_stream_so_that_they_can_be_checked_early():
    chunks = [
        tool(0, "a", "edit", ""),
        *[tool(0, arguments=letter) for letter in '{"old": "a\\"\\u00e9\\n", "times": 12}'],
    ]
    reply, seen = run(Loopback(stream(*chunks, delta("tool_calls"))))
    shown = [event for event in seen if isinstance(event, CallDelta)]
    assert shown[:2] == [CallDelta("edit"), CallDelta("edit", "old")]
    assert "".join(event.text for event in shown if event.parameter == "old") == 'a"é\n'
    assert shown[-2:] == [CallDelta("edit", "times"), CallDelta("edit", "times", "12")]
    assert reply.message.tool_calls[0].problem == "edit needs path. Write the whole call again with it."


@pytest.mark.parametrize(
    ("arguments", "finish", "says"),
    [
        ('{"path": ', "tool_calls", "The arguments are not valid JSON"),
        ("[1]", "tool_calls", "must be one JSON object"),
        ('{"path": "x', "length", "reached its length limit inside this call"),
        ('{"file": "x"}', "tool_calls", "edit has no parameter 'file'"),
        ('{"\\_path": "x"}', "tool_calls", "The arguments are not valid JSON"),
        (f'{{"path": "x", "times": {10**400}}}', "tool_calls", "times must be a whole number, not 1000"),
        (f'{{"path": "x", "times": "{10**400}"}}', "tool_calls", "times must be a whole number, not '1000"),
        ('{"path": "x", "times": 1e300}', "tool_calls", "times must be a whole number, not 1e+300"),
        ('{"path": "x", "times": 1e999}', "tool_calls", "The arguments are not valid JSON"),
        ('{"path": "x", "times": %s}' % ("9" * 5000), "tool_calls", "The arguments are not valid JSON"),
        ('{"path": "x", "times": %s}' % ("[" * 300 + "]" * 300), "tool_calls", "The arguments are not valid JSON"),
    ],
)
def test_a_bad_call_carries_its_problem(arguments: str, finish: str, says: str):
    reply, _ = run(Loopback(stream(tool(0, "a", "edit", arguments), delta(finish))))
    assert says in reply.message.tool_calls[0].problem
    assert reply.finish == finish


XML = "<tool_call>\n<function=edit>\n<parameter=path>\na\n</parameter>\n</function>\n</tool_call>"


@pytest.mark.parametrize(
    "chunks",
    [
        [delta(content="hm\n</think>\n\nNow.\n\n" + XML)],
        [delta(content="<think>\nhm\n</think>\n\nNow." + XML)],
        [delta(reasoning_content="hm"), delta(content="Now."), *[delta(content=letter) for letter in XML]],
        [delta(reasoning_content="hm\n" + XML), delta(content="Now.<|im_end|>")],
    ],
)
def test_a_server_that_leaves_the_markup(chunks: list[Any]):
    reply, _ = run(Loopback(stream(*chunks, STOP)))
    assert reply.message == Message("assistant", "Now.", "hm", (ToolCall("call-1", "edit", {"path": "a"}),))
    assert reply.finish == "tool_calls"


def test_a_call_that_comes_both_ways_is_made_once():
    chunks = [
        delta(content=XML + "\n<tool_call>\n</tool_call>"),
        tool(0, "a", "edit", '{"path": "a"}'),
        delta("tool_calls"),
    ]
    reply, _ = run(Loopback(stream(*chunks)))
    assert reply.message.tool_calls == (ToolCall("a", "edit", {"path": "a"}),)


def test_half_characters_are_joined_or_replaced():
    chunks = ['{"choices":[{"delta":{"content":"\\ud83d"}}]}', '{"choices":[{"delta":{"content":"\\ude00 \\ud83d."}}]}']
    reply, _ = run(Loopback(stream(*chunks, tool(0, "a", "edit", '{"path": "\\ud83d"}'), STOP)))
    assert reply.message.content == "😀 \ufffd."
    assert reply.message.tool_calls[0].arguments == {"path": "\ufffd"}


def test_unknown_fields_and_comments_are_passed_over():
    body = (
        b": ping\n\nevent: x\nid: 1\n\n" + events({"id": 1, "choices": None}, {"choices": ["x"]}, delta(odd=1)) + b"\n"
    )
    body = body.replace(b"data: [DONE]\n\n", b"") + events(delta(content="a", tool_calls=None), STOP)
    assert run(Loopback(Answer([body])))[0].message.content == "a"


def test_crlf_no_space_and_no_final_blank_line():
    body = events(delta(content="a"), STOP).replace(b"data: ", b"data:").replace(b"\n", b"\r\n").rstrip()
    assert run(Loopback(Answer([body])))[0].message.content == "a"


def test_done_without_a_finish_reason():
    reply, _ = run(Loopback(stream(delta(content="a"))))
    assert (reply.message.content, reply.finish) == ("a", "stop")


def test_no_done_after_a_finish_reason():
    assert run(Loopback(Answer([events(delta(content="a"), STOP, done=False)], cut=True)))[0].message.content == "a"


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1))
def test_how_the_network_cuts_the_bytes_never_matters(lengths: list[int]):
    chunks = [delta(reasoning_content="ä\u2028"), delta(content="日本 😀"), *CALLS["fragments"], delta("tool_calls")]
    body, pieces, position = events(*chunks), list[bytes](), 0
    for length in itertools.cycle(lengths):
        pieces.append(body[position : position + length])
        position += length
        if position >= len(body):
            break
    assert list(server_sent_events(pieces)) == list(server_sent_events([body]))
    assert len(list(server_sent_events(pieces))) == len(chunks) + 1


FIELDS = ["choices", "delta", "content", "reasoning", "tool_calls", "function", "name", "arguments", "index", "id"]
FIELDS += ["usage", "finish_reason", "timings", "prompt_progress", "total", "processed", "cache", "time_ms", "message"]
FIELDS += ["prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens", "prompt_ms"]
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["edit", "{"])
json_values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({}, optional={"choices": json_values, "usage": json_values, "timings": json_values}),
        max_size=4,
    )
)
def test_no_chunk_breaks_the_client(chunks: list[dict[str, Any]]):
    assembly = Assembly(TOOLS, 1, frozenset())
    for chunk in chunks:
        assembly.add(chunk)
    assembly.drain()
    assert assembly.reply().message.role == "assistant"


# What goes wrong.


def fails(*answers: Answer, says: str, attempts: int = 1, pages: Any = None, **arguments: Any) -> None:
    loopback = Loopback(*answers, pages=pages)
    with pytest.raises(ModelUnavailable) as caught:
        run(loopback, **arguments)
    text = str(caught.value)
    assert says in text
    assert "\n" not in text
    assert len(loopback.requests) == attempts
    assert not loopback.answers


OVERFLOW = {
    "code": 400,
    "message": "the request exceeds the available context size",
    "type": "exceed_context_size_error",
}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (refusal(401, {"error": {"message": "Invalid API Key"}}), "wants an API key (401)"),
        (refusal(403, "no"), "wants an API key (403)"),
        (refusal(404, "<html>nginx</html>", "text/html"), "has no chat completions there (404)"),
        (refusal(404, {"detail": "Not Found"}), "Give its base URL, like http://localhost:8080/v1."),
        (
            refusal(404, {"object": "error", "message": "The model `m` does not exist."}),
            "no model 'm' (404). It has: a, b.",
        ),
        (refusal(404, {"error": {"message": 'model "m" not found, try pulling it'}}), "It has: a, b."),
        (
            refusal(400, {"error": {**OVERFLOW, "n_prompt_tokens": 14429, "n_ctx": 8192}}),
            ": 14429 tokens, and it takes 8192.",
        ),
        (refusal(500, {"error": OVERFLOW}), "does not fit into the context"),
        (
            refusal(400, {"message": "This model's maximum context length is 10 tokens."}),
            "maximum context length is 10",
        ),
        (refusal(400, {"error": {"message": "bad tool"}}), "refused the request (400: bad tool)."),
        (refusal(422, {"detail": [{"loc": ["x"]}]}), "refused the request (422:"),
        (refusal(302, "", location="http://elsewhere"), "redirects elsewhere (302)"),
        (refusal(200, "<!doctype html>", "text/html; charset=utf-8"), "answered with a web page"),
        (refusal(200, {"choices": []}), "answered with application/json instead of an event stream"),
        (refusal(200, {"error": {**OVERFLOW, "n_prompt_tokens": 9, "n_ctx": 8}}), ": 9 tokens, and it takes 8."),
        (stream("{oops"), "sent a malformed stream: '{oops' is not a JSON object."),
        (stream("[1]"), "sent a malformed stream"),
        (stream('{"choices": ' + "[" * 5000 + "]" * 5000 + "}"), "sent a malformed stream"),
        (stream('{"choices": ' + "[" * 200 + "]" * 200 + "}"), "sent a malformed stream"),
        (stream('{"total": %s}' % ("9" * 5000)), "sent a malformed stream"),
        (stream(delta(content="abc"), delta("error")), "broke off the reply (error), after 3 characters."),
        (stream(delta("abort")), "broke off the reply (abort), before the first character."),
        (stream(delta(content="abc"), delta("content_filter")), "withholds the rest of the reply (content_filter)"),
        (refusal(400, {"error": {"message": "\ud83d"}}), "refused the request (400: \ufffd)."),
        (refusal(400, "ä", "text/plain; charset=base64"), "refused the request (400: ä)."),
        (
            stream(delta(content="a"), {"error": {"code": 500, "message": "out of memory"}}),
            "failed (500: out of memory).",
        ),
        (Answer([b'error: {"code": 500, "message": "boom"}\n\n']), "failed (500: boom)."),
        (Answer([events(delta(content="abc"), done=False)], cut=True), "in the middle of a reply, after 3 characters."),
        (Answer([events(delta(content="abc"), done=False)]), "in the middle of a reply, after 3 characters."),
        (
            Answer([events({**delta(), "prompt_progress": {"total": 9}}, done=False)], cut=True),
            "before the first character.",
        ),
    ],
)
def test_one_clear_sentence(answer: Answer, says: str):
    fails(answer, says=says, pages={"/v1/models": {"data": [{"id": "a"}, {"id": "b"}]}})


def test_a_history_that_does_not_fit_is_told_apart():
    for answer in (refusal(400, {"error": OVERFLOW}), refusal(200, {"error": OVERFLOW})):
        with pytest.raises(HistoryTooLong):
            run(Loopback(answer))


def test_a_wrong_key():
    fails(refusal(401, {}), says="does not accept the API key (401)", api_key="k")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (refusal(503, {"error": {"message": "Loading model"}}), "is busy (503: Loading model)."),
        (refusal(429, ""), "is busy (429)."),
        (refusal(500, {"error": "cuda"}), "failed (500: cuda)."),
        (Answer(silent=True), "dropped the connection ("),
        (Answer(cut=True), "dropped the connection ("),
        (Answer(), "sent an empty reply."),
    ],
)
def test_tries_again_only_while_nothing_was_received(answer: Answer, says: str):
    fails(answer, answer, answer, says=says, attempts=3)
    reply, seen = run(Loopback(answer, stream(delta(content="ok"), STOP)))
    assert reply.message.content == "ok"
    assert isinstance(seen[0], Notice)
    assert says in seen[0].text
    assert seen[0].level == "warning"


def test_retry_after_is_respected():
    began = time.monotonic()
    run(Loopback(refusal(503, "", retry_after="0.3"), stream(delta(content="ok"), STOP)))
    assert time.monotonic() - began >= 0.3


def test_a_strict_server_gets_only_what_it_knows():
    complaint = {"error": {"message": "Unrecognized request arguments supplied: return_progress, top_k"}}
    loopback = Loopback(refusal(400, complaint), stream(delta(content="ok"), STOP), stream(delta(content="ok"), STOP))
    with serving(loopback):
        model = ServerModel(loopback.url, "m")
        for _ in range(2):
            assert drive(model.stream([USER], [], Options()))[0].message.content == "ok"
        model.close()
    assert [{"return_progress", "top_k"} & body.keys() for body in loopback.requests[1:]] == [set(), set()]
    assert "min_p" in loopback.requests[2]


def test_nothing_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        model = ServerModel(f"http://127.0.0.1:{taken.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(
            ModelUnavailable, match=r"No server answers at http://127.0.0.1:\d+/v1 \(.*\). Is it running"
        ):
            drive(model.stream([USER], [], Options()))
        assert time.monotonic() - began < 20
        model.close()


def test_a_slow_prefill_is_waited_for():
    def slowly() -> Iterator[bytes]:
        time.sleep(0.3)
        yield events(delta(content="ok"), STOP)

    assert run(Loopback(Answer(slowly())))[0].message.content == "ok"


def test_a_refused_call_hangs_up_and_the_next_request_is_answered():
    waiting = threading.Event()

    def endless() -> Iterator[bytes]:
        yield events(tool(0, "a", "edit", '{"old": "x", "path": "'), done=False)
        while not waiting.wait(0.005):
            yield events(tool(0, arguments="more " * 2000), done=False)

    loopback = Loopback(Answer(endless()), stream(delta(content="ok"), STOP))
    with serving(loopback):
        model = ServerModel(loopback.url, "m")
        generator = model.stream([USER], TOOLS, Options())
        assert any(event == CallDelta("edit", "path") for event in generator)
        cut = Message("assistant", tool_calls=(ToolCall("c", "edit", {"old": "x"}, "no", refused=True),))
        with pytest.raises(CallRefused, match="no"):
            generator.throw(CallRefused(cut))
        assert loopback.hung_up.wait(5)
        waiting.set()
        history = [USER, cut, Message("tool", "no", answers="c")]
        assert drive(model.stream(history, TOOLS, Options()))[0].message.content == "ok"
        sent = loopback.requests[1]["messages"]
        assert sent[1]["tool_calls"][0]["function"] == {"name": "edit", "arguments": '{"old": "x"}'}
        model.close()


def test_closing_the_generator_hangs_up():
    waiting = threading.Event()

    def endless() -> Iterator[bytes]:
        while not waiting.wait(0.005):
            yield events(delta(content="more " * 2000), done=False)

    loopback = Loopback(Answer(endless()), stream(delta(content="ok"), STOP))
    with serving(loopback):
        model = ServerModel(loopback.url, "m")
        generator = model.stream([USER], [], Options())
        assert isinstance(next(generator), TextDelta)
        generator.close()
        assert loopback.hung_up.wait(5)
        assert drive(model.stream([USER], [], Options()))[0].message.content == "ok"
        waiting.set()
        model.close()
        model.close()


# What it knows of the server.

PROPS = {"default_generation_settings": {"n_ctx": 4096}}


@pytest.mark.parametrize(
    ("pages", "length"),
    [
        ({"/props": PROPS, "/v1/models": {"data": [{"id": "m", "meta": {"n_ctx": 9}}]}}, 4096),
        ({"/v1/models": {"data": [{"id": "x", "max_model_len": 5}, {"id": "m", "max_model_len": 32768}]}}, 32768),
        ({"/v1/models": {"data": [{"id": "m", "meta": {"n_ctx_train": 262144, "n_ctx": 8192}}]}}, 8192),
        ({"/v1/models": {"data": "nothing"}, "/props": [1]}, 0),
        ({}, 0),
    ],
)
def test_context_length(pages: dict[str, Any], length: int):
    loopback = Loopback(pages=pages)
    with serving(loopback):
        model = ServerModel(loopback.url, "m")
        assert (model.context_length, model.context_length) == (length, length)
        model.close()
    assert loopback.paths.count("/props") == 1


def test_context_length_is_never_fatal():
    model = ServerModel("http://127.0.0.1:9")
    assert model.context_length == 0
    assert model.name == "http://127.0.0.1:9/v1"
    model.close()


@pytest.mark.parametrize(
    ("url", "is_open"),
    [
        ("http://127.0.0.1:8080/v1", False),
        ("http://localhost:8080", False),
        ("http://[::1]:8080", False),
        ("https://models.example.com/v1", False),
        ("http://models.example.com/v1", True),
        ("http://192.168.1.5:8080/v1", True),
    ],
)
def test_what_is_sent_can_be_read_on_the_way_or_not(url: str, is_open: bool):
    assert ServerModel(url).is_open_to_readers is is_open
