"""The real llama.cpp on the tiny file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import Engine
from qwencode.model.llama.model import LlamaModel


@pytest.fixture(scope="session")
def engine(tiny: Path) -> Iterator[Engine]:
    """Return the tiny file, loaded, with a context of 2,048 tokens."""
    engine = Engine(tiny, Fit(context=2048, threads=1, batch=64))
    yield engine
    engine.close()


@pytest.fixture
def model(tiny: Path) -> Iterator[LlamaModel]:
    """Return the tiny file as a model, with a context of 4,096 tokens."""
    model = LlamaModel(tiny, Fit(context=4096, threads=1, batch=64), string_limit=40)
    yield model
    model.close()
