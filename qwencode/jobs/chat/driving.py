"""Showing what happens, with a Ctrl-C that arrives where it can be dealt with."""

from collections.abc import Callable, Generator

from qwencode.events import Event


def drive(work: Generator[Event, None, None], show: Callable[[Event], None]) -> None:
    """Show every event of some work. A Ctrl-C while one is shown goes to the work, as one in the work itself does.

    Raises what the work raises.
    """
    try:
        event = next(work)
        while True:
            try:
                show(event)
            except KeyboardInterrupt as stop:
                event = work.throw(stop)
            else:
                event = next(work)
    except StopIteration:
        pass
    finally:
        work.close()
