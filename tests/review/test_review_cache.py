"""What was kept of earlier reviews is either as it was written or not there, whatever the files hold by now."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.events import FindingReported
from qwencode.review.cache import Cache
from qwencode.review.coverage_map import CoverageMap

FOUND = FindingReported("a\udcff.py", 3, "warning", "leftovers/print", "It prints.", "Delete it.", "")
WRONG = {
    "file": ["", 3, None, ["a"]],
    "line": [0, 1.5, "1", True, None],
    "severity": ["huge", 1, None, ["error"]],
    "rule": [3, None],
    "what": [5, None, {}],
    "suggestion": [5, None],
    "replacement": [5, []],
    "more": [1],
}


def rewrite(folder: Path, text: str) -> None:
    for path in folder.glob("*.json"):
        path.write_text(text)


def test_what_was_kept_comes_back(tmp_path: Path):
    cache = Cache(tmp_path)
    cache.save(cache.key("quick", "x"), [FOUND])
    assert cache.load(cache.key("quick", "x")) == [FOUND]
    assert cache.load(cache.key("quick", "y")) is None


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_field_that_cannot_be_shown_is_a_miss(tmp_path: Path, name: str, value: object):
    cache, key = Cache(tmp_path), Cache(tmp_path).key("quick", "x")
    cache.save(key, [FOUND])
    row = json.loads((tmp_path / f"{key}.json").read_text())
    row["findings"][0][name] = value
    rewrite(tmp_path, json.dumps(row))
    assert cache.load(key) is None


@pytest.mark.parametrize("text", ["", "[" * 100_000, "null", "[]", '{"key": 1}', '{"findings": 3}', "9" * 5000, "\0"])
def test_what_is_no_result_is_a_miss(tmp_path: Path, text: str):
    cache, key = Cache(tmp_path), Cache(tmp_path).key("quick", "x")
    cache.save(key, [FOUND])
    rewrite(tmp_path, text)
    assert cache.load(key) is None


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda each: st.lists(each, max_size=4))
ROWS = st.dictionaries(st.text(), st.lists(st.integers(-2, 3) | st.text() | st.lists(st.integers(-2, 3)), max_size=5))


@settings(max_examples=30, deadline=None)
@given(paths=JSON, tests=JSON | ROWS)
def test_a_map_is_whole_or_empty(tmp_path_factory: pytest.TempPathFactory, paths: object, tests: object):
    folder = tmp_path_factory.mktemp("map")
    CoverageMap.load(folder, folder).save()
    rewrite(folder, json.dumps({"format": 2, "paths": paths, "tests": tests}))
    known = CoverageMap.load(folder, folder)
    known.touching(["a"])
    known.files()
    known.save()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": 2, "paths": ["a"], "tests": [1]}', "[]", "9" * 5000])
def test_what_is_no_map_is_an_empty_one(tmp_path: Path, text: str):
    CoverageMap.load(tmp_path, tmp_path).save()
    rewrite(tmp_path, text)
    assert CoverageMap.load(tmp_path, tmp_path).tests == {}
