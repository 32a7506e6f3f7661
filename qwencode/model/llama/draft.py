"""Prompt lookup: guesses the next tokens from what the context already holds, and says how many are worth checking.

A model that edits code copies much of it: the file that it read, the edit that failed. Where the last tokens stand
elsewhere in the context, what follows there is a good guess for what follows here (A. Saxena, *Prompt Lookup Decoding*,
2023, https://github.com/apoorvumang/prompt-lookup-decoding). Checking several guessed tokens in one batch costs less
than evaluating them one by one, and drawing each from the model's own distribution keeps that exactly as it was
(speculative sampling, Leviathan et al., ICML 2023, with a guess that is certain of itself).
"""

import bisect
from collections.abc import Mapping, Sequence

from qwencode.model.llama.state import common_length

SHORTEST = 3
"""Tokens that must agree before a guess."""
_LONGEST = 64  # more agreement says nothing more
_PLACES = 8  # of one n-gram, the latest ones
_TEXTS = 32  # to copy from, the latest ones
_CLASSES = (1, 4, 6, 8, 12, 16, 24, 32, 48)  # lengths of agreement that are counted apart; below 1: the head's guesses
_PRIORS = (0.8, 0.77, 0.86, 0.91, 0.94, 0.95, 0.95, 0.95, 0.96, 0.97)  # acceptance before anything was seen
_STEP = 0.2  # of a token's time, for the head to guess one, before that was measured
_WEIGHT = 16.0  # of a prior, in tokens
_MEMORY = 0.97  # by which what was seen loses weight with every guess
_COSTS = {1: 1.0, 2: 1.9, 4: 3.3, 8: 5.4, 12: 6.6, 16: 7.9}
"""Times of a batch, relative to one token, before anything was measured: this model's shape on two CPU cores."""

Place = tuple[int, int]


class Lookup:
    """Finds where the last tokens of a text stand in it, or in other texts, and what follows there.

    `follow` sets the text (the tokens that the model has seen), `push` makes it longer, `read` adds another text that
    is only copied from, such as a file without the line numbers with which it was shown. `spare`: places that may lead
    nowhere any more before they are cleared away. Of the other texts the latest ones are kept.
    """

    def __init__(self, spare: int = 1 << 16) -> None:
        self._spare = spare
        self._own: list[int] = []
        self._texts: list[list[int]] = [self._own]
        self._places: dict[tuple[int, ...], list[Place]] = {}
        self._indexed = 0

    def follow(self, tokens: Sequence[int]) -> None:
        """Make `tokens` the text; what it shares with the one before is not looked at again."""
        shared = common_length(self._own, tokens)
        del self._own[shared:]
        if self._indexed > 2 * sum(map(len, self._texts)) + self._spare:
            self._tidy()
        self.push(tokens[shared:])

    def push(self, tokens: Sequence[int]) -> None:
        """Append tokens to the text."""
        self._own += tokens
        self._index(0, len(self._own) - len(tokens))

    def read(self, tokens: Sequence[int]) -> None:
        """Add a text to copy from."""
        self._texts.append(list(tokens))
        self._index(len(self._texts) - 1, 0)
        if len(self._texts) > 2 * _TEXTS:
            self._tidy()

    def guess(self, most: int) -> tuple[list[int], int]:
        """Return at most `most` tokens that may come next, and how many before them agree (0: there is no guess).

        The longest agreement wins, and among equal ones the latest place.
        """
        best: Place = (0, 0)
        agreed = 0
        for text, end in reversed(self._places.get(tuple(self._own[-SHORTEST:]), ())):
            if (text or end < len(self._own)) and (length := self._agreement(self._texts[text], end)) > agreed:
                best, agreed = (text, end), length
        if agreed < SHORTEST:
            return [], 0
        text, end = best
        return self._texts[text][end : end + most], agreed

    def _agreement(self, text: Sequence[int], end: int) -> int:
        """Return how many tokens before `end` of a text are the last ones of ours; an outdated place has few."""
        own, length = self._own, 0
        most = min(_LONGEST, end, len(own)) if end <= len(text) else 0
        while length < most and text[end - 1 - length] == own[-1 - length]:
            length += 1
        return length

    def _index(self, text: int, start: int) -> None:
        tokens = self._texts[text]
        self._indexed += len(tokens) - start
        for end in range(max(start + 1, SHORTEST), len(tokens) + 1):
            places = self._places.setdefault(tuple(tokens[end - SHORTEST : end]), [])
            places.append((text, end))
            if len(places) > _PLACES:
                del places[0]

    def _tidy(self) -> None:
        """Forget old texts, and places that are no longer what they were."""
        self._places.clear()  # first: none may name a text that is gone
        self._texts = [self._own, *self._texts[1:][-_TEXTS:]]
        self._indexed = 0
        for text in range(len(self._texts)):
            self._index(text, 0)


