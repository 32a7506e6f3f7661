"""Changes with and without something to find, as a maintainer would meet them. Keys are made up here at run time, so
that no scanner finds them in this file.

`finds` is the rule that must be reported, or only the check's name; '' for a change in which nothing may be found.
"""

import random
import string
from dataclasses import dataclass

ALPHABET = string.ascii_letters + string.digits
Files = dict[str, str | None]


@dataclass(frozen=True)
class Seeded:
    name: str
    finds: str
    before: Files
    after: Files
    """What the change writes over `before`; None deletes a file."""

    @property
    def runs_tests(self) -> bool:
        return self.name.startswith(("broken", "tests"))


def made(number: int, alphabet: str = ALPHABET, seed: int = 0) -> str:
    """Return a text that is drawn by chance, the same in every run; letters of both cases and digits are in it."""
    draw = random.Random(number * 7919 + seed)
    while True:
        text = "".join(draw.choice(alphabet) for _ in range(number))
        if all(any(map(kind, text)) for kind in (str.isdigit, str.isalpha) if any(map(kind, alphabet))):
            return text


HEX = string.digits + "abcdef"
PEM = "\n".join(made(64, ALPHABET + "+/", number) for number in range(6))
CALC = '''"""Sums."""


def total(values):
    result = 0
    for value in values:
        result += value
    return result


def mean(values):
    if not values:
        raise ValueError("no values")
    return total(values) / len(values)


def largest(values):
    best = values[0]
    for value in values[1:]:
        if value > best:
            best = value
    return best
'''
TEST = """import pytest

from calc import largest, mean, total


def test_total():
    assert total([1, 2, 3]) == 6
    assert total([]) == 0


def test_mean():
    assert mean([2, 4]) == 3
    with pytest.raises(ValueError):
        mean([])


@pytest.mark.parametrize("values, best", [([1, 2], 2), ([2, 1], 2), ([-1, -2], -1)])
def test_largest(values, best):
    assert largest(values) == best
"""
CASE = """import unittest

from calc import total


class TotalTest(unittest.TestCase):
    def test_some(self):
        self.assertEqual(total([1, 2]), 3)

    def test_none(self):
        self.assertEqual(total([]), 0)
"""
JS_TEST = """import { sum } from '../sum.js';

describe('sum', () => {
  it('adds', () => {
    expect(sum(1, 2)).toBe(3);
  });
  it('starts at zero', () => {
    expect(sum()).toBe(0);
  });
});
"""
GO_TEST = """package sum

import "testing"

func TestAdds(t *testing.T) {
	if Sum(1, 2) != 3 {
		t.Fatal("no sum")
	}
}

func TestEmpty(t *testing.T) {
	if Sum() != 0 {
		t.Fatal("not zero")
	}
}
"""
PROJECT: Files = {"calc.py": CALC, "test_calc.py": TEST}


def edit(text: str, old: str, new: str) -> str:
    assert old in text, old
    return text.replace(old, new, 1)


# What a review has to find in a change: these tests of a seeded repository are read there, and never run here.
SKIPPED = edit(TEST, "def test_mean", "@pytest.mark.skip\ndef test_mean")
ALLOWED_TO_FAIL = edit(TEST, "def test_mean", '@pytest.mark.xfail(reason="odd")\ndef test_mean')


