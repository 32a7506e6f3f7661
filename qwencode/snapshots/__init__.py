"""The user's work, kept: the state of the working tree before a run, taken back on failure, crash or demand.

`Run.begin` keeps the tree, `Run.restore` puts it back, `Run.finish` closes the run; `recover` mends after a crash and
`undo` takes a kept run back at any later time. Everything lies in git's own directory: contents as git objects under
`refs/qwencode/`, the rest in `.git/qwencode/`. The index, HEAD, branches, stash and reflogs are never touched.
"""

from qwencode.snapshots.commit import commit_paths, commit_staged, last_commit, staged
from qwencode.snapshots.later import Conflicts, Moved, change, move, undo, unsaved
from qwencode.snapshots.run import UNCHANGED, Run, recover

__all__ = [
    "UNCHANGED",
    "Conflicts",
    "Moved",
    "Run",
    "change",
    "commit_paths",
    "commit_staged",
    "last_commit",
    "move",
    "recover",
    "staged",
    "undo",
    "unsaved",
]
