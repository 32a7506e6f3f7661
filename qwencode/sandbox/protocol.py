"""The sandbox seam: run what cannot be trusted, and always come back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol


@dataclass(frozen=True, slots=True)
class Limits:
    """What one command may use. A limit that is hit ends the command and all its descendants."""

    seconds: float = 120.0
    output_bytes: int = 4_000_000
    memory_bytes: int = 4 << 30
    """Address space of each process; 0: unlimited (runtimes such as node and go reserve far more than they use)."""
    processes: int = 512
    file_bytes: int = 2 << 30
    """Size of each file that is written."""


@dataclass(frozen=True, slots=True)
class Completed:
    """What came of a command. `output` is stdout and stderr in the order they came, cut at the limit."""

    returncode: int
    output: bytes
    seconds: float
    timed_out: bool = False
    truncated: bool = False
    """Output went over its limit; what came after was dropped and the command was killed."""
    leftovers: int = 0
    """Descendants that were still alive when the command itself had ended, and were killed."""
    too_many_processes: bool = False
    """The number of processes went over its limit, and all were killed."""

    @property
    def text(self) -> str:
        """The output as text; undecodable bytes are shown as replacement characters."""
        return self.output.decode("utf-8", "replace")


class Process(Protocol):
    """A confined process that is talked to over pipes (the fork server of search repair)."""

    stdin: IO[bytes]
    stdout: IO[bytes]

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        ...

    def kill(self) -> None:
        """End it and every descendant, and wait until they are gone. Idempotent."""
        ...


class Sandbox(Protocol):
    """A place where commands can do no harm. What is covered, and what is not, is stated and tested."""

    rung: str
    covers: tuple[str, ...]
    gaps: tuple[str, ...]
    scratch: Path
    """A private temporary directory, writable and readable inside at the same path, TMPDIR of every command."""

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        limits: Limits = Limits(),
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        on_output: Callable[[bytes], None] | None = None,
    ) -> Completed:
        """Run to the end. `env` is added to the allow-listed environment.

        Returns with 127 as return code and a sentence as output when the program does not exist. All descendants are
        dead when it returns, also when it raises (KeyboardInterrupt included).
        """
        ...

    def start(
        self, command: Sequence[str], *, cwd: Path, limits: Limits = Limits(), env: Mapping[str, str] | None = None
    ) -> Process:
        """Start a process with pipes for stdin and stdout; its stderr goes to the null device."""
        ...

    def close(self) -> None:
        """Kill what is left and remove the scratch directory. Idempotent."""
        ...
