"""Which of several plausible edits a large model finds likeliest: search proposes, tests decide, the model ranks.

To load a model only for that is worth it where it is a matter of seconds, which for a file of 22 GB it is not. So it
ranks when it is there anyway, as for a cause that is searched again after the model mended another one, or when loading
and reading are known to take JUDGING_SECONDS at most.
"""

import ast
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from qwencode.errors import ModelUnavailable
from qwencode.events import Event, Notice
from qwencode.jobs.agent_part import AgentPart
from qwencode.jobs.ground import Ground
from qwencode.model.protocol import Judges, Model
from qwencode.repair.localise import Ranking
from qwencode.repair.proposals import differing
from qwencode.repair.search import Patch
from qwencode.tools.toolbox import declarations
from qwencode.verify.results import Baseline

JUDGING_SECONDS = 20.0
_TOKEN_CHARS = 3  # of code and tracebacks, rather fewer than there are
_PREFIX_TOKENS = 1_500


@dataclass(frozen=True, slots=True)
class Judging:
    """Orders plausible edits by what a model makes of them.

    `loaded` gives the model when it is there already; `seconds` says how long it would take to have it read so many
    tokens otherwise, and is None where there is none that could.
    """

    ground: Ground
    goal: str
    loaded: Callable[[], Model | None]
    open_model: Callable[[], Generator[Event, None, Model]]
    seconds: Callable[[int], float] | None

    def order(
        self, baseline: Baseline, ranking: Ranking, patches: Sequence[Patch]
    ) -> Generator[Event, None, Sequence[Patch]]:
        """Return the patches with the likeliest first; as they are where no model can say, or all come to the same."""
        if len({_form(patch) for patch in patches}) < 2:
            return patches
        history = yield from AgentPart(self.goal, self.ground, baseline, ranking).opening()
        tokens = _PREFIX_TOKENS + sum(len(message.content) for message in history[1:]) // _TOKEN_CHARS
        model = self.loaded()
        try:
            if model is None and self.seconds and self.seconds(tokens) <= JUDGING_SECONDS:
                model = yield from self.open_model()
            if not isinstance(model, Judges):
                return patches
            found = yield from model.likelihoods(history, declarations(), [stated(patch) for patch in patches])
        except ModelUnavailable as error:
            yield Notice(f"The edits stay in the order of the search: {error}", "warning")
            return patches
        likely = dict(zip(patches, (each.total for each in found), strict=True))
        ordered = sorted(patches, key=lambda patch: -likely[patch])
        yield Notice(f"Of {len(patches)} edits that pass, the model finds this one likeliest: {ordered[0].what}.")
        return ordered


def stated(patch: Patch) -> str:
    """Return an edit as an assistant would put it. Where it is made counts as well as what is written there."""
    old, new = patch.before.splitlines(), patch.after.splitlines()
    start, end, new_end = differing(old, new)
    was, now = ("\n".join(rows) for rows in (old[start:end], new[start:new_end]))
    place = f"The fault is in {patch.file}, line {start + 1}:\n```python\n{was}\n```\n"
    return f"{place}It should be:\n```python\n{now}\n```"


def _form(patch: Patch) -> str:
    """Return a file's text after a patch but for blanks and brackets that make no difference."""
    try:
        return patch.file + ast.dump(ast.parse(patch.after))
    except (SyntaxError, ValueError, RecursionError):
        return patch.file + patch.after
