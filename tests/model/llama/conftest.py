"""The real llama.cpp on the tiny file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import Engine


@pytest.fixture(scope="session")
def engine(tiny: Path) -> Iterator[Engine]:
    """Return the tiny file, loaded, with a context of 2,048 tokens."""
    engine = Engine(tiny, Fit(context=2048, threads=1, batch=64))
    yield engine
    engine.close()
