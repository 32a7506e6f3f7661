"""Makes the modules of tools/ importable as they are when a tool is started."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
