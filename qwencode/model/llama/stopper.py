"""Makes a long call into a C library stoppable by Ctrl-C."""

import concurrent.futures
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from qwencode.errors import Interrupted

T = TypeVar("T")
_LOOK = 0.25  # seconds


class Stopper:
    """Runs calls that ask again and again whether they should stop (`asked`).

    Python runs signal handlers in its main thread only, and not before a call into C returns; an exception in a
    callback of such a call is lost. So the call runs in a thread of its own, and the caller waits where it can be
    interrupted. It is always the same thread.
    """

    def __init__(self) -> None:
        self._stop = False
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "llama.cpp")
        self._thread.submit(int).result()  # begin it here: there must never be a second one

    def asked(self, _: Any = None) -> bool:
        """Say whether the call that runs should stop: the callback for the library."""
        return self._stop

    def run(self, call: Callable[[], T]) -> T:
        """Return what the call returns. An exception in the caller, such as KeyboardInterrupt, stops it first.

        The exception may come at any point, also while the call is being handed over, and again while it is stopped.
        """
        try:
            return _result(self._thread.submit(call))
        except BaseException:
            self._stop = True
            self._wait()
            raise
        finally:
            self._stop = False

    def _wait(self) -> None:
        """Return when the call has ended, however often the user asks for it meanwhile."""
        while True:
            try:
                _result(self._thread.submit(int))  # one after the other: when this is done, the call has ended
            except (KeyboardInterrupt, Interrupted):
                continue
            return


def _result(running: "concurrent.futures.Future[T]") -> T:
    """Wait for a call and return what it returns.

    A signal that comes in the moment before a thread begins to wait does not wake it up, so it wakes up by itself.
    """
    while not running.done():
        with suppress(concurrent.futures.TimeoutError):
            return running.result(_LOOK)
    return running.result()