class Pace:
    """Says how many guessed tokens to check at once, from what was accepted so far and what a batch costs.

    `seconds` holds measured seconds of batches by size, that of one token among them, as a calibration gives them;
    whatever is seen later refines it. `most`: tokens that can be taken back at once. An agreement of 0 stands for
    guesses of the model's own head, which take time themselves.
    """

    def __init__(self, most: int, seconds: Mapping[int, float] | None = None):
        self.most = most
        self._seconds = dict(seconds or {})
        self._points: list[tuple[int, float]] = []
        self._fill()
        self._step: float | None = None
        self._tried = [0.0] * len(_PRIORS)
        self._accepted = [0.0] * len(_PRIORS)

    def length(self, agreed: int) -> int:
        """Return how many tokens to check after an agreement of `agreed` tokens: the number with most tokens a second.

        With an acceptance of a for each token, n checked ones give 1 + a + … + a^n tokens in the time of a batch of
        n + 1, and of n guesses.
        """
        each = 0.0 if agreed else self._step or _STEP * self.seconds(1)
        kind = bisect.bisect_right(_CLASSES, agreed)
        rate = (self._accepted[kind] + _PRIORS[kind] * _WEIGHT) / (self._tried[kind] + _WEIGHT)
        best, best_speed, gain = 0, 1.0 / self.seconds(1), 1.0
        for count in range(1, self.most + 1):
            gain += rate**count
            speed = gain / (self.seconds(count + 1) + count * each)
            if speed > best_speed:
                best, best_speed = count, speed
        if not best:  # what made it give up is forgotten in time
            self._tried[kind] *= _MEMORY
            self._accepted[kind] *= _MEMORY
        return best

    def seconds(self, size: int) -> float:
        """Return the seconds of a batch: measured ones, or what lies between; before anything was, in single tokens."""
        points = self._points
        at = bisect.bisect_left(points, (size, 0.0))
        if at < len(points) and points[at][0] == size:
            return points[at][1]
        (small, low), (large, high) = points[at - 1 : at + 1] if at < len(points) else points[-2:]
        return low + (high - low) * (size - small) / (large - small)

    def measured(self, size: int, seconds: float) -> None:
        """Take note of how long a batch took. A single one of a size says little: it may be the first of its shape.

        The first of all must be of one token: without it there is nothing to compare the others with.
        """
        if size > 1 and 1 not in self._seconds:
            return
        known = self.seconds(size) if 1 in self._seconds else seconds
        self._seconds[size] = known + 0.1 * (min(seconds, 3 * known) - known)
        self._fill()

    def predicted(self, count: int, seconds: float) -> None:
        """Take note of how long the head took to guess so many tokens."""
        if count:
            one = seconds / count
            self._step = one if self._step is None else self._step + 0.1 * (min(one, 3 * self._step) - self._step)

    def _fill(self) -> None:
        """Put known relative costs where nothing was measured yet."""
        one = self._seconds.get(1, 1.0)
        guessed = {size: cost * one for size, cost in _COSTS.items()}
        self._points = sorted((guessed | self._seconds).items())

    def checked(self, agreed: int, tried: int, accepted: int) -> None:
        """Take note of how many of `tried` tokens were accepted; those after the first refusal were not looked at."""
        kind = bisect.bisect_right(_CLASSES, agreed)
        looked_at = min(tried, accepted + 1)
        self._tried[kind] = self._tried[kind] * _MEMORY + looked_at
        self._accepted[kind] = self._accepted[kind] * _MEMORY + accepted
