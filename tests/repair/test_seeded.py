"""How many seeded faults search finds: the figure that the operators and their priors are judged by."""

from collections.abc import Callable
from typing import Any

import pytest
from seeded import FAULTS, FILES

from qwencode.repair.search import Budget, search

WANTED = 8
SAMPLE = FAULTS[::8]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_most_seeded_faults_are_mended(lab: Callable[..., Any]):
    found: list[str] = []
    for file, right, wrong in SAMPLE:
        assert FILES[file].count(right) == 1
        workspace, sandbox, baseline, ranking = lab({**FILES, file: FILES[file].replace(right, wrong)})
        assert baseline.goal, wrong
        running = search(workspace, sandbox, baseline, ranking, Budget(120, 2_000))
        while True:
            try:
                next(running)
            except StopIteration as stop:
                found += [wrong] if stop.value.plausible else []
                break
        (workspace.root / file).write_text(FILES[file])
    assert len(found) >= WANTED, found
