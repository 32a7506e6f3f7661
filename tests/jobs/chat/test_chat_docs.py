"""The page about the session says what the code does."""

import importlib.util
from pathlib import Path

TOOL = Path(__file__).parents[3] / "tools" / "make_docs.py"


def test_the_tables_of_the_page_are_those_of_the_code():
    spec = importlib.util.spec_from_file_location("make_docs", TOOL)
    assert spec and spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = tool.PAGE.read_text(encoding="utf-8")
    assert tool.filled(page) == page, "PYTHONPATH=. python tools/make_docs.py"
