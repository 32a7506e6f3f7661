"""What is read out of a source text: definitions and references in every language, and no harm from any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.context.repomap.extract import MAX_DEFINITIONS, tags_of
from qwencode.context.repomap.reading import MAX_BYTES
from qwencode.context.repomap.tags import EMPTY, NAME_CHARS, SIGNATURE_CHARS, FileTags, pack, safe, unpack
from qwencode.languages import language_of, spoken_name

LANGUAGES = {  # language: source, "line kind signature" of each definition, the names that each definition refers to
    "go": (
        """\
package shop

import "fmt"

const Limit = 3

var ErrFull = 1

type Shelf struct{ n int }

type Holder interface{ Put(b Box) error }

func New(width int) *Shelf {
	return &Shelf{width}
}

func (s *Shelf) Put(b Box) error {
	fmt.Println(check(b))
	return nil
}
""",
        """\
5 constant Limit
7 constant ErrFull
9 type Shelf struct{n int}
11 type Holder interface{Put(b Box) error}
13 function func New(width int) *Shelf
17 method func (s *Shelf) Put(b Box) error
""",
        {"Shelf": "int", "Holder": "Box error", "New": "Shelf int", "Put": "Box Println Shelf check error"},
    ),
    "rust": (
        """\
pub const LIMIT: u32 = 3;

pub struct Shelf { n: u32 }

pub trait Holder { fn put(&mut self); }

impl Shelf {
    pub fn new(width: u32) -> Self {
        check(width)
    }
}

impl Holder for Shelf {
    fn put(&mut self) { self.fits(); }
}

macro_rules! each { () => {} }

enum Kind { A }
mod inner { pub fn deep() {} }
""",
        """\
1 constant pub const LIMIT
3 class pub struct Shelf
5 interface pub trait Holder
7 implementation impl Shelf
8 method pub fn new(width: u32) -> Self
13 implementation impl Holder for Shelf
14 method fn put(&mut self)
17 macro macro_rules! each
19 class enum Kind
20 module mod inner
20 method pub fn deep()
""",
        {"new": "check", "Shelf": "Holder", "put": "fits"},
    ),
    "java": (
        """\
package shop;

public class Shelf extends Holder {
    public Shelf(int width) { super(width); }
    public <T> void put(Box box) throws Full {
        check(box).fits();
        new Crate();
    }
    interface Inner { void go(); }
    enum Kind { A }
}
record Point(int x) {}
""",
        """\
3 class public class Shelf extends Holder
4 method public Shelf(int width)
5 method public <T> void put(Box box) throws Full
9 interface interface Inner
9 method void go()
10 class enum Kind
12 class record Point(int x)
""",
        {"Shelf": "Holder", "put": "Crate check fits"},
    ),
    "c": (
        """\
#define LIMIT 3
#define MAX(a, b) ((a) > (b))
struct shelf { int n; };
typedef struct shelf shelf_t;
enum kind { A };
static int put(struct shelf *s, int n)
{
    return check(s) + s->fits(n);
}
char *name_of(void) { return 0; }
int declared(void);
""",
        """\
1 macro #define LIMIT
2 macro #define MAX
3 class struct shelf
4 type typedef struct shelf shelf_t
5 type enum kind
6 function static int put(struct shelf *s, int n)
10 function char *name_of(void)
""",
        {"put": "check fits"},
    ),
    "cpp": (
        """\
namespace shop {
class Shelf : public Holder {
 public:
  explicit Shelf(int width);
  int put(const Box& box) { return check(box); }
  int later();
};
int Shelf::later() { return box->fits() + ns::free(); }
template <class T> T* first(T t) { return new Crate(); }
std::string& name(int i) { return x; }
using Boxes = int;
bool operator==(int a, Shelf b) { return true; }
}
""",
        """\
1 module namespace shop
2 class class Shelf : public Holder
5 function int put(const Box& box)
6 method int later()
8 function int Shelf::later()
9 function T* first(T t)
10 function std::string& name(int i)
11 type using Boxes = int
12 function bool operator==(int a, Shelf b)
""",
        {"Shelf": "Holder", "put": "check", "later": "fits free", "first": "Crate"},
    ),
    "c_sharp": (
        """\
namespace Shop {
  public class Shelf : Holder {
    public int Width { get; set; }
    public Shelf(int width) { }
    public async Task<int> Put(Box box) { return Check(box) + box.Fits() + new Crate(); }
  }
  interface IHolder { void Go(); }
  enum Kind { A }
  record Point(int X);
  struct S { }
}
""",
        """\