def _secrets() -> list[Seeded]:
    def new(name: str, path: str, text: str) -> Seeded:
        return Seeded(f"secret: {name}", "secrets", {"readme.md": "x\n"}, {path: text})

    hidden = f'DATABASES = {{"default": {{"USER": "shop", "PASSWORD": "{made(12, ALPHABET + "!%&", 3)}"}}}}\n'
    return [
        new("GitHub token", "release.py", f'"""Release."""\n\nTOKEN = "ghp_{made(36)}"\n'),
        new(
            "AWS key",
            "deploy/app.env",
            f"REGION=eu-west-1\nAWS_ACCESS_KEY_ID=AKIA{made(16, 'ABCDEFGHJKLMNPQR234567')}\n",
        ),
        new(
            "private key",
            "deploy/key",
            f"-----BEGIN OPENSSH PRIVATE KEY-----\n{PEM}\n-----END OPENSSH PRIVATE KEY-----\n",
        ),
        new("Slack token", "bot.js", f"const client = new Client('xoxb-{made(12, string.digits)}-{made(24)}');\n"),
        new("password in an address", "compose.yml", f"url: postgres://shop:{made(14, seed=5)}@db.shop.io:5432/shop\n"),
        new("password of a database", "settings.py", hidden),
        new("key in TOML", "service.toml", f'[weather]\napi_key = "{made(40, HEX)}"\n'),
        new("Google key", "src/map.ts", f"export const loader = new Loader({{ apiKey: 'AIza{made(35)}' }});\n"),
        new("string drawn by chance", "sign.go", f'package sign\n\nvar signer = New("{made(48, seed=9)}")\n'),
        new("Stripe key in a test", "tests/test_pay.py", f'def test_pay():\n    assert pay("sk_live_{made(24)}")\n'),
    ]


def _weakened() -> list[Seeded]:
    def of(name: str, rule: str, after: str, before: str = TEST, path: str = "test_calc.py") -> Seeded:
        return Seeded(f"weakened: {name}", f"weakened/{rule}", {"calc.py": CALC, path: before}, {path: after})

    head, rest = TEST.split("def test_mean", 1)
    largest = "@pytest.mark.parametrize" + rest.split("@pytest.mark.parametrize", 1)[1]
    return [
        of("test removed", "test-removed", head + largest),
        of("assertion removed", "assert-removed", edit(TEST, "    assert total([]) == 0\n", "")),
        of(
            "assertion that always holds",
            "assert-hollow",
            edit(TEST, "assert mean([2, 4]) == 3", "assert mean([2, 4]) or True"),
        ),
        of("skipped", "test-skipped", SKIPPED),
        of(
            "allowed to fail",
            "test-skipped",
            ALLOWED_TO_FAIL,
        ),
        of(
            "equality loosened",
            "assert-loosened",
            edit(TEST, "assert mean([2, 4]) == 3", "assert mean([2, 4]) is not None"),
        ),
        of("cases removed", "cases-removed", edit(TEST, ", ([-1, -2], -1)", "")),
        of("any exception will do", "assert-loosened", edit(TEST, "raises(ValueError)", "raises(Exception)")),
        of(
            "skipped inside",
            "test-skipped",
            edit(
                CASE,
                "        self.assertEqual(total([]), 0)\n",
                '        self.skipTest("flaky")\n        self.assertEqual(total([]), 0)\n',
            ),
            CASE,
        ),
        of(
            "JavaScript test skipped",
            "test-skipped",
            edit(JS_TEST, "it('starts", "it.skip('starts"),
            JS_TEST,
            "test/sum.test.js",
        ),
        of("Go test removed", "test-removed", GO_TEST.split("\nfunc TestEmpty")[0], GO_TEST, "sum_test.go"),
        of("test file deleted", "test-removed", None, TEST),
    ]


def _broken() -> list[Seeded]:
    shop = {"calc.py": CALC, "shop.py": "from calc import total\n\n\ndef price(items):\n    return total(items) + 1\n"}
    shop_test = "from shop import price\n\n\ndef test_price():\n    assert price([1, 2]) == 4\n"
    data = {"rates.json": '{"de": 19}\n', "tax.py": 'import json\n\nRATES = json.load(open("rates.json"))\n'}
    data_test = 'import json\n\n\ndef test_rate():\n    assert json.load(open("rates.json"))["de"] == 19\n'
    return [
        Seeded("broken: off by one", "tests/broken", PROJECT, {"calc.py": edit(CALC, "values[1:]", "values[2:]")}),
        Seeded(
            "broken: renamed, its test not", "tests/broken", PROJECT, {"calc.py": edit(CALC, "def mean", "def average")}
        ),
        Seeded(
            "broken: condition gone",
            "tests/broken",
            PROJECT,
            {"calc.py": edit(CALC, '    if not values:\n        raise ValueError("no values")\n', "")},
        ),
        Seeded(
            "broken: by way of another module",
            "tests/broken",
            {**shop, "test_shop.py": shop_test},
            {"calc.py": edit(CALC, "+=", "-=")},
        ),
        Seeded(
            "broken: data that a test reads",
            "tests/broken",
            {**data, "test_tax.py": data_test},
            {"rates.json": '{"de": 16}\n'},
        ),
        Seeded(
            "broken: a new test that fails",
            "tests/broken",
            PROJECT,
            {"test_more.py": "from calc import total\n\n\ndef test_more():\n    assert total([1]) == 2\n"},
        ),
        Seeded("broken: module deleted", "tests/broken", PROJECT, {"calc.py": None}),
    ]


