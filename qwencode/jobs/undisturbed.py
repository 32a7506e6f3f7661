"""Keeping Ctrl-C and requests to end away for a moment."""

import signal
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def undisturbed(*numbers: signal.Signals) -> Generator[None]:
    """Let signals (Ctrl-C and requests to end, where none is named) wait until what belongs together is done.

    Half a restore is worse than a second's wait. None is lost: they arise at the end, or at that of the outermost
    such block. By handlers, not by a mask: a mask is that of one thread, and the system may give a signal to any other.
    """
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    with ExitStack() as after:
        after.callback(_deliver, came)
        for number in (numbers or _ENDING) if main else ():
            after.callback(signal.signal, number, signal.getsignal(number))
            signal.signal(number, lambda given, _: came.append(given))
        yield


def _deliver(came: Sequence[int]) -> None:
    """Let every signal arise once, also where one before it raises; what raises last, a request to end, is heard."""
    with ExitStack() as stack:
        for number in sorted(set(came), reverse=True):  # called from the last to the first
            stack.callback(signal.raise_signal, signal.Signals(number))
