"""Which tests a change touches: imports of every form, the map of earlier runs, and what is kept on disk."""

from collections.abc import Callable
from pathlib import Path

import pytest
from review_ground import write_files

from qwencode.review.cache import Cache, FindingReported
from qwencode.review.chosen import python_paths, test_files, touches_code
from qwencode.review.coverage_map import CoverageMap, remember
from qwencode.verify.results import TestResult, TestRun
from qwencode.workspace import Workspace

test_files.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]
FILES = {
    "src/shop/__init__.py": "from .price import total\n",
    "src/shop/price.py": "from shop.tax import (\n    rate,\n    zero,\n)\n",
    "src/shop/tax.py": "import json\n\nRATES = 'rates.json'\n",
    "src/shop/cart.py": "import shop.price as p, os\n",
    "src/shop/alone.py": "x = 1\n",
    "rates.json": "{}\n",
    "tests/conftest.py": "from shop_settings import alone\n",
    "tests/test_tax.py": "from shop.tax import rate\n",
    "tests/test_cart.py": "def test():\n    from shop import cart\n",
    "tests/deep/test_other.py": "import os\n",
}


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        (["src/shop/tax.py"], ["tests/test_tax.py", "tests/test_cart.py"]),
        (["src/shop/cart.py"], ["tests/test_cart.py"]),
        (["src/shop/price.py"], ["tests/test_cart.py"]),
        (["rates.json"], ["tests/test_tax.py", "tests/test_cart.py"]),
        (["tests/deep/test_other.py"], ["tests/deep/test_other.py"]),
        (["tests/conftest.py"], ["tests/deep/test_other.py", "tests/test_cart.py", "tests/test_tax.py"]),
        (["src/shop/gone.py"], []),
        (["README.md"], []),
    ],
)
def test_by_imports(tmp_path: Path, changed: list[str], tests: list[str]):
    write_files(tmp_path, dict(FILES))
    found = test_files(tmp_path, sorted(FILES), changed)
    assert sorted(found) == sorted(tests)
    assert found[:1] == tests[:1]


def test_a_module_that_is_gone_is_still_imported(tmp_path: Path):
    files = {name: text for name, text in FILES.items() if name != "src/shop/tax.py"}
    write_files(tmp_path, dict(files))
    assert "tests/test_tax.py" in test_files(tmp_path, sorted(files), ["src/shop/tax.py"])


def test_prose_touches_no_test_unless_it_lies_among_them():
    assert not touches_code(["README.md", "docs/a.rst", "logo.PNG", "LICENSE"])
    assert touches_code(["tests/data/expected.txt"])
    assert touches_code(["rates.json"])


def test_the_map_chooses_the_narrowest_tests_first(tmp_path: Path):
    results = {
        test: TestResult(test, "passed", 0.1, file=test.split("::")[0])
        for test in ("t_a.py::x", "t_b.py::y", "t_b.py::z")
    }
    ran = {"t_a.py::x": {"a.py": [1], "b.py": [2]}, "t_b.py::y": {"b.py": [1]}, "t_b.py::z": {"c.py": [1]}}
    coverage = {test: {file: frozenset(lines) for file, lines in files.items()} for test, files in ran.items()}
    known = CoverageMap.load(tmp_path, Path("/repository"))
    known.learn(TestRun("ran", results, "", 1.0, coverage), {"t_a.py": "1", "t_b.py": "2"})
    known.save()
    again = CoverageMap.load(tmp_path, Path("/repository"))
    assert again.tests == known.tests
    assert again.touching(["b.py"]) == ["t_b.py::y", "t_a.py::x"]
    assert again.touching(["t_b.py"]) == ["t_b.py::y", "t_b.py::z"]
    again.forget(["t_b.py"])
    assert again.files() == {"t_a.py"}
    assert CoverageMap.load(tmp_path, Path("/another")).tests == {}


def test_a_run_in_the_work_tree_is_remembered(repository: Path, run_git: Callable[..., str], tmp_path: Path):
    write_files(repository, {"t_a.py": "1\n", "t_b.py": "2\n"})
    run_git(repository, "add", "--all")
    write_files(repository, {"t_b.py": "3\n"})
    tests = {f"{name}.py::x": TestResult(f"{name}.py::x", "passed", file=f"{name}.py") for name in ("t_a", "t_b")}
    coverage = {test: {result.file: frozenset({1})} for test, result in tests.items()}
    remember(tmp_path / "maps", Workspace(repository), TestRun("ran", tests, "", 1.0, coverage))
    known = CoverageMap.load(tmp_path / "maps", (repository / ".git").resolve()).tests
    assert known["t_a.py::x"].oid == run_git(repository, "rev-parse", ":t_a.py").strip()
    assert known["t_b.py::x"].oid == ""  # it was not run as git has it


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "paths": [], "tests": {"t": [0, "", 0, [5]]}}', "\0"])
def test_a_map_that_does_not_load_is_an_empty_one(tmp_path: Path, text: str):
    known = CoverageMap.load(tmp_path, Path("/repository"))
    known.path.write_text(text)
    assert CoverageMap.load(tmp_path, Path("/repository")).tests == {}


@pytest.mark.parametrize(
    "text", ["", "[]", '{"key": "other", "findings": []}', '{"findings": [{"file": 1}]}', "nonsense"]
)
def test_a_result_that_does_not_load_is_a_miss(tmp_path: Path, text: str):
    cache = Cache(tmp_path / "reviews")
    key = cache.key("quick", "a", "b")
    found = [FindingReported("a.py", 3, "error", "x/y", "Wrong.", replacement="")]
    assert cache.load(key) is None
    cache.save(key, found)
    assert cache.load(key) == found
    (tmp_path / "reviews" / f"{key}.json").write_text(text)
    assert cache.load(key) is None


def test_the_cache_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("qwencode.review.cache.ALL_BYTES", 3_000)
    cache = Cache(tmp_path)
    keys = [cache.key("quick", str(number)) for number in range(20)]
    for key in keys:
        cache.save(key, [FindingReported("a.py", 1, "note", "x/y", "w" * 300)])
    cache.clear()
    assert sum(path.stat().st_size for path in tmp_path.glob("*.json")) <= 3_000
    assert cache.load(keys[0]) is None
    assert cache.load(keys[-1]) is not None


def test_the_copy_comes_before_an_editable_install(tmp_path: Path):
    original, copy = tmp_path / "original", tmp_path / "copy"
    site = original / ".venv" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (site / "shop.pth").write_text(f"{original}/lib\n/elsewhere\nimport os\n")
    for folder in ("src", "lib"):
        (copy / folder).mkdir(parents=True)
    assert python_paths(copy, original, str(original / ".venv/bin/python")) == [str(copy / "src"), str(copy / "lib")]
