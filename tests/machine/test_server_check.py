"""What a server lacks is named, by a strict fake with a switch for each thing, and by the real llama-server."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopback import Answer, events, serving
from model_server import MODEL, Abilities, ModelServer
from qwencode.machine.doctor import Report, with_checks
from qwencode.machine.server_check import Check, check_server
from qwencode.model.choose import BUILTIN_FILE
from qwencode.settings import Places

ALL = Abilities()
NAMES = (
    "reachable",
    "model",
    "context",
    "streaming",
    "token counts",
    "thinking off",
    "thinking",
    "tool calls",
    "cache",
)
TEMPLATE = Path(__file__).parents[1] / "model" / "data" / "qwen36_chat_template.jinja"
EMPTY = Report((), "qwencode fix", "mends what fails", 0)


def checked(server: ModelServer, name: str = "") -> dict[str, Check]:
    with serving(server):
        found = list(check_server(f"{server.url}{name}", Places.of_user()))
    assert len({check.name for check in found}) == len(found)
    return {check.name: check for check in found}


def test_a_server_that_has_everything() -> None:
    server = ModelServer(ALL)
    found = checked(server)
    assert [(name, found[name].said) for name in found] == [(name, "met") for name in NAMES]
    assert len(server.requests) == 5
    assert server.most <= 512  # what it may cost
    assert with_checks(EMPTY, server.url, list(found.values())).exit_code == 0
    assert "is vLLM" in found["reachable"].text
    assert "in 3 pieces" in found["tool calls"].text


@pytest.mark.parametrize(
    ("lacking", "name", "needed", "says"),
    [
        ({"context": 8192}, "context", True, "8,192 tokens, and 32,768 .* --max-model-len"),
        ({"pieces": False}, "streaming", True, "in one piece.* proxy"),
        ({"usage": False}, "token counts", False, "no usage"),
        ({"switch": False}, "thinking off", False, "thinks where it was told not to"),
        ({"reasoning": "text"}, "thinking", False, "</think> is left in the text.* --reasoning-parser qwen3"),
        ({"reasoning": "none"}, "thinking", False, "no reasoning came"),
        ({"tools": "markup"}, "tool calls", False, "as markup in the text"),
        ({"tools": "forced"}, "tool calls", True, "only where they are forced.*--enable-auto-tool-choice"),
        ({"tools": "wrong"}, "tool calls", True, "cannot be used: .*number"),
        ({"tools": "never"}, "tool calls", True, "not even a forced one.*--tool-call-parser qwen3_coder"),
        ({"tools": "refused"}, "tool calls", True, "tools are not supported"),
        ({"cache": "none"}, "cache", False, "only 0 of .* read at every step.*--enable-prefix-caching"),
        ({"fields": False}, "request fields", False, "chat_template_kwargs, min_p, parallel_tool_calls"),
    ],
)
def test_what_is_missing_is_named(lacking: dict[str, Any], name: str, needed: bool, says: str) -> None:
    server = ModelServer(replace(ALL, **lacking))
    found = checked(server)
    assert found[name].said == "not met"
    assert found[name].stops is needed
    assert re.search(says, found[name].text), found[name].text
    entailed = {"fields": {"thinking off"}, "usage": {"cache"}, "pieces": {"thinking off", "thinking"}}
    others = {check.name for check in found.values() if check.said != "met"} - {name}
    assert others <= entailed.get(next(iter(lacking)), set())
    report = with_checks(EMPTY, server.url, list(found.values()))
    assert report.exit_code == (4 if needed else 0)
    assert (name in report.why) is needed


@pytest.mark.parametrize(
    ("lacking", "name", "says"),
    [
        ({"context": 0}, "context", "does not say"),
        ({"cache": "untold"}, "cache", "does not say .*--enable-prompt-tokens-details"),
    ],
)
def test_what_cannot_be_known_is_no_fault(lacking: dict[str, Any], name: str, says: str) -> None:
    server = ModelServer(replace(ALL, **lacking))
    found = checked(server)
    assert found[name].said == "unknown"
    assert re.search(says, found[name].text)
    assert with_checks(EMPTY, server.url, list(found.values())).exit_code == 0


def test_a_model_that_calls_nothing_by_itself_is_enough() -> None:
    assert "a forced one came" in checked(ModelServer(replace(ALL, tools="reluctant")))["tool calls"].text
    assert "in one piece" in checked(ModelServer(replace(ALL, tools="whole")))["tool calls"].text


@pytest.mark.parametrize(
    ("software", "flags"),
    [
        ("vllm", "Start it with --reasoning-parser qwen3."),
        ("sglang", "Start it with --reasoning-parser qwen3."),
        ("llamacpp", "Start it with --jinja --reasoning-format deepseek."),
        ("who knows", "llama-server: --jinja --reasoning-format deepseek; vLLM: --reasoning-parser qwen3; SGLang: "),
    ],
)
def test_the_flags_are_those_of_the_server(software: str, flags: str) -> None:
    assert flags in checked(ModelServer(replace(ALL, software=software, reasoning="text")))["thinking"].text


def test_the_model_that_was_named() -> None:
    both = replace(ALL, models=("another", MODEL))
    assert checked(ModelServer(both))["model"].text == "another, the first of 2; add #NAME to the URL for another"
    assert checked(ModelServer(both), f"#{MODEL}")["model"].text == MODEL
    missing = checked(ModelServer(ALL), "#mistake")["model"]
    assert missing.stops
    assert MODEL in missing.text
    unlisted = checked(ModelServer(replace(ALL, models=())))
    assert (unlisted["model"].said, unlisted["model"].stops) == ("not met", False)


def test_where_nothing_can_be_asked_one_sentence_says_so() -> None:
    found = checked(ModelServer(replace(ALL, key=True)))
    assert "wants an API key (401)" in found["reachable"].text
    assert list(found) == ["reachable"]  # the rest would say the same
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        (only,) = check_server(f"http://127.0.0.1:{held.getsockname()[1]}", Places.of_user())
    assert only.stops
    assert "cannot be reached" in only.text
    (only,) = check_server("http://[", Places.of_user())
    assert only.stops


ABILITIES = st.builds(
    Abilities,
    software=st.sampled_from(["vllm", "sglang", "llamacpp", "", "x"]),
    context=st.sampled_from([0, 8192, 65_536]),
    reasoning=st.sampled_from(["field", "text", "none"]),
    tools=st.sampled_from(["pieces", "whole", "markup", "forced", "reluctant", "wrong", "never", "refused"]),
    cache=st.sampled_from(["told", "untold", "none"]),
    **{name: st.booleans() for name in ("pieces", "usage", "switch", "fields")},
)


@settings(deadline=None, max_examples=25)
@given(ABILITIES)
def test_what_is_missing_is_named_in_any_company(can: Abilities) -> None:
    found = checked(ModelServer(can))
    stops = {name for name, check in found.items() if check.stops}
    assert ("context" in stops) == (can.context == 8192)
    assert ("streaming" in stops) == (not can.pieces)
    assert ("tool calls" in stops) == (can.tools in ("forced", "wrong", "never", "refused"))
    assert (found["token counts"].said == "met") == can.usage
    assert (found["cache"].said == "met") == (can.cache == "told" and can.usage)
    if can.fields and can.switch:
        assert (found["thinking"].said == "met") == (can.reasoning == "field")
        assert found["thinking off"].said == "met"


KEYS = st.sampled_from(
    [
        *("choices", "delta", "message", "content", "reasoning", "tool_calls", "function", "arguments", "name", "id"),
        *("index", "usage", "prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens", "timings"),
    ]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["</think>", "pick", "stop"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


class Babble(ModelServer):
    """Sends well-formed streams of anything."""

    def __init__(self, chunks: list[dict[str, Any]]):
        super().__init__(ALL)
        self.chunks = chunks

    def answer(self, request: dict[str, Any]) -> Answer:
        return Answer([events(*self.chunks)])


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(KEYS, ANYTHING, max_size=3), max_size=4))
def test_nothing_that_a_server_sends_breaks_the_checks(chunks: list[dict[str, Any]]) -> None:
    for check in checked(Babble(chunks)).values():
        assert check.text
        assert "\n" not in check.text


class Collected(ModelServer):
    """A proxy between that lets a reply pass when it is over."""

    def answer(self, request: dict[str, Any]) -> Answer:
        time.sleep(1.1 if len(self.requests) == 1 else 0)
        return super().answer(request)


def test_a_proxy_that_collects_a_stream() -> None:
    found = checked(Collected(ALL))
    assert "pieces came at once after 1." in found["streaming"].text
    assert not found["streaming"].stops


class Endless(ModelServer):
    """Writes on and on, until somebody hangs up."""

    def answer(self, request: dict[str, Any]) -> Answer:
        (one,) = super().answer(request).pieces
        first = one.split(b"\n\n")[0] + b"\n\n"

        def pieces() -> Iterator[bytes]:
            while True:
                yield first
                time.sleep(0.01)

        return Answer(pieces())


def test_ctrl_c_hangs_up(tmp_path: Path) -> None:
    """In a process of its own, as a user does it."""
    with serving(Endless(ALL)) as server:
        code = "from qwencode.cli import main; import sys; sys.argv[1:] = ['doctor', '--model', sys.argv[1]]; main()"
        work = subprocess.Popen(
            [sys.executable, "-c", code, server.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert work.stdout and work.stderr
        while "context" not in (line := work.stdout.readline()):
            assert line or work.poll() is None
        while not server.requests:
            time.sleep(0.01)
        work.send_signal(signal.SIGINT)
        _, said = work.communicate(timeout=20)
        assert work.returncode == 130
        assert said == "qwencode: Interrupted; the server was told to stop.\n"
        assert server.hung_up.wait(5)


@contextmanager
def llama_server(*flags: str) -> Iterator[str]:
    """Run the real one on the model of the package; skip where there is none."""
    program = shutil.which("llama-server")
    if program is None:
        pytest.skip("llama-server is not on PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [program, "-m", str(BUILTIN_FILE), "--port", str(port), "-np", "1", "-t", "1", "-c", "4096"]
    command += ["--chat-template-file", str(TEMPLATE), *flags]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 30
            while time.monotonic() < until and server.poll() is None:
                with suppress(httpx.TransportError):
                    if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                        break
                time.sleep(0.05)
            yield url
        finally:
            server.terminate()


def test_the_real_llama_server() -> None:
    """The model of the package calls something whatever it is asked, and it knows no reasoning."""
    with llama_server() as url:
        found = {check.name: check for check in check_server(url, Places.of_user())}
    said = {name: check.said for name, check in found.items()}
    assert said == {**dict.fromkeys(NAMES, "met"), "context": "not met", "thinking": "not met"}
    assert "4,096 tokens" in found["context"].text
    assert "-c 65536 -np 1" in found["context"].text


@pytest.mark.parametrize(
    ("flags", "name"), [(("--no-cache-prompt",), "cache"), (("--no-jinja",), "tool calls")], ids=["cache", "tools"]
)
def test_what_the_real_llama_server_was_told_not_to_do(flags: tuple[str, ...], name: str) -> None:
    with llama_server(*flags) as url:
        found = {check.name: check for check in check_server(url, Places.of_user())}
    assert found[name].said == "not met"
