"""A small program of several modules with its tests, and faults to put into it, one at a time.

Written for tuning and testing search repair; the priors of the operators were set on these faults alone.
"""

INVENTORY = '''"""Stock keeping."""

from dataclasses import dataclass, field

LOW = 5
UNITS = {"kg": 1000, "g": 1}


class StockError(Exception):
    """Something is not in stock."""


@dataclass
class Item:
    name: str
    amount: int = 0
    tags: list = field(default_factory=list)

    def is_low(self):
        return self.amount < LOW


class Stock:
    minimum = 1

    def __init__(self, items=None):
        self._items = {}
        self.log = []
        for item in items or []:
            self.add(item)

    def add(self, item):
        known = self._items.get(item.name)
        if known is None:
            self._items[item.name] = item
        else:
            known.amount += item.amount
        self.log.append(("add", item.name))

    def take(self, name, amount):
        if name not in self._items:
            raise StockError(name)
        item = self._items[name]
        if amount < self.minimum:
            raise ValueError("too little")
        if item.amount < amount:
            raise StockError(f"only {item.amount} of {name}")
        item.amount -= amount
        if item.amount == 0:
            del self._items[name]
        self.log.append(("take", name))
        return amount

    @property
    def total(self):
        return sum(item.amount for item in self._items.values())

    def names(self, tag=None):
        found = []
        for name, item in self._items.items():
            if tag is None or tag in item.tags:
                found.append(name)
        return sorted(found)

    def low(self):
        return [item.name for item in self._items.values() if item.is_low()]

    def merged(self, other):
        result = Stock()
        for stock in (self, other):
            for item in stock._items.values():
                result.add(Item(item.name, item.amount, list(item.tags)))
        return result


def grams(text):
    number, unit = text.split()
    return int(number) * UNITS[unit.lower()]
'''

TEXT = '''"""Text shaping."""

import functools
import re

WIDTH = 20


def loud(function):
    @functools.wraps(function)
    def wrapper(text, *rest):
        return function(text.strip(), *rest)

    return wrapper


def wrap(text, width=WIDTH):
    lines = []
    current = ""
    for word in text.split():
        if current and len(current) + 1 + len(word) > width:
            lines.append(current)
            current = word
        elif current:
            current += " " + word
        else:
            current = word
    if current:
        lines.append(current)
    return lines


@loud
def title(text):
    words = [word.capitalize() for word in text.split(" ")]
    return " ".join(words)


def slug(text):
    text = text.lower().strip()
    text = re.sub(r"[^a-z0-9]+", "-", text)
    return text.strip("-")


def counter():
    seen = {}

    def count(word):
        seen[word] = seen.get(word, 0) + 1
        return seen[word]

    return count


def truncate(text, limit):
    if len(text) <= limit:
        return text
    return text[: limit - 3] + "..."


def table(rows):
    if not rows:
        return ""
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [str(cell).ljust(width) for cell, width in zip(row, widths)]
        lines.append(" | ".join(cells).rstrip())
    return "\\n".join(lines)


def parse_pairs(text):
    pairs = {}
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        key, _, value = line.partition("=")
        pairs[key.strip()] = value.strip()
    return pairs


def indent_of(line):
    return len(line) - len(line.lstrip())
'''

ROUTES = '''"""Graphs and times."""

import heapq
from collections import OrderedDict, deque


def shortest(graph, start, end):
    queue = [(0, start)]
    best = {start: 0}
    while queue:
        cost, node = heapq.heappop(queue)
        if node == end:
            return cost
        if cost > best[node]:
            continue
        for neighbour, weight in graph.get(node, {}).items():
            total = cost + weight
            if neighbour not in best or total < best[neighbour]:
                best[neighbour] = total
                heapq.heappush(queue, (total, neighbour))
    return None


def layers(graph, start):
    seen = {start}
    queue = deque([(start, 0)])
    found = {}
    while queue:
        node, depth = queue.popleft()
        found.setdefault(depth, []).append(node)
        for neighbour in graph.get(node, ()):
            if neighbour not in seen:
                seen.add(neighbour)
                queue.append((neighbour, depth + 1))
    return found


def order(graph):
    done = []
    marks = set()

    def visit(node, path=()):
        if node in path:
            raise ValueError("cycle")
        if node in marks:
            return
        marks.add(node)
        for neighbour in sorted(graph.get(node, ())):
            visit(neighbour, (*path, node))
        done.append(node)

    for node in sorted(graph):
        marks_before = len(marks)
        visit(node)
    return done[::-1]


class Cache:
    def __init__(self, size):
        self.size = size
        self.hits = 0
        self._data = OrderedDict()

    def get(self, key, default=None):
        if key not in self._data:
            return default
        self.hits += 1
        self._data.move_to_end(key)
        return self._data[key]

    def put(self, key, value):
        self._data[key] = value
        self._data.move_to_end(key)
        if len(self._data) > self.size:
            self._data.popitem(last=False)


def merge(spans):
    result = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return result


def search(values, wanted):
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    if low < len(values) and values[low] == wanted:
        return low
    return -1


def minutes(text):
    hours, rest = text.split(":")
    return int(hours) * 60 + int(rest)


def average(values):
    if not values:
        return 0.0
    return sum(values) / len(values)


def chunks(values, size):
    for start in range(0, len(values), size):
        yield values[start : start + size]
'''