1 module namespace Shop
2 class public class Shelf : Holder
3 property public int Width
4 method public Shelf(int width)
5 method public async Task<int> Put(Box box)
7 interface interface IHolder
7 method void Go()
8 type enum Kind
9 class record Point(int X)
10 class struct S
""",
        {"Shelf": "Holder", "Put": "Check Crate Fits"},
    ),
    "ruby": (
        """\
module Shop
  LIMIT = 3
  class Shelf < Holder
    def initialize(width)
      @n = check(width)
    end

    def self.open(path)
      new(path).fits
    end
  end
end
""",
        """\
1 module module Shop
2 constant LIMIT
3 class class Shelf < Holder
4 method def initialize(width)
8 method def self.open(path)
""",
        {"Shelf": "Holder", "initialize": "check width", "open": "fits new path"},
    ),
    "php": (
        """\
<?php
namespace Shop;
const LIMIT = 3;
interface Holder { function go(); }
trait Marked {}
class Shelf implements Holder {
    public $width = 1;
    public function put(Box $box): int {
        check($box);
        $box->fits();
        new Crate();
        return Shelf::make();
    }
}
function free_one($a) { return 1; }
enum Kind { case A; }
""",
        """\
2 module namespace Shop
3 constant LIMIT
4 interface interface Holder
4 function function go()
5 interface trait Marked
6 class class Shelf implements Holder
7 field public $width
8 function public function put(Box $box): int
15 function function free_one($a)
16 class enum Kind
""",
        {"Shelf": "Holder", "put": "Crate check fits make"},
    ),
    "bash": (
        """\
#!/bin/bash
LIMIT=3
export OTHER=4
put() {
  check "$1"
}
function take {
  put 1
}
""",
        """\
2 constant LIMIT
3 constant OTHER
4 function put()
7 function function take
""",
        {"put": "check", "take": "put"},
    ),
    "javascript": (
        """\
import { check } from './check.js';
export const LIMIT = 3;
export class Shelf extends Holder {
  constructor(width) { super(); }
  put(box) { return check(box) + box.fits(); }
  static make = () => 1;
}
export function free(a, b) { new Crate(); }
const arrow = async (a) => {
  return free(a);
};
module.exports.named = function (x) {};
const table = { key: function () {} };
""",
        """\
2 constant LIMIT
3 class class Shelf extends Holder
5 method put(box)
8 function function free(a, b)
9 function arrow = async (a) =>
12 function module.exports.named = function (x) {}
13 constant table
13 function key: function () {}
""",
        {"put": "check fits", "free": "Crate", "arrow": "free"},
    ),
    "typescript": (
        """\
export interface Holder { put(box: Box): void }
export type Width = number;
export enum Kind { A }
export abstract class Shelf<T> implements Holder {
  constructor(private width: Width) {}
  put(box: Box): void { check(box); new Crate(); }
  abstract later(): void;
}
export const LIMIT: number = 3;
export const arrow = (a: Box): Width => a.fits();
namespace Inner { export function deep(): void {} }
declare function outside(x: number): void;
""",
        """\
1 interface interface Holder
1 method put(box: Box): void
2 type type Width = number
3 type enum Kind
4 class abstract class Shelf<T> implements Holder
6 method put(box: Box): void
7 method abstract later(): void
9 constant LIMIT
10 function arrow = (a: Box): Width => a.fits()
11 function function deep(): void
12 function function outside(x: number): void
""",
        {"put": "Box Box Crate check", "Shelf": "Width", "arrow": "Box Width fits"},
    ),
    "tsx": (
        """\
export function Card(props: Props) {
  return <Box onClick={() => put(props)} />;
}
export const Panel = () => <Card />;
""",
        """\
1 function function Card(props: Props)
4 function Panel = () => <Card />
""",
        {"Card": "Props put"},
    ),
    "python": (
        """\
import os
LIMIT = 3
@cached
class Shelf(Holder):
    @property
    async def put(self, box: Box) -> None:
        check(box).fits()
        def inner(): pass
""",
        """\
