"""A real model file with random weights, built once for this state of the builder."""

import hashlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

BUILDER = Path(__file__).parents[2] / "tools" / "build_model.py"


@pytest.fixture(scope="session")
def builder() -> ModuleType:
    """Return the module `tools/build_model.py`."""
    spec = importlib.util.spec_from_file_location("build_model", BUILDER)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_model"] = module  # its data classes look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny file; it outlives the test run and is made anew when the builder changes."""
    mark = hashlib.blake2b(BUILDER.read_bytes(), digest_size=8).hexdigest()
    path = tmp_path_factory.getbasetemp().parent / f"tiny-{mark}.gguf"
    if not path.exists():
        own = path.with_name(f"{path.stem}-{os.getpid()}.gguf")
        builder.build(own, builder.PRESETS["tiny"], name="random-tiny")
        own.replace(path)
    return path
