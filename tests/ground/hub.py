"""A hub on the loopback interface that speaks the part of the protocol that a download uses, with all its accidents.

`HEAD` and `GET` of `/<owner>/<repository>/resolve/<revision>/<file>` answer with a redirect to a store under `/store/`,
as the real one does for large files; the store knows ranges.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What is served, and what goes wrong.

    `cuts`: after so many bytes of the body the connection breaks, one for each answer of the store. `statuses`: answers
    of the store instead of its own, and `head_statuses` of the hub; each is used once. `lies`: the checksum that the
    hub tells. `ranges`: whether the store knows them. `slow`: bytes after which an answer waits for `go`.
    """

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    cuts: list[int] = field(default_factory=list[int])
    statuses: list[int] = field(default_factory=list[int])
    head_statuses: list[int] = field(default_factory=list[int])
    retry_after: str = ""
    lies: str = ""
    etag: str = ""
    ranges: bool = True
    moved: bool = False
    no_hub: bool = False
    slow: int = -1
    code: str = "EntryNotFound"
    go: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    authorized: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])
    url: str = ""
    store: str = ""

    @property
    def fetched(self) -> list[str]:
        """The ranges that the store was asked for, '' for all."""
        return [span for method, path, span in self.requests if method == "GET" and path.startswith("/store/")]


@contextmanager
def serving_hub(**options: Any) -> Iterator[Hub]:
    """Serve until the block ends."""
    hub = Hub(**options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits for the client's delayed acknowledgement

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            hub.requests.append((self.command, self.path, self.headers.get("Range", "")))
            hub.authorized.append((self.path, "Authorization" in self.headers))
            (self._serve if self.path.startswith("/store/") else self._resolve)()

        def _resolve(self) -> None:
            if self.command == "HEAD" and hub.head_statuses:
                return self._empty(hub.head_statuses.pop(0), **self._pause())
            if hub.moved and not self.path.startswith("/new-"):
                return self._empty(307, Location=f"/new-{self.path[1:]}")
            repository, _, rest = self.path.removeprefix("/new-").strip("/").partition("/resolve/")
            name = f"{repository}/{rest.partition('/')[2]}"
            if name not in hub.files:
                return self._empty(404, **{"X-Error-Code": hub.code, "X-Repo-Commit": COMMIT})
            if hub.no_hub:
                return self._empty(200)
            data = hub.files[name]
            tag = hub.etag or f'"{hub.lies or hashlib.sha256(data).hexdigest()}"'
            about = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(data)), "X-Linked-Etag": tag}
            return self._empty(302, Location=f"{hub.store}/store/{name}", **about)

        def _serve(self) -> None:
            if hub.statuses:
                return self._empty(hub.statuses.pop(0), **self._pause())
            data = hub.files[self.path.removeprefix("/store/")]
            span = self.headers.get("Range", "")
            begin, _, end = (span if hub.ranges else "").removeprefix("bytes=").partition("-")
            first, last = int(begin or 0), int(end or len(data) - 1)
            body = data[first : last + 1]
            self.send_response(206 if span and hub.ranges else 200)
            self.send_header("Content-Length", str(len(body)))
            if span and hub.ranges:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            self.end_headers()
            cut = hub.cuts.pop(0) if hub.cuts else len(body)
            try:
                if 0 <= hub.slow < len(body):
                    self.wfile.write(body[: hub.slow])
                    self.wfile.flush()
                    hub.reached.set()
                    hub.go.wait(20)
                    body = body[hub.slow :]
                self.wfile.write(body[:cut])
            except (BrokenPipeError, ConnectionResetError):
                cut = -1
            self.close_connection = cut < len(body)
            return None

        def _pause(self) -> dict[str, str]:
            return {"Retry-After": hub.retry_after} if hub.retry_after else {}

        def _empty(self, status: int, **headers: str) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": "0", **headers}.items():
                self.send_header(key, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]  # another port, another origin
    hub.url, hub.store = (f"http://{server.server_address[0]}:{server.server_port}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}) for server in servers]
    for server, thread in zip(servers, threads, strict=True):
        server.daemon_threads = True
        thread.start()
    try:
        yield hub
    finally:
        hub.go.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