2 constant LIMIT
4 class class Shelf(Holder)
6 function async def put(self, box: Box) -> None
8 function def inner()
""",
        {"put": "check fits"},
    ),
}


def uses_of(tags: FileTags) -> dict[str, str]:
    """Return what each definition refers to, by its name; '' for the file itself. Those of one name go together."""
    found: dict[str, str] = {}
    for number, names in enumerate(tags.calls):
        if names:
            name = tags.definitions[number - 1].name if number else ""
            found[name] = f"{found[name]} {names}" if name in found else names
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_definitions_and_references(language: str):
    source, definitions, uses = LANGUAGES[language]
    tags = tags_of(source.encode(), language)
    assert [f"{it.line} {it.kind} {it.text}" for it in tags.definitions] == definitions.splitlines()
    assert uses_of(tags) == uses


def test_definitions_know_what_they_are_in():
    source = (
        "class A:\n    def f(self):\n        def g(): pass\n        return g\n    def h(self): pass\ndef k(): pass\n"
    )
    tags = tags_of(source.encode(), "python")
    assert [(it.name, it.inside, it.line, it.last) for it in tags.definitions] == [
        ("A", -1, 1, 5),
        ("f", 0, 2, 4),
        ("g", 1, 3, 3),
        ("h", 0, 5, 5),
        ("k", -1, 6, 6),
    ]


def test_words_belong_to_the_innermost_definition():
    source = (
        "from place import thing\n\nclass A(Base):\n    def f(self, fixture):\n        return fixture.value, thing()\n"
    )
    tags = tags_of(source.encode(), "python")
    assert "place" in tags.words[0] and "Base" in tags.words[1]
    assert {"fixture", "value"} <= set(tags.words[2].split()) and tags.calls[2] == "thing"
    assert "value" not in tags.words[1] and "thing" not in tags.words[2]


def test_a_signature_over_many_lines_is_one_line():
    source = "def f(\n    a: int,\n    b: dict[\n        str, int\n    ],\n) -> None:\n    pass\n"
    assert tags_of(source.encode(), "python").definitions[0].text == "def f(a: int, b: dict[str, int]) -> None"


@pytest.mark.parametrize(
    "data",
    [b"", b"\0def f(): 0\n", b"def f(): 0\n" * (MAX_BYTES // 10), b"function f(){}" * 5_000],
    ids=["empty", "binary", "large", "minified"],
)
def test_what_nobody_wrote_has_no_tags(data: bytes):
    assert tags_of(data, "python") == EMPTY and tags_of(data, "javascript") == EMPTY


def test_a_text_that_would_take_minutes_is_left_alone():
    assert tags_of(b"(\n" * 100_000, "python") == EMPTY


def test_the_number_of_definitions_is_bounded():
    source = "".join(f"def f{n}(): g{n}()\n" for n in range(MAX_DEFINITIONS + 500))
    tags = tags_of(source.encode(), "python")
    assert len(tags.definitions) == MAX_DEFINITIONS == len(tags.calls) - 1
    assert f"g{MAX_DEFINITIONS}" in tags.calls[0]


@settings(max_examples=150, deadline=None)
@given(
    language=st.sampled_from(sorted(LANGUAGES)),
    junk=st.binary(max_size=80),
    place=st.integers(0, 400),
    cut=st.integers(0, 400),
)
def test_any_damage_to_a_source(language: str, junk: bytes, place: int, cut: int):
    source = LANGUAGES[language][0].encode()
    tags = tags_of(source[:place] + junk + source[cut:], language)
    assert len(tags.calls) == len(tags.words) == len(tags.definitions) + 1
    for number, found in enumerate(tags.definitions):
        assert found.text.isprintable() and len(found.text) <= SIGNATURE_CHARS
        assert found.name and " " not in found.name and len(found.name) <= NAME_CHARS
        assert -1 <= found.inside < number and 1 <= found.line <= found.last
        if found.inside >= 0:
            assert found.last <= tags.definitions[found.inside].last
    assert unpack(pack(tags)) == tags


@given(st.text(), st.integers(1, 50))
def test_any_text_is_made_safe(text: str, limit: int):
    line = safe(text, limit)
    assert line.isprintable() and len(line) <= limit
    assert safe(line, limit) == line


@pytest.mark.parametrize(
    ("path", "language", "spoken"),
    [
        ("src/shelf.py", "python", "shelf"),
        ("src/shelves/__init__.py", "python", "shelves"),
        ("__init__.py", "python", "__init__"),
        ("lib/Shelf.PY", "python", "Shelf"),
        ("web/card.test.tsx", "tsx", "card"),
        ("web/index.mjs", "javascript", "web"),
        ("shop/put.go", "go", "shop"),
        ("core/shelf.h", "cpp", "shelf"),
        ("README.md", "", "README"),
        ("Makefile", "", "Makefile"),
        (".bashrc", "", ""),
    ],
)
def test_names_of_files(path: str, language: str, spoken: str):
    assert language_of(path) == language and spoken_name(path) == spoken
