"""One question to the built-in model, and what it may answer: values, so that nothing is loaded for them."""

from dataclasses import dataclass

from qwencode.model.builtin import prompt


@dataclass(frozen=True, slots=True)
class Task:
    """A line that may be wrong. `question` is what the model reads; `line` is its number in the file, from 1."""

    file: str
    line: int
    shown: prompt.Excerpt
    question: str

    @property
    def old(self) -> str:
        """The line as it is shown."""
        return self.shown.lines[self.shown.numbers.index(self.line)]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Text for the place of the line of a task, indented as it was shown; '' takes the line away.

    `logprob`: the natural logarithm of its probability, its end included.
    """

    new: str
    logprob: float


def task(file: str, text: str, line: int, failure: str = "") -> Task | None:
    """Return the question about one line of a file, `failure` as `prompt.failure_of` gives it.

    None when the line lies in no function, or in a part that is not shown.
    """
    shown = prompt.excerpt(text, line)
    return Task(file, line, shown, prompt.question(file, shown, [line], failure)) if shown else None
