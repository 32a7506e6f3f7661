"""Keeping Ctrl-C and requests to end away for a moment."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def undisturbed() -> Generator[None]:
    """Hold back Ctrl-C and requests to end while files are put back: half a restore is worse than a second's wait."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def unbroken(*numbers: signal.Signals) -> Generator[None]:
    """Let signals (Ctrl-C where none is named) wait until what belongs together is done; they arise at the end.

    By handlers, not by a mask: a mask is that of one thread, and the system may give a signal to any other.
    """
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    held = (numbers or (signal.SIGINT,)) if main else ()
    before = {number: signal.signal(number, lambda given, _: came.append(given)) for number in held}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
