"""What a job mends on."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from qwencode.jobs.ground import Worked
from qwencode.snapshots import Run
from qwencode.snapshots.tree import Entry
from qwencode.workspace import Workspace


class Pressed(Run):
    """A run during whose second look at a file Ctrl-C is pressed."""

    looks = 0

    def _files(self, name: str) -> Mapping[str, Entry]:
        self.looks += 1
        if self.looks == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return super()._files(name)


def test_what_it_writes_is_its_own_where_ctrl_c_comes_meanwhile(repository: Path):
    workspace = Workspace.find(repository)
    run = Pressed.begin(workspace, "20260101-000000-aaaa")
    with pytest.raises(KeyboardInterrupt):
        Worked(workspace, run).create("made.py", "x = 1\n")
    assert run.own().keys() == {"made.py"} and run.set_aside() == ""
    run.finish(kept=False)
    assert not (repository / "made.py").exists()
