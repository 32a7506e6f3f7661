"""What is said about a file that an edit broke, and what is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.tools.syntax import broken

GOOD = {
    "a.py": "def f(x):\n    return [x, (1)]\n",
    "a.pyi": "def f(x: int) -> int: ...\n",
    "a.js": "function f(x) {\n  return [x, `${x}`];\n}\n",
    "a.jsx": "const a = <div>{x}</div>;\n",
    "a.mjs": "export const a = { b: [1] };\n",
    "a.ts": "function f(x: number): number[] {\n  return [x];\n}\n",
    "a.tsx": "const a = (x: number) => <div>{x}</div>;\n",
    "a.go": "package a\n\nfunc f(x int) []int {\n\treturn []int{x}\n}\n",
    "a.rs": "fn f(x: i32) -> Vec<i32> {\n    vec![x]\n}\n",
    "A.java": "class A {\n  int[] f(int x) {\n    return new int[] {x};\n  }\n}\n",
    "a.c": "int f(int x) {\n  return (x);\n}\n",
    "a.cpp": "int f(int x) {\n  return std::vector<int>{x}[0];\n}\n",
    "a.h": "class A {\n  int x;\n};\n",
    "a.cs": "class A {\n  int F(int x) {\n    return (x);\n  }\n}\n",
    "a.rb": 'def f(x)\n  ["#{x}"]\nend\n',
    "a.php": "<?php\nfunction f($x) {\n  return [$x];\n}\n",
    "a.sh": "f() {\n  case $1 in\n    a) echo ${x} $(ls);;\n  esac\n}\n",
    "a.json": '{"a": [1, "("]}\n',
    "a.toml": 'a = [1]\nb = "("\n',
}

BROKEN = [
    ("a.py", "def f(x:\n    return 1\n", "line 1: '(' was never closed."),
    ("a.py", "def f(x):\nreturn 1\n", "line 2: expected an indented block after function definition on line 1."),
    ("a.py", "x = f(a=1, 2)\n", "line 1: positional argument follows keyword argument."),
    ("a.py", "return 1\n", "line 1: 'return' outside function."),
    ("a.py", "x = 'abc\n", "line 1: unterminated string literal (detected at line 1)."),
    ("a.py", "print 'x'\n", "line 1: Missing parentheses in call to 'print'. Did you mean print(...)?"),
    ("a.js", "function f() {\n  return (1;\n}\n", "line 2: '(' was never closed."),
    ("a.js", "function f() {\n  return 1;\n}}\n", "line 3: '}' closes nothing."),
    ("a.js", "let x = 1;\nlet y = = 2;\n", "line 2: not valid from `let y = = 2;` on."),
    ("a.jsx", "const a = <div>{x</div>;\n", "line 1: '{' was never closed."),
    ("a.ts", "let x: number = 1;\nfunction f(y: {\n", "line 2: '(' was never closed."),
    ("a.tsx", "const a = (x: number => <div>{x}</div>;\n", "line 1: '(' was never closed."),
    ("a.go", "package a\n\nfunc f() {\n\tx := 1\n", "line 3: '{' was never closed."),
    ("a.rs", "fn f() {\n    let x = vec![1;\n}\n", "line 2: '[' was never closed."),
    ("A.java", "class A {\n  int f() { return 1 }\n}\n", "line 2: ';' is missing."),
    ("a.c", "int f() {\n  return (1;\n}\n", "line 2: '(' was never closed."),
    ("a.cpp", "int f() {\n  return 1;\n", "line 1: '{' was never closed."),
    ("a.cs", "class A {\n  int F() { return 1 }\n}\n", "line 2: ';' is missing."),
    ("a.rb", "def f\n  x = [1\nend\n", "line 2: '[' was never closed."),
    ("a.php", "<?php\nfunction f() {\n  return [1;\n}\n", "line 3: '[' was never closed."),
    ("a.sh", "if true; then\n  ls\n", "line 3: 'fi' is missing."),
    ("a.json", '{\n  "a": ]\n}\n', "line 2: expecting value at column 8."),
    ("a.toml", "a = 1\nb = \n", "line 2: invalid value."),
    ("a.toml", "a = 1\na = 2\n", "line 2: cannot overwrite a value."),
]

SILENT = [
    ("newer than this Python", "a.py", "", "type X = int\n\n\ndef f[T](a: T) -> T:\n    return f'{a['b']}'\n"),
    ("broken before", "a.py", "def f(:\n", "def g(:\n"),
    ("less broken than before", "a.js", "f(;\ng(;\n", "f();\ng(;\n"),
    ("macros", "a.c", "", "API_BEGIN FOO(x)\nint f() BAR { return 1; }\n"),
    ("brackets in strings and comments", "a.go", "", 'package a\n\n// ({[\nvar s = "({["\n'),
    ("comments in JSON were there before", "a.json", "// a\n{}\n", "// b\n{}\n"),
    ("JSON that may hold comments", "web/tsconfig.app.json", "", "// a\n{}\n"),
    ("a language that is not known", "a.zig", "", "((((\n"),
    ("no suffix", "Makefile", "", "((((\n"),
    ("warnings are no errors", "a.py", "", "x = '\\d'\nassert (1, 2)\n"),
    ("too deep for the compiler", "a.py", "", "x = " + "(" * 150 + ")" * 150 + "\n"),
    ("too deep for JSON", "a.json", "", "[" * 100_000),
    ("too long", "a.py", "", "x = 1\n" * 50_000 + "(\n"),
    ("CRLF", "a.toml", "", "a = 1\r\n[b]\r\nc = 2\r\n"),
]


@pytest.mark.parametrize(("name", "text"), GOOD.items())
def test_nothing_is_said_of_what_is_right(name: str, text: str):
    assert broken(name, None, text) == broken(name, "", text) == ""


@pytest.mark.parametrize(("name", "text", "said"), BROKEN)
def test_broken(name: str, text: str, said: str):
    assert broken(f"src/{name}", GOOD[name], text).startswith(f"Syntax error in {said}")
    assert broken(name.upper() if name != "A.java" else name, None, text).startswith(f"Syntax error in {said}")


@pytest.mark.parametrize(("name", "before", "after"), [case[1:] for case in SILENT], ids=[case[0] for case in SILENT])
def test_silent(name: str, before: str, after: str):
    assert broken(name, before or None, after) == ""


def test_a_further_error_is_the_one_that_is_named():
    before = "function f() {\n  let x = = 1;\n}\n"
    assert broken("a.js", before, before + "function g() {\n  let y = = 2;\n}\n") == (
        "Syntax error in line 5: not valid from `let y = = 2;` on."
    )


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_any_cut_is_either_fine_or_named_by_a_line_of_the_file(name: str, data: st.DataObject):
    text = GOOD[name]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    cut = text[:start] + data.draw(st.sampled_from(["", "(", "}", "'", "\x00", "é"])) + text[end:]
    said = broken(name, text, cut)
    if said:
        line = int(said.split("line ", 1)[1].split(":", 1)[0])
        assert 1 <= line <= cut.count("\n") + 1
        assert said.endswith((".", "?"))
    assert broken(name, cut, cut) == ""


@pytest.mark.parametrize("name", ["a.json", "a.toml"])
def test_a_number_that_python_does_not_read_is_no_error(name: str):
    assert broken(name, None, ("a = " if name.endswith("toml") else "") + "9" * 5000) == ""
