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
def unbroken() -> Generator[None]:
    """Let Ctrl-C wait until two things that belong together are done; no program may be started meanwhile.

    It arises at the end. That it is let in again also holds where it arises at the begin, as `pthread_sigmask` may do.
    """
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
