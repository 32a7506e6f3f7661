"""The programs and the library to compare with, each asked in its own way for the same thing."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import llama_cpp

from engine_bench.ground import Setup
from qwencode.model.llama.library import stopper

_START_SECONDS = 600


class PeerFailed(Exception):
    """A peer did not do what it was asked. The text says which and why."""


def bench_speed(setup: Setup, prompt: int, generated: int, depth: int = 0) -> float:
    """Return the tokens/s that llama-bench measures for a prompt, or for single tokens behind `depth` others."""
    fit = setup.fit
    command = [str(setup.bench), "-m", str(setup.model), "-p", str(prompt), "-n", str(generated), "-d", str(depth)]
    command += ["-t", str(fit.threads), "-b", str(fit.batch), "-ub", str(fit.batch)]
    command += ["-ngl", str(fit.gpu_layers), "-r", "1", "-o", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(json.loads(done.stdout)[0]["avg_ts"])
    except (OSError, subprocess.CalledProcessError, ValueError, LookupError) as error:
        raise PeerFailed(f"llama-bench failed: {error}") from error


def open_llama(setup: Setup) -> llama_cpp.Llama:
    """Return llama-cpp-python's own class, on the same file and run in the same way."""
    fit = setup.fit
    return llama_cpp.Llama(
        str(setup.model),
        n_gpu_layers=fit.gpu_layers,
        n_ctx=fit.context,
        n_batch=fit.batch,
        n_ubatch=fit.batch,
        n_threads=fit.threads,
        n_threads_batch=fit.threads,
        verbose=False,
    )


def llama_tokens(llama: llama_cpp.Llama, prompt: Sequence[int], count: int) -> list[tuple[int, float]]:
    """Draw `count` tokens with the values that the engine uses without thinking, each with the time when it came.

    It is done in the engine's thread: another one would have its own OpenMP threads, and slow both down.
    """

    def draw() -> list[tuple[int, float]]:
        drawn = llama.generate(list(prompt), top_k=20, top_p=0.8, min_p=0.0, temp=0.7, repeat_penalty=1.0)
        return [(token, time.perf_counter()) for _, token in zip(range(count), drawn, strict=False)]

    return stopper().run(draw)


@dataclass(frozen=True, slots=True)
class Completion:
    """What llama-server made of a prompt: the tokens that it drew, how many of the prompt it evaluated, its speeds."""

    tokens: list[int]
    evaluated: int
    timings: dict[str, Any]


class Server:
    """A llama-server on the same file, with one slot and otherwise its own defaults."""

    def __init__(self, address: str):
        self._client = httpx.Client(base_url=address, timeout=_START_SECONDS, trust_env=False)

    def ready(self) -> bool:
        """Say whether the model is loaded."""
        try:
            return self._client.get("/health").status_code == 200
        except httpx.HTTPError:
            return False

    def complete(self, prompt: Sequence[int], count: int, seed: int) -> Completion:
        """Draw `count` tokens."""
        wanted = {"prompt": list(prompt), "n_predict": count, "cache_prompt": True, "return_tokens": True}
        try:
            reply = self._client.post("/completion", json={**wanted, "ignore_eos": True, "seed": seed})
            data = reply.raise_for_status().json()
            return Completion(data["tokens"], data["timings"]["prompt_n"], data["timings"])
        except (httpx.HTTPError, ValueError, LookupError) as error:
            raise PeerFailed(f"llama-server failed: {error}") from error

    def close(self) -> None:
        """Hang up."""
        self._client.close()


@contextlib.contextmanager
def running_server(setup: Setup) -> Generator[Server]:
    """Start the server and stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fit = setup.fit
    command = [str(setup.server), "-m", str(setup.model), "--host", "127.0.0.1", "--port", str(port), "-np", "1"]
    command += [
        "-c",
        str(fit.context),
        "-t",
        str(fit.threads),
        "-b",
        str(fit.batch),
        "-ub",
        str(fit.batch),
    ]
    command += ["-ngl", str(fit.gpu_layers)]
    log = setup.scratch / "llama-server.log"
    with log.open("wb") as out, _process(command, out) as process:
        server = Server(f"http://127.0.0.1:{port}")
        until = time.monotonic() + _START_SECONDS
        while not server.ready():
            if process.poll() is not None or time.monotonic() > until:
                raise PeerFailed(f"llama-server did not start: {_last_line(log)}")
            time.sleep(0.1)
        try:
            yield server
        finally:
            server.close()


@contextlib.contextmanager
def _process(command: list[str], out: Any) -> Generator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    except OSError as error:
        raise PeerFailed(f"llama-server cannot be started: {error}") from error
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _last_line(log: Path) -> str:
    return (log.read_text(encoding="utf-8", errors="replace").splitlines() or ["no output"])[-1]


def versions() -> dict[str, str]:
    """Return what was compared."""
    return {"python": sys.version.split()[0], "llama-cpp-python": llama_cpp.__version__}
