"""The programs that build the built-in model are no part of the package: they are found through their folder.

Torch has one thread here, and none that spins, since the other cores run other tests.
"""

import os
import sys
from pathlib import Path

TOOLS = Path(__file__).parents[2] / "tools"

if str(TOOLS) not in sys.path:
    sys.path.insert(0, str(TOOLS))
os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")  # read when torch is loaded