def _others() -> list[Seeded]:
    both = "VALUE = [\n<<<<<<< HEAD\n    1,\n=======\n    2,\n>>>>>>> topic\n]\n"
    return [
        Seeded(
            "conflict: left in YAML",
            "conflicts",
            {"a.yml": "x: 1\n"},
            {"a.yml": "<<<<<<< HEAD\nx: 1\n=======\nx: 2\n>>>>>>> b\n"},
        ),
        Seeded("conflict: left in Python", "conflicts", {"a.py": "VALUE = [\n    1,\n]\n"}, {"a.py": both}),
        Seeded(
            "syntax: Python",
            "syntax",
            {"calc.py": CALC},
            {"calc.py": edit(CALC, "def mean(values):", "def mean(values)")},
        ),
        Seeded("syntax: JSON", "syntax", {"a.json": '{"a": 1}\n'}, {"a.json": '{"a": 1,}\n'}),
        Seeded(
            "left-over: breakpoint",
            "leftovers/breakpoint",
            {"calc.py": CALC},
            {"calc.py": edit(CALC, "    return result", "    breakpoint()\n    return result")},
        ),
        Seeded(
            "left-over: printed variable",
            "leftovers/print",
            {"calc.py": CALC},
            {"calc.py": edit(CALC, "    return result", '    print(f"{result=}")\n    return result')},
        ),
        Seeded(
            "left-over: console",
            "leftovers/print",
            {"src/a.ts": "export const a = 1;\n"},
            {"src/a.ts": "export const a = 1;\nconsole.log(a);\n"},
        ),
        Seeded(
            "left-over: one test alone",
            "leftovers/focused-test",
            {"test/sum.test.js": JS_TEST},
            {"test/sum.test.js": edit(JS_TEST, "it('adds", "it.only('adds")},
        ),
        Seeded(
            "left-over: dbg!",
            "leftovers/print",
            {"src/main.rs": "fn main() {}\n"},
            {"src/main.rs": "fn main() {\n    dbg!(1);\n}\n"},
        ),
    ]


def _harmless_secrets() -> list[Seeded]:
    def new(name: str, path: str, text: str) -> Seeded:
        return Seeded(f"harmless: {name}", "", {"readme.md": "x\n"}, {path: text})

    lock = f'{{"packages": {{"node_modules/a": {{"integrity": "sha512-{made(86, ALPHABET + "+/")}=="}}}}}}\n'
    return [
        new("a template of settings", ".env.example", "API_KEY=your-api-key-here\nDB_PASSWORD=changeme\n"),
        new("digests of a lock file", "package-lock.json", lock),
        new(
            "a key from the environment",
            "client.py",
            'import os\n\nAPI_KEY = os.environ["SERVICE_API_KEY"]\nTOKEN = os.getenv("TOKEN", "")\n',
        ),
        new(
            "a password made up for a test",
            "tests/test_login.py",
            'def login(name, password):\n    return bool(name and password)\n\n\ndef test_login():\n    assert login("ann", password="s3cret-Pa55word")\n',
        ),
        new("the key of the documentation", "docs/aws.md", "Set `AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE` first.\n"),
        new("a public key", "deploy/key.pub.txt", f"-----BEGIN PUBLIC KEY-----\n{PEM}\n-----END PUBLIC KEY-----\n"),
        new(
            "an action by its commit",
            ".github/workflows/ci.yml",
            f"on: push\njobs:\n  a:\n    steps:\n      - uses: actions/checkout@{made(40, HEX)}\n",
        ),
        new(
            "checksums in code", "fetch.py", f'SHA256 = "{made(64, HEX)}"\nNAMES = {{"a.zip": "{made(64, HEX, 2)}"}}\n'
        ),
        new(
            "names that speak of tokens",
            "lexer.py",
            'def token_kind(token):\n    password_field = "password_input_field"\n    return token.type or "next_token_kind_name"\n',
        ),
        new(
            "an address without a password",
            "compose.yml",
            "url: postgres://shop:${DB_PASSWORD}@db:5432/shop\nother: redis://localhost:6379/0\n",
        ),
    ]


