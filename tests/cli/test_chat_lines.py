"""`qwencode chat`, `ask` and `sessions` as processes, without a terminal, with a model behind a server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from loopback import Loopback

Qwencode = Callable[..., "CompletedProcess[str]"]
