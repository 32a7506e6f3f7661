"""The prompt and what changes above it, in a thread of its own, so that a key never waits for the model.

From top to bottom: the live area, a question or the input with its menu, and the toolbar. What is finished is printed
above all of this and belongs to the terminal from then on. Every method here may be called from any thread.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from prompt_toolkit.application import Application
from prompt_toolkit.application.run_in_terminal import in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import ThreadedCompleter
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.input.defaults import create_input
from prompt_toolkit.layout import FormattedTextControl
from prompt_toolkit.output import ColorDepth

from qwencode.errors import UsageError
from qwencode.jobs.chat.status import Status
from qwencode.ui.chat import editor
from qwencode.ui.chat.asking import Asking, Field
from qwencode.ui.chat.conversation import Conversation
from qwencode.ui.chat.entry import Completing, Pastes, PrivateHistory, wants_completions
from qwencode.ui.chat.keys import bindings, edit_field
from qwencode.ui.chat.layout import STYLE, asking_text, layout
from qwencode.ui.chat.lines import Lines
from qwencode.ui.chat.output import STILL_SECONDS, Drawing, Held

T = TypeVar("T")
LiveLines = Callable[[int, int, float], list[str]]
"""Makes the lines of the live area: from its width and height, and the time by the monotonic clock."""
_TICK = 0.25  # seconds between two looks at what goes on and at the status
_QUIET = 0.7
"""Seconds without a key until a question takes the keys: what was typed for the prompt must not answer it."""
_HINT_SECONDS = 2.0
_REDRAW_SECONDS = 0.08  # what is printed is collected for so long
_KEY_SECONDS = 0.015  # and what is typed is shown as soon


class Screen:
    """The terminal while a conversation is open. `stop` is called when what is going on shall end."""

    def __init__(
        self,
        lines: Lines,
        first: Status,
        history: Path,
        vi: bool,
        busy: Callable[[], bool],
        stop: Callable[[], None],
    ):
        self.lines = lines
        self.busy = busy
        self.stop = stop
        self.pastes = Pastes()
        self.conversation: Conversation | None = None
        self.unfold: Callable[[], str] = str
        self.lent = False
        """Whether another program has the terminal."""
        self.asking: Asking[Any] | None = None
        self.answering = False
        """Whether the question has the keys."""
        self._first = first
        self.shown: Status | None = None
        """What the toolbar showed last."""
        self._printed = ""
        self.live: LiveLines | None = None
        self._next_live: LiveLines | None = None
        self._lock = threading.Lock()
        self._scheduled = False
        self._refreshing: asyncio.TimerHandle | None = None
        self._leaving = False
        self._hint = ""
        self._hint_until = 0.0
        self._last_key = 0.0
        self._drawn = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        history_of_user = PrivateHistory(history, self.pastes.whole)
        completer = ThreadedCompleter(Completing(lambda: self.conversation))
        self.entry = Buffer(
            name="entry",
            multiline=True,
            history=history_of_user,
            completer=completer,
            complete_while_typing=Condition(lambda: wants_completions(self.entry.document.text_before_cursor)),
            on_text_changed=self._typed,
        )
        self.field = Buffer(name="field", multiline=Condition(self.several))
        self.question = FormattedTextControl(lambda: asking_text(self), focusable=True, show_cursor=False)
        self._output = Held(sys.stdout)
        self._drawing = Drawing(STYLE, self._output, os.environ)
        self.app = self._application(EditingMode.VI if vi else EditingMode.EMACS)
        self._running: Future[None] | None = None

    def _application(self, mode: EditingMode) -> Application[None]:
        app: Application[None] = Application(
            layout=layout(self),
            style=STYLE,
            key_bindings=bindings(self),
            editing_mode=mode,
            erase_when_done=True,
            min_redraw_interval=_KEY_SECONDS,
            terminal_size_polling_interval=None,  # SIGWINCH tells
            color_depth=ColorDepth.from_env(),  # NO_COLOR
            input=create_input(sys.stdin),
            output=self._output,
        )
        app.renderer = self._drawing
        app.ttimeoutlen = 0.05  # until a lone Escape is one
        app.timeoutlen = 0.4
        return app

    # What the main thread does.

    def start(self) -> None:
        """Show the prompt; returns when it is on the screen."""
        prompt = ThreadPoolExecutor(1, "prompt")
        self._running = prompt.submit(self._run)
        prompt.shutdown(wait=False)
        self._drawn.wait()

    def close(self) -> None:
        """Print what is left, take the prompt away and leave the terminal as it was. Raises what went wrong in it."""
        self._call(self._leave)
        if self._running:
            with suppress(EOFError, OSError):  # the terminal is gone
                self._running.result()
        if self._error:
            raise self._error

    def put(self, text: str, live: LiveLines | None) -> None:
        """Print finished lines above the prompt and show another live area, both at the same moment, and soon."""
        with self._lock:
            self._printed += text
            self._next_live = live
            scheduled, self._scheduled = self._scheduled, True
        if not scheduled:
            self._call(self._refresh_soon)

    def offer(self, text: str) -> None:
        """Put a text where the user types; what stands there already stays behind it."""
        self._call(self._offer, text)

    def clear(self) -> None:
        """Take everything off the screen."""
        self._call(self._clear)

    def resized(self) -> None:
        """The window has another size."""
        self._call(self._resized)

    def hint(self, text: str, seconds: float = _HINT_SECONDS) -> None:
        """Say something in the toolbar for a moment."""
        self._hint, self._hint_until = text, time.monotonic() + seconds
        self._call(self.app.invalidate)

    def ask(self, asking: Asking[T]) -> T:
        """Show a question in place of the prompt and block until it is answered. Raises KeyboardInterrupt."""
        if self._running is None or self._running.done():
            raise KeyboardInterrupt
        self._call(self._begin_asking, asking)
        try:
            return asking.wait()
        finally:
            asking.interrupt()
            self._call(self._end_asking)

    # What the prompt's thread does.

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        finally:
            self._loop = None
            self._drawn.set()
            self.lines.end()
            if self.asking:
                self.asking.interrupt()
            if self.busy():
                self.stop()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._failed)
        self.app.after_render += self._rendered
        self.app.create_background_task(self._tick())
        await self.app.run_async(set_exception_handler=False, handle_sigint=False)

    def _rendered(self, app: Application[None]) -> None:
        self._drawn.set()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._error = self._error or context.get("exception")
        if self.app.is_running and self.app.future and not self.app.future.done():
            self.app.exit()

    def _call(self, do: Callable[..., object], *values: object) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(do, *values)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            if self._scheduled:  # a Ctrl-C may have come between that and the call
                self._refresh_soon()
            if self.live or self._hint or self.status != self.shown:
                self.app.invalidate()

    def _refresh_soon(self, seconds: float = _REDRAW_SECONDS) -> None:
        if self._loop and self._refreshing is None:
            self._refreshing = self._loop.call_later(seconds, self._refresh)

    def _refresh(self) -> None:
        """Print what has come and draw the rest anew, as one change of the screen."""
        if self._refreshing:
            self._refreshing.cancel()
            self._refreshing = None
        if self.lent or not self.app.is_running:
            return  # when the terminal comes back
        if self._drawing.moving and not self._leaving:
            self._refresh_soon(STILL_SECONDS)
            return
        with self._lock:
            self._scheduled = False
            text, self._printed = self._printed, ""
            self.live = self._next_live
        with self._output.held():
            if text:
                self._drawing.erase(leave_alternate_screen=False)
                self._output.write_raw(text.replace("\n", "\r\n"))
            self._redraw()

    def _redraw(self) -> None:
        self.app._redraw()  # pyright: ignore[reportPrivateUsage] # `invalidate` would draw later, after a gap

    def _resized(self) -> None:
        if not self.lent and self.app.is_running:
            self._redraw()
            self._refresh_soon(STILL_SECONDS + 0.01)

    def _leave(self) -> None:
        self.lent, self._leaving = False, True
        self._refresh()
        if self.app.is_running and self.app.future and not self.app.future.done():
            self.app.exit()

    def _offer(self, text: str) -> None:
        rest = self.entry.text
        self.entry.text = f"{text}\n{rest}" if rest.strip() else text
        self.entry.cursor_position = len(text)

    def _clear(self) -> None:
        if not self.lent:
            self._refresh()  # what was printed before, and has not come to the screen yet, goes with the rest
            self._drawing.clear()
            self._redraw()

    def _typed(self, buffer: Buffer) -> None:
        self._last_key = time.monotonic()

    def _begin_asking(self, asking: Asking[Any]) -> None:
        self.asking, self.answering = asking, False
        if asking.sudden:  # a key that is on its way was meant for the prompt
            self._last_key = time.monotonic()
        self.field.reset()
        self._refresh()  # what is asked about stands above the question
        self._take_keys()

    def _take_keys(self) -> None:
        """Give the keys to the question as soon as the user has stopped typing for the prompt."""
        if self.asking is None or self.answering or self._loop is None:
            return
        quiet = time.monotonic() - self._last_key
        if quiet < _QUIET:
            self._loop.call_later(_QUIET - quiet + 0.01, self._take_keys)
        else:
            self.answering = True
            self.show_field()
            if self.asking.field and self.asking.field.editor and editor.named(os.environ):
                edit_field(self)
        self.app.invalidate()

    def _end_asking(self) -> None:
        self.asking, self.answering = None, False
        self.app.layout.focus(self.entry)
        self.app.invalidate()

    def show_field(self) -> None:
        """Give the keys to the field of the question, or to the question itself."""
        asking = self.asking
        if asking is None:
            return
        if asking.field:
            self.field.text = asking.field.text
            self.field.cursor_position = len(asking.field.text)
            self.app.layout.focus(self.field)
        else:
            self.app.layout.focus(self.question)
        self.app.invalidate()

    def asking_field(self) -> Field | None:
        """Return the field of the question, None where keys are answers."""
        return self.asking.field if self.asking else None

    def several(self) -> bool:
        """Whether the answer may have more than one line."""
        field = self.asking_field()
        return field is not None and field.several

    def send(self) -> None:
        """Let the input wait for the main thread, and keep it for later sessions."""
        shown = self.entry.text
        self.entry.history.append_string(shown)
        self.clear_entry()
        self.lines.put(self.pastes.line(shown))
        self._last_key = 0.0  # who has sent something is not typing any more

    def clear_entry(self) -> None:
        """Begin a new input, from which what was sent before can be gone back to and searched at once."""
        self.entry.reset()
        self.entry.load_history_if_not_yet_loaded()

    def take_all_back(self) -> None:
        """Put what waits back where it was typed: who stops the one does not want the next to begin."""
        while line := self.lines.take_back():
            self._offer(line.shown)

    def show_more(self) -> None:
        """Print what was folded last, or open what is being folded."""
        if text := self.unfold():
            with self._lock:
                self._printed += text
            self._refresh()
        self.app.invalidate()

    def edit(self, text: str, file: str, done: Callable[[str], None]) -> None:
        """Give a text to the user's editor; `done` gets what becomes of it. In the prompt's thread only."""

        def work() -> str | UsageError:
            try:
                return editor.edited(text, file, os.environ)
            except UsageError as error:
                return error

        self.lend(work, lambda result: done(result) if isinstance(result, str) else self.hint(str(result), 6))

    def lend(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Give the terminal to another program; `work` runs and waits for it. In the prompt's thread only."""

        async def lending() -> None:
            self.lent = True
            try:
                async with in_terminal():
                    result = await asyncio.get_running_loop().run_in_executor(None, work)
            finally:
                self.lent = False
                self._refresh()
            then(result)

        self.app.create_background_task(lending())

    # What the layout shows.

    @property
    def status(self) -> Status:
        """How the conversation stands, or will when it is there."""
        return self.conversation.status if self.conversation else self._first

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return self._output.get_size().columns

    @property
    def height(self) -> int:
        """Rows of the terminal."""
        return self._output.get_size().rows

    @property
    def hinted(self) -> str:
        """What the toolbar says for a moment."""
        if self._hint and time.monotonic() > self._hint_until:
            self._hint = ""
        return self._hint
