"""How far a measured share may be from the true one."""

import math

TWO_SIDED_95 = 1.959964


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, after Wilson (1927)."""
    if not total:
        return (0.0, 1.0)
    share, square = hits / total, TWO_SIDED_95**2
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = TWO_SIDED_95 * math.sqrt(share * (1 - share) / total + square / (4 * total**2)) / (1 + square / total)
    return (max(0.0, middle - half), min(1.0, middle + half))
