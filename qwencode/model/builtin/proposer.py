"""The built-in model as an adviser: what may stand in the place of a line, and how likely given texts are.

Proposals are found by beam search: all of them grow together, one sequence of the batch each, and share whatever they
have in common. So none is evaluated twice, and the likely ones are found with few. No chance is in it: drawing them
(stochastic beams) cost more time and found the right text less often.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qwencode.messages import Message
from qwencode.model.builtin.prompt import CLOSE_CALL, beginning
from qwencode.model.builtin.task import Proposal, Task
from qwencode.model.dialect import qwen
from qwencode.model.dialect.qwen import Piece
from qwencode.model.llama.batch import BatchEngine
from qwencode.model.llama.gguf_header import check
from qwencode.model.llama.state import common_length
from qwencode.model.llama.transcript import Transcript
from qwencode.model.llama.vocabulary import CONTROL, UNUSED, USER_DEFINED

COUNT = 16
"""Proposals for a line, by default."""
LEAST = 1e-4
"""What is less probable than this is not worth a try, nor the time to write it down."""
_PROMPT = 1024  # tokens
_REPLY = 96  # tokens: a line or two
_BATCH = 64
"""Tokens of a question that are evaluated at a time. After each such batch its state is kept in a sequence of its own,
so that the next question, which is often about another line of the same function, goes on from there."""
_ROOT = 0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Beam:
    """What is written so far in a sequence. `greedy`: it has always taken the likeliest token."""

    sequence: int
    tokens: tuple[int, ...]
    text: bytes
    logprob: float
    greedy: bool


class Proposer:
    """The built-in model, loaded. Implements `qwencode.repair.proposals.Proposals`; one thread at a time may call.

    `count`: proposals for a line, at most; `least`: their probability at least. `end` is the text at which a proposal
    ends. Raises ModelUnavailable when the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        threads: int = 1,
        *,
        count: int = COUNT,
        least: float = LEAST,
        end: str = CLOSE_CALL,
    ):
        check(path)
        self._count = count
        self._least = float(np.log(max(least, 1e-300)))
        self._end = end
        kept = _PROMPT // _BATCH
        self._engine = BatchEngine(path, 1 + count + kept, 2 * _PROMPT + count * _REPLY, _BATCH, threads)
        self._kept = range(1 + count, 1 + count + kept)
        self._live: list[int] = []  # the tokens of the root
        self._pieces = [self._engine.piece(token) for token in range(self._engine.vocab_size)]
        kinds = [self._engine.attributes(token) for token in range(self._engine.vocab_size)]
        self._silent = np.array([bool(bits & (CONTROL | UNUSED)) for bits in kinds])  # they stand for no text
        literals = [
            piece.decode(errors="replace")
            for piece, bits in zip(self._pieces, kinds, strict=True)
            if bits & USER_DEFINED
        ]
        self._transcript = Transcript(self._engine, literals)
        self._asked: Task | None = None
        self._follows: Floats = np.empty((1, 0))

    def close(self) -> None:
        """Free everything. Idempotent; nothing else may be called afterwards."""
        self._engine.close()

    def tokens(self, task: Task) -> list[int]:
        """Return the tokens of a task, up to where a proposal begins. Text from outside makes no control token."""
        message = Message("user", task.question)
        pieces = [*qwen.render(None, message), *qwen.open_reply(message, False), *beginning(task.file, task.old)]
        return self._transcript.encode(pieces)

    def written(self, new: str) -> list[int]:
        """Return the tokens of a proposal as the tokeniser spells it, its end included."""
        return self._transcript.encode([Piece(new, False), Piece(self._end, True)])

    def propose(self, task: Task) -> list[Proposal]:
        """Return distinct other texts for the place of the line, likeliest first; none where the task is too long.

        The likeliest continuation of all, token by token, is always among them, if it ends and changes the line. The
        line as it is counts as impossible: what probability it has is shared out among the others.
        """
        if not self._ask(task):
            return []
        beams, rows = [_Beam(_ROOT, (), b"", 0.0, True)], self._follows
        found: dict[str, float] = {}
        for _ in range(_REPLY):
            grown: list[_Beam] = []
            for beam in self._grow(beams, rows):
                end = beam.text.find(self._end.encode())
                if end < 0:
                    grown.append(beam)
                    continue
                new = beam.text[:end].decode(errors="replace")
                found[new] = max(beam.logprob, found.get(new, -np.inf))
            floor = sorted(found.values(), reverse=True)[
                self._count : self._count + 1
            ]  # the old line may be among them
            grown = [beam for beam in grown if beam.greedy or not floor or beam.logprob > floor[0]]
            if not grown:
                break
            beams = self._share(beams, grown)
            at = len(self._live) + len(beams[0].tokens) - 1
            rows = _log_softmax(
                self._engine.step([b.sequence for b in beams], [b.tokens[-1] for b in beams], [at] * len(beams))
            )
        same = math.log1p(-min(math.exp(found.pop(task.old, -math.inf)), 1 - 1e-6))
        best = sorted(found.items(), key=lambda item: (-item[1], item[0]))[: self._count]
        return [Proposal(new, min(0.0, logprob - same)) for new, logprob in best if "\ufffd" not in new]

    def score(self, task: Task, news: Sequence[str]) -> list[float]:
        """Return for each of some texts the natural logarithm of the probability that it stands in the line's place.

        Minus infinity for a text that is too long, and for all of them where the task is.
        """
        scores = [-np.inf] * len(news)
        if not self._ask(task):
            return scores
        written = [(at, tokens) for at, new in enumerate(news) if len(tokens := self.written(new)) <= _REPLY]
        for start in range(0, len(written), self._count):
            group = written[start : start + self._count]
            for (at, _), total in zip(group, self._likelihoods([tokens for _, tokens in group]), strict=True):
                scores[at] = total
        return scores

    def _likelihoods(self, continuations: Sequence[Sequence[int]]) -> list[float]:
        """Return the log-probabilities of as many continuations as there are sequences beside the root."""
        length = len(self._live)
        totals = [float(self._follows[0, tokens[0]]) for tokens in continuations]
        self._part()
        for sequence in range(1, 1 + len(continuations)):
            self._engine.copy(_ROOT, sequence)
        for at in range(1, max(len(tokens) for tokens in continuations)):
            alive = [number for number, tokens in enumerate(continuations) if at < len(tokens)]
            before = [continuations[number][at - 1] for number in alive]
            rows = _log_softmax(self._engine.step([1 + n for n in alive], before, [length + at - 1] * len(alive)))
            for number, row in zip(alive, rows, strict=True):
                totals[number] += float(row[continuations[number][at]])
        return totals

    def _ask(self, task: Task) -> bool:
        """Evaluate the question, unless it is the last one that was asked. False: it does not fit."""
        self._part()
        if task == self._asked:
            return True
        self._asked = None
        tokens = self.tokens(task)
        if len(tokens) > _PROMPT:
            return False
        self._read(tokens)
        self._asked = task
        return True

    def _read(self, tokens: list[int]) -> None:
        """Make the root hold these tokens and no others, and keep what may follow."""
        live, self._live = self._live, []  # nothing is certain until it is evaluated
        shared = min(common_length(live, tokens), len(tokens) - 1) // _BATCH
        for sequence in (_ROOT, *self._kept[shared:]):
            self._engine.drop(sequence)
        if shared:
            self._engine.copy(self._kept[shared - 1], _ROOT)
        for at in range(shared * _BATCH, len(tokens), _BATCH):
            self._follows = _log_softmax(self._engine.extend(_ROOT, tokens[at : at + _BATCH], at)[None, :])
            if at + _BATCH <= len(tokens):
                self._engine.copy(_ROOT, self._kept[at // _BATCH])
        self._live = tokens

    def _grow(self, beams: Sequence[_Beam], rows: Floats) -> list[_Beam]:
        """Return the likeliest beams that come of these by one token, as many as there is room for."""
        grown: list[_Beam] = []
        for beam, row in zip(beams, rows, strict=True):
            masked = np.where(self._silent, -np.inf, row)
            best = int(masked.argmax())
            likely = np.flatnonzero(beam.logprob + masked >= self._least)
            chosen = likely[np.argsort(-masked[likely], kind="stable")[: self._count]].tolist()
            for token in chosen if not beam.greedy or best in chosen else [best, *chosen]:
                text, logprob = beam.text + self._pieces[token], beam.logprob + float(row[token])
                grown.append(_Beam(beam.sequence, (*beam.tokens, token), text, logprob, beam.greedy and token == best))
        return sorted(grown, key=lambda beam: (not beam.greedy, -beam.logprob))[: self._count]

    def _share(self, beams: Sequence[_Beam], grown: Sequence[_Beam]) -> list[_Beam]:
        """Give each of the grown beams a sequence of its own that begins as the one that it has grown from."""
        parents = {beam.sequence for beam in grown} - {_ROOT}
        for beam in beams:
            if beam.sequence not in parents and beam.sequence != _ROOT:
                self._engine.drop(beam.sequence)
        free = [number for number in range(1, 1 + self._count) if number not in parents]
        placed: list[_Beam] = []
        for beam in grown:
            if beam.sequence in parents:
                parents.remove(beam.sequence)  # nothing is evaluated here, so the others can still be copied from it
                placed.append(beam)
            else:
                sequence = free.pop()
                self._engine.copy(beam.sequence, sequence)
                placed.append(replace(beam, sequence=sequence))
        return placed

    def _part(self) -> None:
        """Leave nothing but the question."""
        for sequence in range(1, 1 + self._count):
            self._engine.drop(sequence)


def _log_softmax(logits: NDArray[np.floating]) -> Floats:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
