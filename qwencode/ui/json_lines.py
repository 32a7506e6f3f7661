"""One JSON object a line for every event, for programs. Everything else goes to stderr."""

import json
from typing import TextIO

from qwencode.event_json import to_dict
from qwencode.events import Event


class JsonLines:
    """Writes every event, deltas included, as it happens."""

    def __init__(self, out: TextIO):
        self._out = out

    def show(self, event: Event) -> None:
        self._out.write(json.dumps(to_dict(event), ensure_ascii=True) + "\n")
        self._out.flush()

    def ask(self, question: str) -> bool | None:
        return None

    def close(self) -> None:
        pass
