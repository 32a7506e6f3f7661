"""What each key does, beside those that prompt-toolkit has for editing."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from prompt_toolkit.filters import (
    Condition,
    emacs_mode,
    has_completions,
    has_focus,
    is_searching,
    vi_navigation_mode,
)
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

if TYPE_CHECKING:
    from qwencode.ui.chat.screen import Screen

TWICE_SECONDS = 2.0
"""How soon the second Ctrl-C has to follow the first one to quit."""


def bindings(screen: Screen) -> KeyBindings:
    """Return the keys of a screen."""
    keys = KeyBindings()
    _stopping(keys, screen)
    _sending(keys, screen)
    _typing(keys, screen)
    _answering(keys, screen)
    return keys


def _stopping(keys: KeyBindings, screen: Screen) -> None:
    pressed = [float("-inf")]

    @keys.add("c-c", filter=~is_searching)
    def interrupt(event: KeyPressEvent) -> None:
        if screen.asking and screen.answering:
            screen.asking.interrupt()
        elif screen.busy():
            screen.take_all_back()
            screen.hint("stopping …")
            screen.stop()
        elif screen.entry.text:
            screen.clear_entry()
        elif time.monotonic() - pressed[0] < TWICE_SECONDS:
            screen.lines.end()
        else:
            pressed[0] = time.monotonic()
            screen.hint("Ctrl-C again quits", TWICE_SECONDS)

    @keys.add("c-d", filter=has_focus("entry") & Condition(lambda: not screen.entry.text))
    def quit_(event: KeyPressEvent) -> None:
        screen.lines.end()
        if screen.busy():
            screen.stop()

    @keys.add("c-z", filter=~is_searching)
    def suspend(event: KeyPressEvent) -> None:
        # To this very thread: another one might draw the prompt again before all of them have stopped.
        screen.lend(lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTSTP), lambda _: None)

    @keys.add("c-o", filter=~is_searching)
    def unfold(event: KeyPressEvent) -> None:
        screen.show_more()


def _sending(keys: KeyBindings, screen: Screen) -> None:
    entry = has_focus("entry")

    @keys.add("enter", filter=entry)
    def send(event: KeyPressEvent) -> None:
        buffer = screen.entry
        chosen = buffer.complete_state and buffer.complete_state.current_completion
        if chosen:
            buffer.complete_state = None
        elif buffer.document.char_before_cursor == "\\" and not buffer.document.text_after_cursor:
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        elif buffer.text.strip():
            screen.send()
        else:
            screen.clear_entry()

    @keys.add("escape", "enter", filter=(entry | has_focus("field")) & emacs_mode)
    @keys.add("c-j", filter=entry | has_focus("field"))
    def newline(event: KeyPressEvent) -> None:
        if event.current_buffer is screen.entry or (
            screen.asking and screen.asking.field and screen.asking.field.several
        ):
            event.current_buffer.newline(copy_margin=False)

    @keys.add("c-x", "c-e", filter=entry)
    @keys.add("v", filter=entry & vi_navigation_mode)
    def edit(event: KeyPressEvent) -> None:
        edit_entry(screen)

    @keys.add("up", filter=entry & Condition(lambda: not screen.entry.text and bool(screen.lines.waiting())))
    def take_back(event: KeyPressEvent) -> None:
        if line := screen.lines.take_back():
            screen.entry.text = line.shown
            screen.entry.cursor_position = len(line.shown)


def _typing(keys: KeyBindings, screen: Screen) -> None:
    entry = has_focus("entry")

    @keys.add(Keys.BracketedPaste, filter=entry)
    def paste(event: KeyPressEvent) -> None:
        screen.entry.insert_text(screen.pastes.sign(event.data))

    @keys.add("backspace", filter=entry & Condition(lambda: bool(_sign(screen))))
    def remove_paste(event: KeyPressEvent) -> None:
        screen.entry.delete_before_cursor(len(_sign(screen)))

    @keys.add("tab", filter=entry)
    def complete(event: KeyPressEvent) -> None:
        if screen.entry.complete_state:
            screen.entry.complete_next()
        else:
            screen.entry.start_completion(select_first=True)

    @keys.add("s-tab", filter=entry & ~has_completions)
    def switch_mode(event: KeyPressEvent) -> None:
        if screen.conversation:
            screen.conversation.switch_mode()
        else:
            screen.hint("the session is not open yet")

    @keys.add("escape", filter=entry & has_completions, eager=True)
    def close_menu(event: KeyPressEvent) -> None:
        screen.entry.cancel_completion()


def _answering(keys: KeyBindings, screen: Screen) -> None:
    asked = Condition(lambda: screen.answering and bool(screen.asking) and screen.asking_field() is None)
    typed = has_focus("field") & Condition(lambda: screen.answering)

    @keys.add(Keys.Any, filter=asked)
    @keys.add("enter", filter=asked)
    @keys.add("c-j", filter=asked)
    @keys.add(Keys.BracketedPaste, filter=asked)
    def press(event: KeyPressEvent) -> None:
        if screen.asking:
            screen.asking.press(event.key_sequence[0].key)
            screen.show_field()

    @keys.add("escape", filter=asked | typed, eager=True)
    def leave(event: KeyPressEvent) -> None:
        if screen.asking:
            screen.asking.left()
            screen.show_field()

    @keys.add("enter", filter=typed)
    def enter(event: KeyPressEvent) -> None:
        if screen.asking:
            screen.asking.entered(screen.field.text)

    @keys.add("up", filter=typed & Condition(lambda: not screen.several()))
    @keys.add("c-p", filter=typed & Condition(lambda: not screen.several()))
    def up(event: KeyPressEvent) -> None:
        if screen.asking:
            screen.asking.move(-1)

    @keys.add("down", filter=typed & Condition(lambda: not screen.several()))
    @keys.add("c-n", filter=typed & Condition(lambda: not screen.several()))
    def down(event: KeyPressEvent) -> None:
        if screen.asking:
            screen.asking.move(1)

    @keys.add("c-x", "c-e", filter=typed & Condition(lambda: screen.several()))
    def edit(event: KeyPressEvent) -> None:
        edit_field(screen)


def edit_entry(screen: Screen) -> None:
    """Give the input to the user's editor."""

    def done(text: str) -> None:
        screen.entry.text = screen.pastes.sign(text)
        screen.entry.cursor_position = len(screen.entry.text)

    screen.edit(screen.pastes.whole(screen.entry.text), "message.md", done)


def edit_field(screen: Screen) -> None:
    """Give the text of the field to the user's editor, and take its text as the answer to be sent."""
    asking, field = screen.asking, screen.asking_field()
    if asking is None or field is None:
        return

    def done(text: str) -> None:
        if screen.asking is asking:
            screen.field.text = text
            screen.field.cursor_position = len(text)
            if field.editor:
                asking.entered(text)

    screen.edit(screen.field.text, field.file, done)


def _sign(screen: Screen) -> str:
    return screen.pastes.before(screen.entry.document.text_before_cursor)