def _harmless_tests() -> list[Seeded]:
    def of(name: str, after: Files, before: Files | None = None) -> Seeded:
        return Seeded(f"harmless: {name}", "", before or PROJECT, after)

    mean = "def test_mean():\n    assert mean([2, 4]) == 3\n    with pytest.raises(ValueError):\n        mean([])\n"
    moved = f"import pytest\n\nfrom calc import mean\n\n\n{mean}"
    merged = edit(
        edit(TEST, "    assert total([]) == 0\n", ""),
        "def test_total():\n    assert total([1, 2, 3]) == 6\n",
        '@pytest.mark.parametrize("values, result", [([1, 2, 3], 6), ([], 0)])\ndef test_totals(values, result):\n    assert total(values) == result\n',
    )
    without = {
        "calc.py": CALC.split("\n\ndef largest")[0],
        "test_calc.py": edit(TEST.split("\n\n@pytest")[0], "largest, ", ""),
    }
    helper = edit(
        edit(CASE, "        self.assertEqual(total([1, 2]), 3)\n", "        self.check([1, 2], 3)\n"),
        "        self.assertEqual(total([]), 0)\n",
        "        self.check([], 0)\n\n    def check(self, values, result):\n        self.assertEqual(total(values), result)\n",
    )
    first, second = JS_TEST.split("  it('starts", 1)
    half = first + "});\n"
    other = first.split("  it(")[0] + "  it('starts" + second
    return [
        of("a test with a better name", {"test_calc.py": edit(TEST, "test_total", "test_the_sum_of_values")}),
        of(
            "a test that moved",
            {"test_calc.py": edit(TEST, mean, "").replace("\n\n\n\n\n", "\n\n\n"), "test_mean.py": moved},
        ),
        of("two assertions as cases", {"test_calc.py": merged}),
        of("a feature that goes with its test", without),
        of("assertions in a helper", {"test_case.py": helper}, {"calc.py": CALC, "test_case.py": CASE}),
        of("another expectation", {"test_calc.py": edit(TEST, "assert total([]) == 0", "assert total([7]) == 7")}),
        of(
            "JavaScript tests in two files",
            {"test/sum.test.js": half, "test/zero.test.js": other},
            {"test/sum.test.js": JS_TEST},
        ),
    ]


def _harmless_code() -> list[Seeded]:
    def of(name: str, after: Files, before: Files | None = None, kind: str = "harmless") -> Seeded:
        return Seeded(f"{kind}: {name}", "", before or PROJECT, after)

    quoted = '"""How to debug.\n\nCall breakpoint() or import pdb; pdb.set_trace() where it hurts.\n"""\n\nHINT = "console.log(x); debugger"\n'
    program = '"""Print sums."""\n\nimport sys\n\n\ndef main():\n    print("total:", sum(map(int, sys.argv[1:])))\n    print(f"{len(sys.argv)} words")\n'
    failing = edit(TEST, "assert total([]) == 0", "assert total([]) == 1")
    return [
        of("a title in reStructuredText", {"docs/index.rst": "Calc\n=======\n\nSums.\n"}),
        of("debugging in a text", {"hint.py": quoted}),
        of("a program that prints", {"main.py": program}),
        of("a script that prints", {"bin/run.js": "#!/usr/bin/env node\nconsole.log('done');\n"}),
        of(
            "a rewrite that changes nothing",
            {
                "calc.py": edit(
                    CALC,
                    "    result = 0\n    for value in values:\n        result += value\n    return result\n",
                    "    return sum(values)\n",
                )
            },
            kind="tests",
        ),
        of(
            "a comment",
            {"calc.py": edit(CALC, "    best = values[0]", "    best = values[0]  # there is one")},
            kind="tests",
        ),
        of(
            "a function with its test",
            {
                "calc.py": CALC + "\n\ndef least(values):\n    return min(values)\n",
                "test_least.py": "from calc import least\n\n\ndef test_least():\n    assert least([2, 1]) == 1\n",
            },
            kind="tests",
        ),
        of(
            "a test that failed before",
            {"calc.py": edit(CALC, "best = values[0]", "best = list(values)[0]")},
            {"calc.py": CALC, "test_calc.py": failing},
            kind="tests",
        ),
        of(
            "a module renamed with its users",
            {"calc.py": None, "sums.py": CALC, "test_calc.py": edit(TEST, "from calc", "from sums")},
            kind="tests",
        ),
    ]


