"""Conversations that a test holds, closed at its end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chat_ground import Held, hold


@pytest.fixture
def talking(repository: Path, own_directories: Path) -> Iterator[Callable[..., Held]]:
    """Return a function that opens a conversation in the repository with a scripted model."""
    opened: list[Held] = []

    def begin(*lines: Any, **others: Any) -> Held:
        opened.append(hold(repository, own_directories, lines, **others))
        return opened[-1]

    yield begin
    for held in opened:
        held.chat.close()
