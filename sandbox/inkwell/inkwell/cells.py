"""Measuring and cutting text in terminal cells."""

import unicodedata

ELLIPSIS = "…"


def width(text: str) -> int:
    """Return how many cells a text takes: wide characters count two, combining marks none."""
    cells = 0
    for char in text:
        if unicodedata.combining(char):
            continue
        cells += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return cells


def pad(text: str, cells: int, align: str = "l") -> str:
    """Fill a text with blanks to a width. `align` is "l", "r" or "c"; an odd blank goes to the right when centred."""
    missing = max(0, cells - width(text))
    if align == "l":
        return text + " " * missing
    if align == "r":
        return " " * missing + text
    if align == "c":
        before = missing // 2
        return " " * before + text + " " * (missing - before)
    raise ValueError(f"align is 'l', 'r' or 'c', not {align!r}")


def clip(text: str, cells: int) -> str:
    """Cut a text to a width; a cut is shown by an ellipsis, which counts."""
    if width(text) <= cells:
        return text
    if cells < 1:
        return ""
    kept = ""
    for char in text:
        if width(kept + char) > cells - 1:
            break
        kept += char
    return kept + ELLIPSIS
