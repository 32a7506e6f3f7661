"""How likely a text is as what comes next: the sum of the logarithms of the probabilities of its tokens."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qwencode.model.llama.state import LiveState
from qwencode.model.protocol import Likelihood


def likelihood(live: LiveState, tokens: Sequence[int], outputs: int) -> Likelihood:
    """Evaluate a text behind the live tokens, the logits after which are known, and take it back.

    At most `outputs` tokens at a time, for so many logits can be asked for. What was live before is live afterwards,
    at the cost of going back to a checkpoint where the text was longer than what can be rolled back.
    """
    before, total = list(live.tokens), 0.0
    if tokens:
        total = _logprob(live.logits, tokens[0])
    most = min(outputs, live.batch_size)
    try:
        for start in range(0, len(tokens) - 1, most):
            part, follow = tokens[start : min(start + most, len(tokens) - 1)], tokens[start + 1 :]
            live.extend(part, outputs=len(part))
            for at in range(len(part)):
                total += _logprob(live.logits_before(len(part) - 1 - at), follow[at])
    finally:
        live.align(before)
    return Likelihood(total, len(tokens))


def _logprob(logits: NDArray[np.float32], token: int) -> float:
    wide = logits.astype(np.float64)
    top = wide.max()
    return float(wide[token] - top - np.log(np.exp(wide - top).sum()))
