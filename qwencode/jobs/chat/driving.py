"""Showing what happens, with a Ctrl-C that arrives where it can be dealt with."""

from collections.abc import Callable, Generator, Iterable

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


def whole(events: Iterable[Event], stop: KeyboardInterrupt | None = None) -> Generator[Event, None, None]:
    """Yield events of what is done already: all of them. A Ctrl-C, `stop` or one in between, is raised at the end."""
    for event in events:
        try:
            yield event
        except KeyboardInterrupt as error:
            stop = error
    if stop:
        raise stop