def _harmless_others() -> list[Seeded]:
    def new(name: str, path: str, text: str, before: Files | None = None) -> Seeded:
        return Seeded(f"harmless: {name}", "", before or {"readme.md": "x\n"}, {path: text})

    functions = "from calc import total\n\n\ndef test_some():\n    assert total([1, 2]) == 3\n\n\ndef test_none():\n    assert total([]) == 0\n"
    labels = '{\n  "password": "Passwort123 eingeben",\n  "token_expired": "Das Token ist abgelaufen",\n  "secret": "Geheimnis"\n}\n'
    return [
        new("a certificate", "deploy/ca.crt", f"-----BEGIN CERTIFICATE-----\n{PEM}\n-----END CERTIFICATE-----\n"),
        new(
            "a picture in a style sheet",
            "a.css",
            f'i {{ background: url("data:image/png;base64,{made(400, ALPHABET + "+/")}"); }}\n',
        ),
        new("labels about passwords", "de.json", labels),
        new(
            "a table with a password",
            "schema.sql",
            "CREATE TABLE users (id int, password_hash varchar(60), api_token char(40));\n",
        ),
        new(
            "an interface that is described",
            "api.yml",
            "flows:\n  password:\n    tokenUrl: https://auth.shop.io/oauth2/v2/token\n    type: string\n",
        ),
        new(
            "a password by reference",
            "db.tf",
            'resource "db" "a" {\n  password = var.db_password\n  token    = data.vault.b.token\n}\n',
        ),
        new(
            "a secret of the cluster by name",
            "pod.yaml",
            "env:\n  - name: DB_PASSWORD\n    valueFrom:\n      secretKeyRef:\n        name: shop-db-credentials-v2\n        key: password\n",
        ),
        new(
            "a secret of CI by name",
            ".github/workflows/ci.yml",
            "env:\n  TOKEN: ${{ secrets.DEPLOY_TOKEN }}\n  NPM_TOKEN: ${{ secrets.NPM_TOKEN }}\n",
        ),
        new(
            "identifiers",
            "ids.py",
            'SESSION_ID = "3f2b8c1e-9d4a-4b7f-8e6c-2a1d0c9b8f7e"\nCOMMIT = "' + made(40, HEX, 4) + '"\n',
        ),
        new(
            "an error that is logged",
            "src/a.ts",
            "export function a() {\n  try { b(); } catch (e) { console.error(e); throw e; }\n}\n",
        ),
        new(
            "a method that is called dump",
            "a.php",
            "<?php\nfunction f($x) { $this->dump($x); Yaml::dump($x); return $x; }\n",
        ),
        new("JSON with comments", "tsconfig.json", '{\n  // strict\n  "compilerOptions": {"strict": true,},\n}\n'),
        new("a test that is not skipped any more", "test_calc.py", TEST, {"calc.py": CALC, "test_calc.py": SKIPPED}),
        new("one more case", "test_calc.py", edit(TEST, "([1, 2], 2)", "([1, 2], 2), ([5], 5)"), PROJECT),
        new("unittest made pytest", "test_case.py", functions, {"calc.py": CALC, "test_case.py": CASE}),
        Seeded("harmless: a module that goes with its tests", "", PROJECT, {"calc.py": None, "test_calc.py": None}),
    ]


SEEDED = [
    *_secrets(), *_weakened(), *_broken(), *_others(), *_harmless_secrets(), *_harmless_tests(), *_harmless_code(), *_harmless_others(),
]  # fmt: skip
