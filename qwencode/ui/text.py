"""Small things to say, for every reader. Imports nothing of ours, since the prompt waits for it."""

import re

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_RETURN = re.compile(r"\r$", re.M)  # before a line break, and where the last line break was cut off
_BLANK = "\u034f\u115f\u1160\u2800\u3164\uffa0" + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))


def seconds(value: float) -> str:
    """Return a duration as people write it: `0.8 s`, `42 s`, `3 min 05 s`."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    return f"{int(value) // 60} min {int(value) % 60:02} s"


def safe(text: str) -> str:
    """Return text without control characters: what a test, a tool or a model wrote must not steer the terminal.

    Nor may it be shown in another order than it is carried out, or in part: the marks that turn the direction of text
    go, too, and characters that are not seen; and what stands for a byte of a file name that is not UTF-8, which no
    terminal takes.
    """
    return _CONTROL.sub("�", _RETURN.sub("", text))


def spelled(text: str) -> str:
    """Return text with an escape in the place of every character that is not seen as what it is, line breaks aside.

    For what is to be consented to: `�` says that something is there, but not what.
    """
    hidden = {each for each in text if each != "\n" and (each in _BLANK or not each.isprintable())} - {"\t"}
    return text.translate({ord(each): ascii(each)[1:-1] for each in hidden}).expandtabs(4)


def plural(number: int, noun: str) -> str:
    """Return `1 test`, `2 tests`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
