"""The programs that build the built-in model are no part of the package: they are found through their folder."""

import sys
from pathlib import Path

TOOLS = Path(__file__).parents[2] / "tools"

if str(TOOLS) not in sys.path:
    sys.path.insert(0, str(TOOLS))
