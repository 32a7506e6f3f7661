"""The interactive session at a terminal.

Two threads. The main one holds the conversation: it waits for lines, and the model, the tools and the signals are there
as in every other command. The other one holds the prompt (`screen.py`). Lines go from there to here, finished text and
the live area from here to there. Nothing that takes time to load is loaded before the prompt is on the screen.
"""

from __future__ import annotations

import inspect
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qwencode.jobs.chat.status import Status
from qwencode.ui.chat.conversation import Conversation
from qwencode.ui.chat.early import early_prompt, take_away
from qwencode.ui.chat.lines import Lines

if TYPE_CHECKING:
    from qwencode.events import Event
    from qwencode.jobs.chat.person import Person
    from qwencode.ui.chat.screen import Screen
    from qwencode.ui.chat.view import View

AGAIN_SECONDS = 5.0
"""From then on a further Ctrl-C counts again, should the first have been lost in code that was not ours."""


class Stop:
    """Ctrl-C while something goes on. It arises where the conversation is at work, or is thrown into it; else never."""

    def __init__(self) -> None:
        self.busy = False
        self.lent: Callable[[], bool] = bool
        self._inside = False
        self._wanted = False
        self._last = float("-inf")

    def press(self) -> None:
        """Have SIGINT sent to the main thread, from any thread."""
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def counted(self) -> None:
        """The user has stopped it in another way, by not answering."""
        self._last = time.monotonic()

    def heard(self, number: int, frame: object) -> None:
        """Handle SIGINT. What another program that has the terminal is told by Ctrl-C is none of our business."""
        now = time.monotonic()
        if not self.busy or self.lent() or now - self._last < AGAIN_SECONDS:
            return
        self._last = now
        if self._inside:
            raise KeyboardInterrupt
        self._wanted = True

    def follow(self, work: Generator[Event, None, None], show: Callable[[Event], None]) -> bool:
        """Show every event of some work. Returns whether it came to its own end. Raises what the work raises."""
        self.busy, self._wanted, self._last = True, False, float("-inf")
        try:
            while True:
                try:
                    self._inside = True
                    wanted, self._wanted = self._wanted, False
                    event = work.throw(KeyboardInterrupt()) if wanted else next(work)
                    self._inside = False
                except KeyboardInterrupt:
                    self._inside = False
                    if inspect.getgeneratorstate(work) == inspect.GEN_CLOSED:
                        return False
                    self._wanted = True  # it arose beside the work, not in it
                    continue
                show(event)
        except StopIteration:
            return True
        finally:
            self._inside = self.busy = False
            work.close()


def talk(make: Callable[[Person], Conversation], history_file: Path, first: Status, keys: str = "emacs") -> int:
    """Hold a conversation at this terminal, and return the exit code.

    `make` builds it, in the main thread, when the prompt is on the screen; until then the toolbar shows `first`. `keys`
    is emacs or vi. What `make` and `open` raise comes out of here, with the terminal as it was before.
    """
    with early_prompt(first):
        from qwencode.ui.chat.screen import Screen  # with prompt-toolkit, which takes longer than all before it

        stop = Stop()
        screen = Screen(Lines(), first, history_file, keys == "vi", lambda: stop.busy, stop.press)
        stop.lent = lambda: screen.lent
        with _signals(stop, screen):
            try:
                take_away()
                screen.start()
                _converse(make, screen, stop)
            except KeyboardInterrupt:
                return 130
            finally:
                screen.close()
    return 0


def _converse(make: Callable[[Person], Conversation], screen: Screen, stop: Stop) -> None:
    from qwencode.ui.chat.live import Live, live_lines  # with rich, behind the prompt
    from qwencode.ui.chat.paint import Paint
    from qwencode.ui.chat.person import AtPrompt
    from qwencode.ui.chat.view import View, unfolding

    paint = Paint(lambda: screen.width)

    def put(text: str, live: Live) -> None:
        screen.put(text, None if live == Live() else partial(live_lines, live, paint))

    view = View(Paint(lambda: screen.width), put)
    screen.unfold = unfolding(view, paint)
    conversation = make(AtPrompt(screen, view, stop.counted))
    screen.conversation = conversation
    try:
        if not screen.lines.over:
            stop.follow(conversation.open(), _shown(view, screen))
            view.settle()
        while not conversation.over and (line := screen.lines.take()):
            view.user(line.shown)
            stop.follow(conversation.take(line.text), _shown(view, screen))
            view.settle()
    finally:
        view.settle()
        screen.conversation = None
        conversation.close()


def _shown(view: View, screen: Screen) -> Callable[[Event], None]:
    from qwencode.events import InputOffered, ScreenCleared

    def show(event: Event) -> None:
        match event:
            case InputOffered():
                screen.offer(event.text)
            case ScreenCleared():
                screen.clear()
                view.forget()
            case _:
                view.show(event)

    return show


@contextmanager
def _signals(stop: Stop, screen: Screen) -> Generator[None, None, None]:
    """Hear Ctrl-C and changes of the window's size.

    Afterwards Ctrl-C does nothing more: the session is over, and who pressed it once too often wanted just that.
    """
    before = signal.signal(signal.SIGWINCH, lambda number, frame: screen.resized())
    signal.signal(signal.SIGINT, stop.heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGWINCH, before)
