"""A real HTTP server on the loopback interface that answers with what a test has written down."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """One answer: the pieces of the body are sent as they come, one transfer chunk each.

    `cut`: the connection ends without the closing chunk. `silent`: it ends before any header.
    """

    pieces: Iterable[bytes] = ()
    status: int = 200
    kind: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    cut: bool = False
    silent: bool = False


class Loopback:
    """Serves `answers` to POST requests in order and `pages` (JSON values by path) to GET requests."""

    def __init__(self, *answers: Answer, pages: Mapping[str, Any] | None = None):
        self.answers = list(answers)
        self.pages = dict(pages or {})
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.hung_up = threading.Event()
        self.url = ""

    def answer(self, request: dict[str, Any]) -> Answer:
        """Return what is answered to a POST request."""
        return self.answers.pop(0)


def events(*chunks: Any, done: bool = True) -> bytes:
    """Return the chunks as server-sent events."""
    data = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks] + ["[DONE]"] * done
    return "".join(f"data: {one}\n\n" for one in data).encode()


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return one chunk of a streamed completion."""
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def stream(*chunks: Any, **options: Any) -> Answer:
    """Return a whole, well-formed stream."""
    return Answer([events(*chunks)], **options)


def refusal(status: int, body: Any, kind: str = "application/json", **headers: str) -> Answer:
    """Return an answer that is no stream."""
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer([text.encode()], status, kind, {name.replace("_", "-"): value for name, value in headers.items()})


@contextmanager
def serving(loopback: Loopback) -> Iterator[Loopback]:
    """Serve on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits for the client's delayed acknowledgement

        def do_GET(self) -> None:
            loopback.paths.append(self.path)
            page = loopback.pages.get(self.path)
            body = json.dumps(page if page is not None else {"error": "no such page"}).encode()
            self.send_response(404 if page is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            loopback.paths.append(self.path)
            loopback.headers.append(dict(self.headers))
            loopback.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answer = loopback.answer(loopback.requests[-1])
            self.close_connection = answer.cut or answer.silent
            if answer.silent:
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Transfer-Encoding", "chunked")
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for piece in filter(None, answer.pieces):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()
                if not answer.cut:
                    self.wfile.write(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                loopback.hung_up.set()
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    loopback.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield loopback
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
