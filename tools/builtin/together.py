"""Several processes that train the same weights, each on batches of its own: what they know is summed at every step.

Two processes of one thread see half as many samples again as one process of two threads, which wait for one another in
every small operation.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor


class Together:
    """This process among the others. `size` 1: it is alone, and nothing is exchanged."""

    def __init__(self, rank: int = 0, size: int = 1, meeting: Path | None = None):
        """Join the others at `meeting`, a file that is not there yet; all wait for the last to come."""
        self.rank, self.size = rank, size
        if size > 1:
            dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)

    def add(self, parts: Sequence[Tensor]) -> None:
        """Put into each tensor the sum of those of all processes: the same bits in all of them."""
        if self.size == 1:
            return
        flat = torch.cat([part.reshape(-1) for part in parts])
        dist.all_reduce(flat)
        for part, summed in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
            part.copy_(summed.view(part.shape))

    def mean(self, value: float) -> float:
        """Return the mean of a number over all processes."""
        total = torch.tensor([value], dtype=torch.float64)
        self.add([total])
        return float(total) / self.size

    def leave(self) -> None:
        """Part from the others."""
        if self.size > 1:
            dist.destroy_process_group()
