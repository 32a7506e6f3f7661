"""Whatever is typed at the session, no traceback is shown, and it goes on or ends as it should."""

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import fake_chat
from tmux import Tmux, needs_tmux

pytestmark = [needs_tmux, pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "tests" / "ground" / "fake_chat.py"
KEYS = [
    *(
        "Enter",
        "Tab",
        "BTab",
        "Escape",
        "BSpace",
        "Up",
        "Down",
        "Left",
        "Right",
        "Home",
        "End",
        "PPage",
        "DC",
        "M-Enter",
    ),
    *(f"C-{letter}" for letter in "abcdefghjklnoprstuvwxy_"),
    *("F1", "M-Enter", "M-b", "M-f", "M-d", "y", "a", "n", "e", "@", "/", "\\", "!"),
]
SCENES = [f"{name}\r" for name in fake_chat.SCENES if name not in ("bug", "/quit", "slow_tool", "prefill")]
ACTIONS = st.one_of(
    st.tuples(st.just("key"), st.sampled_from(KEYS)),
    st.tuples(st.just("raw"), st.sampled_from(SCENES).map(str.encode)),
    st.tuples(st.just("raw"), st.binary(min_size=1, max_size=12)),
    st.tuples(st.just("raw"), st.text(min_size=1, max_size=20).map(str.encode)),
    st.tuples(st.just("paste"), st.text(min_size=1, max_size=20).map(lambda text: (text * 40).encode())),
    st.tuples(st.just("size"), st.tuples(st.integers(5, 120), st.integers(2, 40))),
)


class Endless:
    """A session that is begun again whenever the keys have ended it."""

    def __init__(self, folder: Path, keys: str):
        self.folder, self.keys = folder, keys
        self.window: Tmux | None = None

    def open(self) -> Tmux:
        if self.window and "ended 0" in self.window.screen():
            self.close()
        if self.window is None:
            self.window = Tmux()
            names = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "VISUAL": "true"}
            self.window.start([sys.executable, str(PROGRAM), str(self.folder), "0", self.keys], self.folder, names)
            self.window.wait("Loaded.")
        return self.window

    def close(self) -> None:
        if self.window:
            self.window.close()
            self.window = None


@pytest.mark.parametrize("keys", ["emacs", "vi"])
def test_no_key_and_no_line_shows_a_traceback(tmp_path: Path, keys: str):
    session = Endless(tmp_path, keys)

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # to shrink what needs a terminal takes longer than a test may
    )
    @given(st.lists(ACTIONS, min_size=1, max_size=15))
    def run(actions: list[tuple[str, object]]) -> None:
        window = session.open()
        for kind, what in actions:
            match kind, what:
                case "key", str():
                    window.press(what)
                case "raw", bytes():
                    window.raw(
                        what.translate(None, b"\x13\x1a\x1c")
                    )  # Ctrl-S and Ctrl-Z stop it, Ctrl-\ kills one that ends
                case "paste", bytes():
                    window.paste(what)
                case "size", (int() as width, int() as height):
                    window.resize(width, height)
                case _:
                    raise AssertionError(kind)
        window.resize(80, 24)
        ended = window.wait(lambda screen: "❯" in screen or " · " in screen or "ended" in screen or "Esc" in screen)
        assert "Traceback" not in window.everything()
        assert "Error" not in window.everything()
        assert "ended" not in ended or "ended 0" in ended

    try:
        run()
    finally:
        session.close()
    assert "took" in (tmp_path / "log").read_text()  # lines did arrive


def test_a_suspended_session_goes_on(tmp_path: Path):
    """Needs a shell with job control around it."""
    window = Tmux()
    try:
        window.start(["bash", "--norc", "-i"], tmp_path, {"PYTHONPATH": str(ROOT), "PS1": "shell> "})
        window.wait("shell>")
        window.say(f"{sys.executable} {PROGRAM} {tmp_path}")
        window.wait("Loaded.")
        window.type("draft")
        window.press("C-z")
        window.wait("Stopped", "shell>")
        window.say("fg")
        window.wait(lambda screen: "ask ❯ draft" in screen.split("fg")[-1])
        window.press("C-c", "C-d")
        window.wait(lambda screen: screen.rstrip().endswith("shell>"))
    finally:
        window.close()


def test_a_killed_session_leaves_no_process_behind(tmp_path: Path):
    window = Tmux()
    try:
        window.start([sys.executable, str(PROGRAM), str(tmp_path)], tmp_path, {"PYTHONPATH": str(ROOT)})
        window.wait("Loaded.")
        window.say("decode")
        window.wait("word30")
        os.kill(window.program, signal.SIGKILL)
        window.wait("ended 137")
    finally:
        window.close()
