"""From a function and a bug in it to the tokens that the model is trained on: the very conversation of the product."""

import builtins
import keyword
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from builtin.breaking import Bug, Region, bugs, region
from qwencode.messages import Message
from qwencode.model.builtin.prompt import CODE_CHARS, DONE, FAILED, PASSED, Excerpt, answer, excerpt, question, refusal
from qwencode.model.dialect.qwen import Piece, open_reply, render
from qwencode.repair.proposals import differing

PROMPT, ANSWER = 0.2, 1.0
"""Weights of the loss: what is only read teaches the language, what is written is the purpose."""
LONGEST = 384
"""Tokens of a sample at most."""
SECOND_TRY, AFTERWARDS, MORE_MARKS, NO_FAILURE = 0.12, 0.04, 0.2, 0.15
"""Shares of conversations with a wrong try before the right one, with a reply to the success, with several lines
marked, and of those with the failure left out although it is known."""
MOST = 6
"""Bugs of a function at once."""
_SPECIAL = re.compile(r"<\|[a-z_]+\|>|</?(?:tool_call|tool_response|think|function|parameter)\b")


_NAME, _TEXT = re.compile(r"[A-Za-z_]\w*"), re.compile(r"""'[^'\n]*'|"[^"\n]*\"""")
_COMMON = {*keyword.kwlist, *dir(builtins), "self", "cls"}.union(*map(dir, (str, bytes, list, dict, set, int, float)))
_SHORT = 3
"""Characters of a text that anybody might write: a separator, an ending."""


@dataclass(frozen=True, slots=True)
class Change:
    """Which lines of the buggy text (from 1) are replaced by what. Where lines are missing, a neighbour is `old`."""

    lines: tuple[int, ...]
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Tokens with the weight of each one's loss. `prompt`: tokens before the last answer begins."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]
    prompt: int
    kind: str


def change(before: str, after: str, chance: random.Random) -> Change | None:
    """Return where two texts differ, as one replacement; None where they do not or where it is too large."""
    old, new = before.splitlines(), after.splitlines()
    if old == new:
        return None
    first, last, end = differing(old, new)
    start = first
    if last == first:  # something is missing between two lines; either may be what is looked at
        if (chance.random() < 0.5 and first < len(old)) or first < 2:
            last, end = last + 1, end + 1
        else:
            first, start = first - 1, start - 1
    if last - first > 2 or end - start > 4 or last > len(old):
        return None
    return Change(tuple(range(first + 1, last + 1)), "\n".join(old[first:last]), "\n".join(new[start:end]))


def guessable(bug: Bug, failure: str = "") -> bool:
    """Say whether the repair can be known from what is shown: its names and texts are there, or everybody's."""
    known = f"{bug.before}\n{failure}"
    before = bug.before.splitlines()
    added = "\n".join(line for line in bug.after.splitlines() if line not in before)
    texts = [text for text in _TEXT.findall(added) if len(text) > _SHORT + 2 and text[1:-1] not in known]
    names = set(_NAME.findall(_TEXT.sub("", added))) - _COMMON
    return not texts and names <= set(_NAME.findall(known))


def sample(bug: Bug, path: str, failure: str, read: Tokenizer, chance: random.Random) -> Sample | None:
    """Return the conversation that mends a bug, or None where it does not fit or holds what would be special tokens."""
    found = _answerable(bug, failure, chance)
    shown = found and excerpt(bug.before, found.lines[0])
    if not found or not shown or any(number not in shown.numbers for number in found.lines):
        return None
    marked = set(found.lines)
    if chance.random() < MORE_MARKS:
        others = [
            number for number, text in zip(shown.numbers, shown.lines, strict=True) if number > 1 and text.strip()
        ]
        marked |= set(chance.sample(others, min(len(others), chance.randint(1, 3))))
    known = "" if chance.random() < NO_FAILURE else failure
    opening = Message("user", question(path, shown, marked, known))
    parts: list[tuple[str, float]] = [(_text(render(None, opening)), PROMPT)]
    if chance.random() < SECOND_TRY and (wrong := _wrong(bug, found, chance)) is not None:
        answered = Message("tool", refusal(failure) if failure else FAILED)
        reply = f"{answer(path, found.old, wrong)}<|im_end|>\n"
        parts += [(_text(open_reply(opening, False)) + reply, 0.0), (_text(render(_SAID, answered)), PROMPT)]
        opening = answered
    parts.append((_text(open_reply(opening, False)), 0.0))
    before = "".join(text for text, _ in parts)
    parts.append((f"{answer(path, found.old, found.new)}<|im_end|>", ANSWER))
    if chance.random() < AFTERWARDS:
        passed = Message("tool", PASSED)
        parts.append(("\n" + _text(render(_SAID, passed)) + _text(open_reply(passed, False)), 0.0))
        parts.append((f"{DONE}<|im_end|>", ANSWER))
    return _joined(parts, before, read, bug.kind)


