"""A sandbox that confines nothing, at the seam: it keeps to the time limit and kills the whole process group."""

import os
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qwencode.sandbox.protocol import Completed, Limits
from qwencode.workspace import Workspace


class Unconfined:
    """Runs commands as they are. `commands` records what was run."""

    rung = "test"
    covers: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ("everything",)

    def __init__(self, scratch: Path):
        self.scratch = scratch
        self.commands: list[tuple[str, ...]] = []

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        limits: Limits = Limits(),  # noqa: B008
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        on_output: Callable[[bytes], None] | None = None,
    ) -> Completed:
        self.commands.append(tuple(command))
        started = time.monotonic()
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        quick = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # a second less for each run
        environment = {**kept, **quick, "TMPDIR": str(self.scratch), **(env or {})}
        with (self.scratch / f"output-{len(self.commands)}").open("w+b") as output:
            try:
                child = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except FileNotFoundError:
                return Completed(127, f"{command[0]} does not exist.".encode(), 0.0)
            timed_out = False
            try:
                child.wait(limits.seconds)
            except subprocess.TimeoutExpired:
                timed_out = True
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
            output.seek(0)
            data = output.read(limits.output_bytes)
        return Completed(child.returncode, data, time.monotonic() - started, timed_out)

    def start(self, command: Sequence[str], **_: object):
        raise AssertionError("what is under test only runs commands to their end")

    def close(self) -> None:
        pass


def make_repository(root: Path, files: Mapping[str, str], start: str = "") -> Workspace:
    """Write `path=text` pairs into a git repository; indentation that all lines share is taken off."""
    if not root.exists():
        subprocess.run(["git", "init", "-q", str(root)], check=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return Workspace(root, root / start)
