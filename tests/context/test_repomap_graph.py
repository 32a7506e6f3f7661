"""PageRank that is passed on, and which definition a name means."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.context.repomap.extract import tags_of
from qwencode.context.repomap.graph import Graph, spread
from qwencode.context.repomap.parsing import Parsed
from qwencode.context.repomap.worker import answer
from qwencode.languages import language_of


def graph_of(files: Mapping[str, str]) -> Graph:
    return Graph({path: parsed_from(text, language_of(path)) for path, text in files.items()})


def parsed_from(text: str, language: str) -> Parsed:
    return Parsed(*answer("", tags_of(text.encode(), language)))


def uses(graph: Graph, path: str, definition: int = -1) -> list[str]:
    """Return the places that a node leads to, the heaviest first."""
    edges = sorted(graph.edges(graph.node(path, definition)), key=lambda edge: -edge[1])
    return [f"{path}:{index}" for path, index in (graph.place(node) for node, _ in edges)]


weights = st.dictionaries(st.integers(0, 8), st.floats(0, 10), max_size=5)


@settings(max_examples=60, deadline=None)
@given(seeds=weights, links=st.dictionaries(st.integers(0, 8), weights, max_size=9))
def test_rank_sums_to_one_and_stays_where_it_can_get(seeds: dict[int, float], links: dict[int, dict[int, float]]):
    def edges(node: int) -> list[tuple[int, float]]:
        targets = links.get(node, {})
        total = max(sum(targets.values()), 1.0)
        return [(target, weight / total) for target, weight in targets.items()]

    rank = spread(seeds, edges)
    if not sum(seeds.values()):
        assert rank == {}
        return
    assert abs(sum(rank.values()) - 1) < 1e-9 and all(mass >= -1e-12 for mass in rank.values())
    reached, waiting = set[int](), [node for node, weight in seeds.items() if weight]
    while waiting:
        reached.add(node := waiting.pop())
        waiting += [target for target, _ in edges(node) if target not in reached]
    assert rank.keys() <= reached


def test_what_is_nearer_ranks_higher():
    chain = {n: [(n + 1, 1.0)] for n in range(5)}
    rank = spread({0: 1.0}, lambda node: chain.get(node, []))
    assert sorted(rank, key=lambda node: -rank[node])[:4] == [0, 1, 2, 3]


class TestWhichDefinitionIsMeant:
    def test_the_same_file_before_an_imported_one_before_any_other(self):
        files = {
            "a.py": "from bbb import f\n\ndef f(): 0\n\ndef g(): f()\n",
            "bbb.py": "def f(): 0\n",
            "c.py": "def f(): 0\n",
            "d.py": "import bbb\n\ndef h(): bbb.f()\n",
        }
        graph = graph_of({f"src/{name}": text for name, text in files.items()} | {"other/e.py": "def f(): 0\n"})
        assert uses(graph, "src/a.py", 1)[0] == "src/a.py:0"
        assert uses(graph, "src/d.py", 0)[0] == "src/bbb.py:0"
        assert "other/e.py:0" not in uses(graph, "src/d.py", 0)[:3]

    def test_a_name_that_a_package_exports(self):
        files = {
            "shop/__init__.py": "from shop.shelf import put\n",
            "shop/shelf.py": "def put(): 0\n",
            "else/shelf.py": "def put(): 0\n",
            "tests/test_it.py": "from shop import put\n\ndef test_put(): put()\n",
        }
        assert uses(graph_of(files), "tests/test_it.py", 0)[0] == "shop/shelf.py:0"

    def test_fixtures_and_properties_are_found_without_a_call(self):
        files = {
            "tests/conftest.py": "from shop import Shelf\n\n@fixture\ndef shelf(): return Shelf()\n",
            "tests/test_it.py": "def test_it(shelf): assert shelf.width\n",
            "shop.py": "class Shelf:\n    @property\n    def width(self): return 1\n",
        }
        graph = graph_of(files)
        assert "tests/conftest.py:0" in uses(graph, "tests/test_it.py", 0)
        assert "shop.py:0" in uses(graph, "tests/conftest.py", 0)

    def test_a_bare_word_means_nothing_in_a_file_that_is_not_spoken_of(self):
        files = {"a/x.py": "def f():\n    'All where we join.'\n", "b/y.py": "def where(): 0\n\ndef join(): 0\n"}
        assert uses(graph_of(files), "a/x.py", 0) == []

    def test_a_class_leads_to_how_it_is_made(self):
        graph = graph_of({"a.py": "class A:\n    def other(self): 0\n    def __init__(self): 0\n"})
        assert uses(graph, "a.py", 0) == ["a.py:2"]


def test_names_that_are_everywhere_private_or_short_weigh_less():
    files = {f"m{n}.py": f"def common(): 0\n\ndef special{n}(): common(); log()\n" for n in range(20)}
    graph = graph_of(files | {"log.py": "def log(): 0\n\ndef ab(): 0\n\ndef rare(): 0\n"})
    assert graph.weight("common") < graph.weight("log") < graph.weight("rare")
    assert graph.weight("ab") < graph.weight("rare") and graph.weight("__eq__") < graph.weight("rare")
    files = {
        "u.py": "import ppp\n\ndef u(): ppp._hidden(); ppp.shown()\n",
        "ppp.py": "def _hidden(): 0\n\ndef shown(): 0\n",
    }
    edges = dict(graph_of(files).edges(graph_of(files).node("u.py", 0)))
    assert edges[graph_of(files).node("ppp.py", 0)] < edges[graph_of(files).node("ppp.py", 1)]
