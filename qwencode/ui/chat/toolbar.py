"""The line below the prompt. Where it does not fit, what matters least is said shorter, and then not at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from prompt_toolkit.utils import get_cwidth

from qwencode.jobs.chat.status import Status
from qwencode.ui.text import safe

Piece = tuple[str, str]
"""(style, text)."""
_SEPARATOR = " · "
_NEARLY_FULL = 0.8
_PLAUSIBLE_SPEED = 1_000  # tokens a second: some servers send a reply in one piece


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to say, in the forms from long to short; `weight`: the lightest gives way first."""

    weight: int
    forms: tuple[str, ...]
    style: str = "class:toolbar"


def parts(status: Status, queued: int = 0, keys: str = "") -> list[Part]:
    """Return what there is to say, from left to right. `keys`: in which mode those of vi are, if that matters."""
    unsaved = status.unsaved or 0
    model = safe(status.model) or ("no model" if status.loaded else "model")
    if "://" not in model:
        model = model.rpartition("/")[2] or model  # of a file, the name
    state = "" if status.loaded else ", not loaded yet"
    found = [Part(6, (model + state, clipped(model, 20), clipped(model, 10)))]
    found.append(Part(8, (status.mode,), f"class:mode.{status.mode}"))
    found.append(Part(2, (f"think {safe(status.think)}",)))
    if status.size:
        share = status.tokens / status.size
        style = "class:toolbar.full" if share >= _NEARLY_FULL else "class:toolbar"
        forms = (f"context {status.tokens:,} of {status.size:,} ({share:.0%})", f"context {share:.0%}", f"{share:.0%}")
        found.append(Part(5, forms, style))
    if 0 < status.speed <= _PLAUSIBLE_SPEED:
        speed = f"{status.speed:.1f}" if status.speed < 100 else f"{status.speed:.0f}"
        found.append(Part(1, (f"{speed} tokens/s", f"{speed}/s")))
    if status.branch:
        branch, more = safe(status.branch), f" +{unsaved}" if unsaved else ""
        forms = (branch + (f", {unsaved} unsaved" if unsaved else ""), branch + more, clipped(branch, 12) + more)
        found.append(Part(3, forms))
    if keys:
        found.append(Part(4, (f"-- {keys} --", keys)))
    if queued:
        found.append(Part(7, (f"{queued} queued",)))
    return found


def toolbar(found: Sequence[Part], width: int) -> list[Piece]:
    """Return the pieces of the line, at most `width` cells wide."""
    forms = [0] * len(found)  # which form of each part is said; past its last one: none
    while (here := _here(found, forms)) and _width(_said(found, forms)) > width:
        last = {n: forms[n] == len(found[n].forms) - 1 for n in here}
        forms[min(here, key=lambda n: (last[n], not last[n] and forms[n], found[n].weight))] += 1
    for n in sorted(range(len(found)), key=lambda n: -found[n].weight):  # give back what the last step took too much
        while forms[n] and _width(_said(found, [*forms[:n], forms[n] - 1, *forms[n + 1 :]])) <= width:
            forms[n] -= 1
    pieces: list[Piece] = []
    for n in _here(found, forms):
        pieces += [("class:toolbar", _SEPARATOR)] if pieces else []
        pieces.append((found[n].style, found[n].forms[forms[n]]))
    return pieces


def clipped(text: str, width: int) -> str:
    """Return the text in at most `width` cells, with a sign where it was cut."""
    if get_cwidth(text) <= width:
        return text
    kept, used = "", 1
    for character in text:
        used += get_cwidth(character)
        if used > width:
            break
        kept += character
    return kept + "…" if width > 0 else ""


def _here(found: Sequence[Part], forms: Sequence[int]) -> list[int]:
    return [n for n, part in enumerate(found) if forms[n] < len(part.forms)]


def _said(found: Sequence[Part], forms: Sequence[int]) -> list[str]:
    return [found[n].forms[forms[n]] for n in _here(found, forms)]


def _width(texts: Sequence[str]) -> int:
    return sum(map(get_cwidth, texts)) + len(_SEPARATOR) * (len(texts) - 1)