TESTS = {
    "tests/test_inventory.py": """import pytest

from shop.inventory import Item, Stock, StockError, grams


@pytest.fixture
def stock():
    return Stock([Item("tea", 7, ["drink"]), Item("rice", 3), Item("milk", 5, ["drink"])])


def test_add_twice(stock):
    stock.add(Item("tea", 3))
    assert stock.total == 18


def test_add_logs(stock):
    assert stock.log == [("add", "tea"), ("add", "rice"), ("add", "milk")]


def test_take(stock):
    assert stock.take("tea", 2) == 2
    assert stock.total == 13
    assert stock.log[-1] == ("take", "tea")


def test_take_all(stock):
    stock.take("rice", 3)
    assert stock.names() == ["milk", "tea"]


def test_take_unknown(stock):
    with pytest.raises(StockError):
        stock.take("salt", 1)


def test_take_too_much(stock):
    with pytest.raises(StockError, match="only 3 of rice"):
        stock.take("rice", 4)


@pytest.mark.parametrize("amount", [0, -1])
def test_take_too_little(stock, amount):
    with pytest.raises(ValueError):
        stock.take("tea", amount)


def test_take_one(stock):
    assert stock.take("tea", 1) == 1


def test_names_by_tag(stock):
    assert stock.names("drink") == ["milk", "tea"]
    assert stock.names("food") == []


def test_low(stock):
    assert stock.low() == ["rice"]


def test_merged_is_independent(stock):
    other = Stock([Item("tea", 1), Item("salt", 2)])
    both = stock.merged(other)
    assert both.total == 18
    both.take("tea", 8)
    assert stock.total == 15


def test_two_stocks_share_nothing():
    first, second = Stock(), Stock()
    first.add(Item("tea"))
    assert second.names() == []


@pytest.mark.parametrize("text, expected", [("2 kg", 2000), ("5 g", 5), ("1 KG", 1000)])
def test_grams(text, expected):
    assert grams(text) == expected
""",
    "tests/test_text.py": """import pytest

from shop.text import counter, indent_of, parse_pairs, slug, table, title, truncate, wrap


def test_wrap():
    assert wrap("the quick brown fox jumps", 10) == ["the quick", "brown fox", "jumps"]


def test_wrap_exact():
    assert wrap("aaa bbb", 7) == ["aaa bbb"]


def test_wrap_default():
    assert wrap("aaaaaaaaa bbbbbbbbbb ccc") == ["aaaaaaaaa bbbbbbbbbb", "ccc"]


def test_wrap_empty():
    assert wrap("") == []


def test_title():
    assert title("  hello big world ") == "Hello Big World"


@pytest.mark.parametrize("text, expected", [("Hello, World!", "hello-world"), ("  A  b ", "a-b"), ("x--y", "x-y")])
def test_slug(text, expected):
    assert slug(text) == expected


def test_counter():
    count = counter()
    assert [count("a"), count("b"), count("a")] == [1, 1, 2]


@pytest.mark.parametrize("text, expected", [("abcdef", "abcdef"), ("abcdefg", "abc..."), ("", "")])
def test_truncate(text, expected):
    assert truncate(text, 6) == expected


def test_table():
    assert table([["a", 1], ["bbb", 22]]) == "a   | 1\\nbbb | 22"


def test_table_empty():
    assert table([]) == ""


def test_pairs():
    assert parse_pairs("a = 1\\n# no\\n\\nb=x=y\\n") == {"a": "1", "b": "x=y"}


def test_indent():
    assert indent_of("   x ") == 3
    assert indent_of("x") == 0
""",
    "tests/test_routes.py": """import pytest

from shop.routes import Cache, average, chunks, layers, merge, minutes, order, search, shortest

ROADS = {"a": {"b": 1, "c": 5}, "b": {"c": 2, "d": 7}, "c": {"d": 1}, "d": {}}


def test_shortest():
    assert shortest(ROADS, "a", "d") == 4
    assert shortest(ROADS, "a", "a") == 0


def test_unreachable():
    assert shortest(ROADS, "d", "a") is None
    assert shortest(ROADS, "x", "a") is None


def test_layers():
    assert layers({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": ["a"]}, "a") == {0: ["a"], 1: ["b", "c"], 2: ["d"]}


def test_order():
    assert order({"a": ["b"], "b": ["c"], "c": [], "d": ["a"]}) == ["d", "a", "b", "c"]


def test_order_diamond():
    assert order({"a": ["b", "c"], "b": ["d"], "c": ["d"]}) == ["a", "c", "b", "d"]


def test_order_cycle():
    with pytest.raises(ValueError):
        order({"a": ["b"], "b": ["a"]})


def test_cache_evicts_oldest():
    cache = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("c", 3)
    assert cache.get("a") is None
    assert cache.get("b") == 2


def test_cache_use_keeps():
    cache = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert cache.get("a") == 1
    assert cache.get("b", 0) == 0


def test_cache_rewrite_keeps():
    cache = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("a", 3)
    cache.put("c", 4)
    assert cache.get("a") == 3


def test_cache_counts():
    cache = Cache(1)
    cache.put("a", 0)
    assert cache.get("a") == 0
    cache.get("b")
    assert cache.hits == 1


@pytest.mark.parametrize("spans, expected", [
    ([(1, 3), (2, 5)], [(1, 5)]),
    ([(1, 2), (2, 3)], [(1, 3)]),
    ([(5, 6), (1, 2)], [(1, 2), (5, 6)]),
    ([(1, 9), (2, 3)], [(1, 9)]),
    ([], []),
])
def test_merge(spans, expected):
    assert merge(spans) == expected


@pytest.mark.parametrize("wanted, expected", [(1, 0), (3, 1), (7, 3), (4, -1), (9, -1), (0, -1)])
def test_search(wanted, expected):
    assert search([1, 3, 5, 7], wanted) == expected


def test_minutes():
    assert minutes("02:05") == 125


def test_average():
    assert average([1, 2]) == 1.5
    assert average([]) == 0.0


def test_chunks():
    assert list(chunks([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
""",
}

