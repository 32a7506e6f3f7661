"""A model behind an OpenAI-compatible endpoint: llama-server, vLLM, SGLang, LM Studio, Ollama."""

import ipaddress
import os
import re
import socket
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx

from qwencode.errors import HistoryTooLong, ModelUnavailable
from qwencode.events import Event, Notice, TextDelta, ThinkingDelta
from qwencode.messages import Message, Reply, ToolSpec
from qwencode.model import connection
from qwencode.model.openai_wire import (
    Assembly,
    count_of,
    declare,
    mapping,
    mappings,
    parse_chunk,
    server_sent_events,
    text_of,
    to_wire,
)
from qwencode.model.protocol import Options
from qwencode.model.repetition import Repetition
from qwencode.model.sampling import sampling_for

_TRY_AGAIN = (429, 500, 502, 503, 504)
_NOT_STANDARD = (
    "chat_template_kwargs",
    "return_progress",
    "thinking_budget_tokens",
    "reasoning_budget_tokens",
    "top_k",
    "min_p",
    "stream_options",
    "parallel_tool_calls",
)
_TOO_LONG = re.compile(r"context.{0,20}(size|length|window)|maximum context|too many tokens|prompt is too long", re.I)
_BROKEN_OFF = ("error", "abort", "content_filter")  # reasons to finish that no whole reply has
_NO_MODEL = re.compile(
    r"model.{0,80}(not found|not exist|not loaded|unknown|invalid)|(no such|unknown|invalid) model", re.I
)


