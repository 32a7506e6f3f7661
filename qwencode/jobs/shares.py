"""How a budget is shared, so that no cause and no attempt eats all of it."""

import math

from qwencode.agent.budget import Budget, Meter


def part_of(meter: Meter, share: float) -> Budget:
    """Return a share of what a meter has left, one step at least. A limit that is not there is not there in a part."""
    budget = meter.budget
    steps = max(1, math.ceil((budget.steps - meter.steps) * share)) if budget.steps else 0
    return Budget(steps, max(1e-3, (budget.seconds - meter.seconds) * share) if budget.seconds else 0.0)