FILES = {
    "shop/__init__.py": "",
    "shop/inventory.py": INVENTORY,
    "shop/text.py": TEXT,
    "shop/routes.py": ROUTES,
    "conftest.py": "",
    **TESTS,
}

STOCK, WORDS, WAYS = "shop/inventory.py", "shop/text.py", "shop/routes.py"
FAULTS: tuple[tuple[str, str, str], ...] = (  # file, right, wrong
    (STOCK, "self.amount < LOW", "self.amount <= LOW"),
    (STOCK, "LOW = 5", "LOW = 3"),
    (STOCK, "minimum = 1", "minimum = 2"),
    (STOCK, '"kg": 1000', '"kg": 100'),
    (STOCK, "known.amount += item.amount", "known.amount = item.amount"),
    (STOCK, "if item.amount < amount:", "if item.amount > amount:"),
    (STOCK, "item.amount -= amount", "item.amount -= self.minimum"),
    (
        STOCK,
        "self._items = {}\n        self.log = []",
        "self.log = []\n        self._items = {}\n        self.log = None",
    ),
    (STOCK, 'self.log.append(("take", name))\n', 'self.log.append(("add", name))\n'),
    (STOCK, "tag is None or tag in item.tags", "tag is None and tag in item.tags"),
    (STOCK, "tag is None or tag in", "tag in"),
    (STOCK, "return sorted(found)", "return found"),
    (STOCK, "list(item.tags)))", "list(item.tags)))\n            break"),
    (STOCK, "item.amount for item in self._items.values())", "item.amount for item in self._items)"),
    (STOCK, "unit.lower()", "unit"),
    (STOCK, "int(number) *", "number *"),
    (STOCK, "for item in items or []:", "for item in items:"),
    (STOCK, "if name not in self._items:\n            raise StockError(name)\n        item", "item"),
    (STOCK, 'raise ValueError("too little")', 'raise KeyError("too little")'),
    (STOCK, "items=None):\n        self._items = {}", "items=None, known={}):\n        self._items = known"),
    (STOCK, "if item.amount == 0:\n            del self._items[name]\n        self", "self"),
    (STOCK, "        return amount\n\n    @property", "        amount\n\n    @property"),
    (WORDS, "text.strip(), *rest", "text, *rest"),
    (WORDS, "WIDTH = 20", "WIDTH = 30"),
    (WORDS, "> width:", ">= width:"),
    (WORDS, "    if current:\n        lines.append(current)\n    return lines", "    return lines"),
    (WORDS, "current = word\n        elif", 'current = ""\n        elif'),
    (WORDS, "word.capitalize()", "word.upper()"),
    (WORDS, '" ".join(words)', '"".join(words)'),
    (WORDS, "[^a-z0-9]+", "[^a-z0-9]"),
    (WORDS, 'return text.strip("-")', "return text"),
    (WORDS, "text.lower().strip()", "text.strip()"),
    (WORDS, "seen.get(word, 0) + 1", "seen.get(word, 1) + 1"),
    (WORDS, "len(text) <= limit", "len(text) < limit"),
    (WORDS, "limit - 3]", "limit]"),
    (WORDS, 'if not rows:\n        return ""\n    widths', "widths"),
    (WORDS, "zip(row, widths)", "zip(widths, row)"),
    (WORDS, ".ljust(width)", ".rjust(width)"),
    (WORDS, "max(len(str(row[i]))", "max(len(row[i])"),
    (WORDS, "if not line or", "if"),
    (WORDS, "            continue", "            break"),
    (WORDS, "value.strip()", "value"),
    (WORDS, 'line.partition("=")', 'line.rpartition("=")'),
    (WORDS, "line.lstrip()", "line.strip()"),
    (WAYS, "total < best[neighbour]", "total > best[neighbour]"),
    (WAYS, "total = cost + weight", "total = weight"),
    (WAYS, "            return cost\n", "            return best\n"),
    (WAYS, "graph.get(node, {})", "graph[node]"),
    (WAYS, "neighbour not in best or ", ""),
    (WAYS, "queue.popleft()", "queue.pop()"),
    (WAYS, "seen.add(neighbour)\n", "seen.add(node)\n"),
    (WAYS, "depth + 1", "depth"),
    (WAYS, "                seen.add(neighbour)\n", ""),
    (WAYS, "return done[::-1]", "return done"),
    (WAYS, "visit(neighbour, (*path, node))", "visit(neighbour, path)"),
    (WAYS, "            return\n        marks", "            pass\n        marks"),
    (WAYS, "        done.append(node)\n", "            done.append(node)\n"),
    (WAYS, "        self.hits += 1\n        self._data.move_to_end(key)\n", "        self.hits += 1\n"),
    (WAYS, "value\n        self._data.move_to_end(key)\n", "value\n"),
    (WAYS, "last=False", "last=True"),
    (WAYS, "> self.size", ">= self.size"),
    (WAYS, "if key not in self._data:", "if not self._data.get(key):"),
    (WAYS, "in sorted(spans)", "in spans"),
    (WAYS, "start <= result[-1][1]", "start < result[-1][1]"),
    (WAYS, "max(result[-1][1], end)", "end"),
    (WAYS, "if result and start", "if start"),
    (WAYS, "low = middle + 1", "low = middle"),
    (WAYS, "if low < len(values) and values", "if values"),
    (WAYS, "* 60", "* 100"),
    (WAYS, "sum(values) / len", "sum(values) // len"),
    (WAYS, "    if not values:\n        return 0.0\n", ""),
    (WAYS, "start : start + size", "start : size"),
    (WAYS, "range(0, len(values), size)", "range(0, len(values) - 1, size)"),
    (WAYS, "import heapq\nfrom", "from"),
    (WORDS, "def slug(text):", "def slug(text)"),
)