def _answerable(bug: Bug, failure: str, chance: random.Random) -> Change | None:
    """Return what mends a bug, where it can be known and written."""
    if _SPECIAL.search(bug.before) or _SPECIAL.search(bug.after) or not guessable(bug, failure):
        return None
    return change(bug.before, bug.after, chance)


def together(found: Sequence[Bug], path: str, read: Tokenizer, chance: random.Random) -> Sample | None:
    """Return a conversation about a function with several bugs, all of them marked, and a call for each.

    So what is read for one answer serves them all; no such thing is ever asked in use. Bugs that meet another one, or
    that do not fit, are left out; None where none is left.
    """
    apart: list[tuple[Bug, Region]] = []
    for bug in found:
        place = region(bug.before, bug.after)
        if all(place.correct_end < other.start or other.correct_end < place.start for _, other in apart):
            apart.append((bug, place))
    answers: list[Change] = []
    shown: Excerpt | None = None
    before = _damaged(apart)
    for one in apart:
        without = _damaged([other for other in apart if other is not one]) or one[0].after
        mended = _answerable(Bug(before, without, one[0].kind), "", chance)
        if mended and shown is None:
            shown = excerpt(before, mended.lines[0])
        if mended and shown and all(number in shown.numbers for number in mended.lines):
            answers.append(mended)
    if shown is None:
        return None
    while answers:
        marked = {number for one in answers for number in one.lines}
        opening = Message("user", question(path, shown, marked))
        calls = "\n".join(answer(path, one.old, one.new) for one in answers)
        asked = [(_text(render(None, opening)), PROMPT), (_text(open_reply(opening, False)), 0.0)]
        told = "".join(text for text, _ in asked)
        made = _joined([*asked, (f"{calls}<|im_end|>", ANSWER)], told, read, "several")
        if made:
            return made
        answers.pop()
    return None


def _damaged(found: Sequence[tuple[Bug, Region]]) -> str:
    """Return the correct function with these bugs in it; '' without any. No two of them meet."""
    lines = found[0][0].after.split("\n") if found else []
    for bug, place in sorted(found, key=lambda one: -one[1].start):
        lines[place.start : place.correct_end] = bug.before.split("\n")[place.start : place.buggy_end]
    return "\n".join(lines)


_SAID = Message("assistant")


def _text(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _wrong(bug: Bug, found: Change, chance: random.Random) -> str | None:
    """Return other text for the place of a bug, which does not mend it."""
    for other in bugs(bug.before, chance, 4):
        place = change(other.after, other.before, chance)
        if place and (place.lines, place.old) == (found.lines, found.old) and place.new != found.new:
            return place.new
    return None


def _joined(parts: Sequence[tuple[str, float]], before: str, read: Tokenizer, kind: str) -> Sample | None:
    """Tokenise the whole at once, since parts meet at special tokens, and give each token the weight of its part."""
    done = read.encode("".join(text for text, _ in parts))
    if len(done.ids) > LONGEST:
        return None
    ends: list[tuple[int, float]] = []
    length = 0
    for text, weight in parts:
        length += len(text)
        ends.append((length, weight))
    weights: list[float] = []
    place = 0
    for _, end in done.offsets:
        while end > ends[place][0]:
            place += 1
        weights.append(ends[place][1])
    prompt = sum(end <= len(before) for _, end in done.offsets)
    return Sample(tuple(done.ids), tuple(weights), prompt, kind)


def endless(
    functions: Sequence[dict[str, str]],
    failing: Sequence[dict[str, str]],
    share: float,
    read: Tokenizer,
    chance: random.Random,
    several: float = 0.0,
) -> Iterator[Sample]:
    """Yield samples for ever: `share` of them of bugs with a known failure, the others freshly made, `several` of these
    with up to MOST bugs.
    """
    while True:
        if failing and chance.random() < share:
            row = chance.choice(failing)
            made = sample(Bug(row["before"], row["after"], row["kind"]), row["path"], row["failure"], read, chance)
            if made:
                yield made
            continue
        row = chance.choice(functions)
        count = MOST if len(row["source"]) < 1.5 * CODE_CHARS and chance.random() < several else 1
        found = bugs(row["source"], chance, count)
        made = together(found, row["path"], read, chance) if len(found) > 1 else None
        if made or (found and (made := sample(found[0], row["path"], "", read, chance))):
            yield made
