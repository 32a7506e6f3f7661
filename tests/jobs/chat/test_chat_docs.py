"""The pages say what the code does: their tables are made from it, and their links lead somewhere."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools" / "make_docs.py"


def test_the_tables_of_the_pages_are_those_of_the_code():
    spec = importlib.util.spec_from_file_location("make_docs", TOOL)
    assert spec and spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for page in tool.PAGES:
        assert tool.filled(page) == page.read_text(encoding="utf-8"), "PYTHONPATH=. python tools/make_docs.py"


def test_every_relative_link_leads_to_a_file_and_every_page_is_listed():
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in pages:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"
    tree = pages[0].read_text(encoding="utf-8").partition("## What is where")[2]
    assert not [page.name for page in pages[2:] if page.name not in tree]