class ServerModel:
    """Continues a history on a server, given its base URL with or without `/v1`.

    An empty `model` takes the one after `#` in the URL, else the first that the server lists; an empty `api_key` the
    environment's QWENCODE_API_KEY. `delays` are the seconds between attempts; a request is sent again only when nothing
    of its reply was received, and never when the connection is refused.

    A thinking budget is passed on, but only llama-server is known to keep it. `patience`: seconds that may pass without
    a byte, None: any, since a long prompt takes minutes. `watch` is shown every chunk as the server sent it.
    """

    def __init__(
        self,
        url: str,
        model: str = "",
        api_key: str = "",
        delays: Sequence[float] = (0.5, 2.0, 5.0),
        patience: float | None = None,
        watch: Callable[[Mapping[str, Any]], None] | None = None,
    ):
        self._base, named = _base_url(url)
        self._patience, self._watch = patience, watch
        self._model, self._delays = model or named, delays
        self._api_key = (api_key or os.environ.get("QWENCODE_API_KEY", "")).strip()
        if not connection.can_be_sent(self._api_key):
            raise ModelUnavailable("The API key in QWENCODE_API_KEY has characters that no key has. Set it again.")
        self._client: httpx.Client | None = None
        self._context_length: int | None = None
        self._refused_fields: set[str] = set()

    @property
    def name(self) -> str:
        place = self._base.copy_with(userinfo=b"")
        return f"{self._model} at {place}" if self._model else str(place)

    @property
    def context_length(self) -> int:
        """What the server says about it, asked once; 0 when it says nothing."""
        if self._context_length is None:
            self._context_length = self._ask_context_length()
        return self._context_length

    @property
    def is_open_to_readers(self) -> bool:
        """Whether what is sent, code among it, can be read on the way: it leaves this machine without encryption."""
        return self._base.scheme == "http" and not _is_loopback(self._base.host)

    @property
    def refused_fields(self) -> frozenset[str]:
        """Fields of requests that the server does not take, so that they are sent no more."""
        return frozenset(self._refused_fields)

    def models(self) -> list[str]:
        """Return the models that the server lists; none when it does not answer that."""
        return self._models()

    def software(self) -> str:
        """Return what the server calls itself in its list of models, like `llamacpp` or `vllm`; '' when it does not."""
        listed = mappings(self._get(self._url("models")).get("data"))
        return next((text_of(model["owned_by"]) for model in listed if model.get("owned_by")), "")

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        """Continue the history. Raises ModelUnavailable with one sentence for whatever the server does wrong."""
        body = self._request(history, tools, options)
        calls = [call.id for message in history for call in message.tool_calls]
        attempt = 0
        while True:
            assembly = Assembly(tools, len(calls) + 1, frozenset(calls))
            try:
                reply = yield from self._converse(body, assembly)
                return Reply(reply.message, reply.finish, reply.usage, options.seed)
            except _TryAgain as trouble:
                if trouble.without:
                    self._refused_fields |= trouble.without
                    body = {key: value for key, value in body.items() if key not in trouble.without}
                    continue
                if attempt == len(self._delays):
                    raise ModelUnavailable(str(trouble)) from trouble
                wait = max(self._delays[attempt], trouble.wait)
                attempt += 1
                yield Notice(f"{trouble} Trying again in {wait:g} s.", "warning")
                time.sleep(wait)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _request(self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options) -> dict[str, Any]:
        if not self._model:
            self._model = next(iter(self._models()), "")
        sampling = sampling_for(options.thinking)
        body: dict[str, Any] = {
            "model": self._model or "default",
            "messages": [to_wire(message) for message in history],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": options.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "presence_penalty": sampling.presence_penalty,
            "chat_template_kwargs": {"enable_thinking": options.thinking, "preserve_thinking": True},
            "return_progress": True,
        }
        if tools:
            body |= {"tools": [declare(tool) for tool in tools], "tool_choice": options.tool_choice}
            body["parallel_tool_calls"] = True
        if options.seed is not None:
            body["seed"] = options.seed
        if options.thinking and options.thinking_budget:  # the name differs between versions of llama-server
            body["thinking_budget_tokens"] = body["reasoning_budget_tokens"] = options.thinking_budget
        return {key: value for key, value in body.items() if key not in self._refused_fields}

    def _converse(self, body: Mapping[str, Any], assembly: Assembly) -> Generator[Event, None, Reply]:
        place, received = self._base.copy_with(userinfo=b""), False
        circles = {ThinkingDelta: Repetition(), TextDelta: Repetition()}
        try:
            with self._open().stream("POST", self._url("chat/completions"), json=dict(body)) as response:
                self._check(response, body)
                for data in server_sent_events(response.iter_bytes()):
                    received = True
                    if data.strip() == "[DONE]":
                        assembly.finish_reason = assembly.finish_reason or "stop"
                        break
                    chunk = parse_chunk(data, f"The server at {place}")
                    if chunk.get("error"):
                        raise ModelUnavailable(self._refusal(200, chunk))
                    if self._watch:
                        self._watch(chunk)
                    for event in assembly.add(chunk):
                        if isinstance(event, ThinkingDelta | TextDelta):
                            circles[type(event)].read(event.text)
                        yield event
                    if assembly.finish_reason in _BROKEN_OFF:
                        raise ModelUnavailable(_dropped(str(place), assembly))
                    if any(each.found for each in circles.values()):  # a server would let it go on to the limit
                        assembly.finish_reason = "repetition"
                        break
        except httpx.ConnectError as error:
            raise ModelUnavailable(f"No server answers at {place} ({_reason(error)}). Is it running there?") from error
        except httpx.ConnectTimeout as error:
            raise ModelUnavailable(f"The server at {place} does not answer. Is the address right?") from error
        except httpx.ReadTimeout as error:
            raise ModelUnavailable(f"The server at {place} said nothing for {self._patience:g} seconds.") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            if assembly.finish_reason:
                return (yield from _finish(assembly))
            if not received:
                raise _TryAgain(f"The server at {place} dropped the connection ({_reason(error)}).") from error
            raise ModelUnavailable(_dropped(str(place), assembly)) from error
        if not assembly.finish_reason:
            if not received:
                raise _TryAgain(f"The server at {place} sent an empty reply.")
            raise ModelUnavailable(_dropped(str(place), assembly))
        return (yield from _finish(assembly))

    def _open(self) -> httpx.Client:
        """The connection pool, made at first use."""
        if self._client is None:
            self._client = connection.client(self._made)
        return self._client

    def _made(self) -> httpx.Client:
        host, secure = self._base.host, self._base.scheme == "https"
        remote = not _is_loopback(host)
        keep_alive = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]  # notices a machine that is gone
        # Without TLS there is nothing to verify, and loading the certificates takes longer than the rest.
        direct = httpx.HTTPTransport(verify=secure, socket_options=keep_alive)
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        return httpx.Client(
            headers={**headers, "Accept": "text/event-stream, application/json"},
            timeout=httpx.Timeout(30.0, connect=10.0, read=self._patience),
            verify=secure,
            trust_env=remote,
            transport=None if remote and getproxies() and not proxy_bypass(host) else direct,
        )

    def _url(self, path: str) -> str:
        return f"{str(self._base).rstrip('/')}/{path}"

    def _check(self, response: httpx.Response, body: Mapping[str, Any]) -> None:
        """Raise what a response that is not the start of an event stream means."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code == 200 and kind in ("text/event-stream", ""):
            return
        place, text = self._base.copy_with(userinfo=b""), _read(response)
        content = _json(text)
        if response.status_code == 200 and not content.get("error"):
            what = "a web page" if "html" in kind else f"{kind} instead of an event stream"
            raise ModelUnavailable(
                f"The server at {place} answered with {what}: it is no OpenAI-compatible model server, or the path is "
                "wrong. Give its base URL, like http://localhost:8080/v1."
            )
        refusal = self._refusal(response.status_code, content or {"error": text[:200].strip()})
        named = {key for key in _NOT_STANDARD if key in body and key in text}
        if response.status_code in (400, 422) and named and not _TOO_LONG.search(text):
            raise _TryAgain(refusal, without=frozenset(named))
        if response.status_code in _TRY_AGAIN and not _TOO_LONG.search(text):
            raise _TryAgain(refusal, wait=_seconds(response.headers.get("retry-after", "")))
        raise ModelUnavailable(refusal)

    def _refusal(self, status: int, content: Mapping[str, Any]) -> str:
        """Say in a sentence why the server refused, from its status and its error object.

        Raises HistoryTooLong where that is the reason.
        """
        place = self._base.copy_with(userinfo=b"")
        error = mapping(content.get("error")) or content
        said = error.get("message") or error.get("error") or error.get("detail") or ""
        message = " ".join(text_of(said).split())[:300].rstrip(".")
        status = error["code"] if status == 200 and isinstance(error.get("code"), int) else status
        if status in (401, 403):
            what = "does not accept the API key" if self._api_key else "wants an API key"
            return f"The server at {place} {what} ({status}). Give the right one in QWENCODE_API_KEY."
        if error.get("type") == "exceed_context_size_error" or _TOO_LONG.search(message):
            tokens, limit = count_of(error.get("n_prompt_tokens")), count_of(error.get("n_ctx"))
            counted = f": {tokens} tokens, and it takes {limit}" if tokens and limit else f" ({message})"
            raise HistoryTooLong(
                f"The history does not fit into the context of the server at {place}{counted}. Give it a larger one."
            )
        if status in (400, 404) and _NO_MODEL.search(message):
            listed = ", ".join(self._models()) or "none that it lists"
            return f"The server at {place} has no model {self._model!r} ({status}). It has: {listed}."
        if status in (404, 405):
            return (
                f"The server at {place} has no chat completions there ({status}): it is no OpenAI-compatible model "
                "server, or the path is wrong. Give its base URL, like http://localhost:8080/v1."
            )
        if 300 <= status < 400:
            return f"The server at {place} redirects elsewhere ({status}). Give the URL that it redirects to."
        if status in (429, 503):
            return f"The server at {place} is busy ({status}{': ' + message if message else ''})."
        verb = "failed" if status >= 500 or status == 200 else "refused the request"
        return f"The server at {place} {verb} ({status}{': ' + message if message else ''})."

    def _models(self) -> list[str]:
        listed = mappings(self._get(self._url("models")).get("data"))
        return [text_of(model["id"]) for model in listed if model.get("id")]

    def _ask_context_length(self) -> int:
        root = str(self._base).rstrip("/").removesuffix("/v1")
        settings = mapping(self._get(f"{root}/props").get("default_generation_settings"))
        if length := count_of(settings.get("n_ctx")):
            return length
        for model in mappings(self._get(self._url("models")).get("data")):
            if self._model in ("", model.get("id")):
                known = {**mapping(model.get("meta")), **model}
                for key in ("n_ctx", "max_model_len", "loaded_context_length", "context_length", "context_window"):
                    if length := count_of(known.get(key)):
                        return length
        return 0

    def _get(self, url: str) -> Mapping[str, Any]:
        """Ask for something that is good to know. Empty when there is no answer."""
        try:
            response = self._open().get(url, timeout=5.0)
        except (httpx.HTTPError, ModelUnavailable):
            return {}
        return _json(_read(response)) if response.status_code == 200 else {}


class _TryAgain(Exception):
    """Nothing was received, and another attempt may do better: after `wait` seconds, or `without` some fields."""

    def __init__(self, text: str, wait: float = 0.0, without: frozenset[str] = frozenset()):
        super().__init__(text)
        self.wait, self.without = wait, without


def _finish(assembly: Assembly) -> Generator[Event, None, Reply]:
    yield from assembly.drain()
    return assembly.reply()


def _base_url(url: str) -> tuple[httpx.URL, str]:
    """Return the URL under which `chat/completions` lies, and the name of a model after `#`."""
    text = url.strip() if "://" in url else f"http://{url.strip()}"
    try:
        parsed = httpx.URL(text)
        parsed.raw_host.decode("ascii").encode("idna")  # as it is looked up: a part may have 63 characters
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        raise ModelUnavailable(f"{url!r} is not a URL. Give one like http://localhost:8080/v1.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ModelUnavailable(f"{url!r} is not a URL of a server. Give one like http://localhost:8080/v1.")
    path = parsed.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/models")
    if not re.search(r"/v\d+\w*$", path):
        path += "/v1"
    return parsed.copy_with(path=path, query=None, fragment=None), parsed.fragment


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _read(response: httpx.Response) -> str:
    try:
        response.read()
    except httpx.HTTPError:
        return ""
    return response.content.decode("utf-8", "replace")


def _json(text: str) -> Mapping[str, Any]:
    try:
        return mapping(parse_chunk(text, ""))
    except ModelUnavailable:
        return {}


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _dropped(place: str, assembly: Assembly) -> str:
    got = f"after {assembly.received} characters" if assembly.received else "before the first character"
    if assembly.finish_reason == "content_filter":
        return f"The server at {place} withholds the rest of the reply (content_filter), {got}. Ask in other words."
    if assembly.finish_reason:
        return f"The server at {place} broke off the reply ({assembly.finish_reason}), {got}. Its log may say why."
    return f"The server at {place} dropped the connection in the middle of a reply, {got}. Its log may say why."


def _seconds(header: str) -> float:
    return min(float(header), 30.0) if re.fullmatch(r"\d+(\.\d+)?", header.strip()) else 0.0
