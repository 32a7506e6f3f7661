"""Readers of test output, on text as the runners print it, and on anything else."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode.verify import parsers

# As `node --test` prints it; `# TODO` and `# SKIP` are directives of TAP.
TAP = """\
TAP version 13
# Subtest: adds
ok 1 - adds
  ---
  duration_ms: 0.9
  ...
# Subtest: suite
    # Subtest: inner \\# one
    not ok 1 - inner \\# one
      ---
      duration_ms: 1500
      location: '/repo/test/a.test.js:4:25'
      error: |-
        Expected values to be strictly equal:

        1 !== 2
      ...
    # Subtest: deeper
        ok 1 - leaf
        1..1
    ok 2 - deeper
    ok 3 - later # TODO not yet
    not ok 4 - never # SKIP no network
    1..4
not ok 2 - suite
  ---
  type: 'suite'
  error: '1 subtest failed'
  ...
# SyntaxError: Unexpected identifier
not ok 3 - /repo/test/c.test.js
  ---
  error: 'test failed'
  ...
ok 4 - adds
ok
1..5
"""


def test_tap():
    found = {result.id: result for result in parsers.parse_tap(TAP, Path("/repo"))}
    assert {name: result.outcome for name, result in found.items()} == {
        "adds": "passed",
        "suite > inner # one": "failed",
        "suite > deeper > leaf": "passed",
        "suite > later": "skipped",
        "suite > never": "skipped",
        "test/c.test.js": "failed",
        "adds #2": "passed",
        "(unnamed)": "passed",
    }
    inner = found["suite > inner # one"]
    assert (inner.file, inner.crash, inner.seconds) == ("test/a.test.js", "test/a.test.js:4", 1.5)
    assert "1 !== 2" in inner.message
    assert "SyntaxError" in found["test/c.test.js"].message


def test_a_tap_parent_that_fails_by_itself_counts():
    text = "    ok 1 - child\nnot ok 1 - parent\n  ---\n  error: 'after the last subtest'\n  ...\n"
    assert [(result.id, result.outcome) for result in parsers.parse_tap(text)] == [
        ("parent > child", "passed"),
        ("parent", "failed"),
    ]
    assert parsers.parse_tap("ok 1 - a\nBail out! no database\n")[1].outcome == "error"


def test_lines_that_look_like_tap():
    text = "1..2\nok then\nok 1 - a\n  ok to go on\nOK (3 tests)\nnot ok 2 - b # skip later\n"
    assert [(result.id, result.outcome) for result in parsers.parse_tap(text)] == [("a", "passed"), ("b", "skipped")]
    unnumbered = parsers.parse_tap("1..2\nok a\nnot ok - b\n")
    assert [(result.id, result.outcome) for result in unnumbered] == [("a", "passed"), ("b", "failed")]


def test_junit():
    text = """some noise
<?xml version="1.0"?>
<testsuites><testsuite name="s"><testcase classname="a.B" name="one" time="0.5"/>
<testcase classname="a.B" name="two" file="/repo/a.py"><failure message="assert 1 == 2">trace</failure></testcase>
<testcase name="three"><skipped message="no"/></testcase>
<testcase name="four"><error>boom</error></testcase></testsuite></testsuites>
more noise <testsuite><testcase name="three"/></testsuite>
"""
    found = parsers.parse_junit(text, Path("/repo"))
    assert [(result.id, result.outcome) for result in found] == [
        ("a.B::one", "passed"),
        ("a.B::two", "failed"),
        ("three", "skipped"),
        ("four", "error"),
        ("three #2", "passed"),
    ]
    assert (found[1].message, found[1].file, found[0].seconds) == ("assert 1 == 2\ntrace", "a.py", 0.5)


def test_junit_with_entities_is_refused():
    text = '<!DOCTYPE x [<!ENTITY a "aaaa">]><testsuites><testcase name="&a;"/></testsuites>'
    assert parsers.parse_junit(text) == []
    assert parsers.parse_junit('<testsuite><!ENTITY a "b"><testcase name="x"/></testsuite>') == []


def go(**data: object) -> str:
    return json.dumps(data)


def test_go():
    lines = [
        go(Action="start", Package="x/calc"),
        go(Action="run", Package="x/calc", Test="TestAdd"),
        go(Action="output", Package="x/calc", Test="TestAdd", Output="    calc_test.go:9: got 3\n"),
        go(Action="fail", Package="x/calc", Test="TestAdd", Elapsed=0.25),
        go(Action="pass", Package="x/calc", Test="TestSub/zero", Elapsed=0),
        go(Action="skip", Package="x/calc", Test="TestSkip", Elapsed=0),
        go(Action="run", Package="x/calc", Test="TestPanics"),
        go(Action="output", Package="x/calc", Test="TestPanics", Output="panic: index out of range\n"),
        go(Action="fail", Package="x/calc", Elapsed=0.3),
        go(ImportPath="x/broken [x/broken.test]", Action="build-output", Output="./b.go:3:1: syntax error\n"),
        go(ImportPath="x/broken [x/broken.test]", Action="build-fail"),
        go(Action="fail", Package="x/broken", Elapsed=0, FailedBuild="x/broken [x/broken.test]"),
        go(Action="pass", Package="x/empty", Elapsed=0),
        "FAIL",
    ]
    found = {result.id: result for result in parsers.parse_go("\n".join(lines))}
    assert {name: result.outcome for name, result in found.items()} == {
        "x/calc.TestAdd": "failed",
        "x/calc.TestSub/zero": "passed",
        "x/calc.TestSkip": "skipped",
        "x/calc.TestPanics": "error",
        "x/broken": "error",
    }
    assert "got 3" in found["x/calc.TestAdd"].message
    assert "syntax error" in found["x/broken"].message


def test_a_package_of_go_that_fails_though_its_tests_pass():
    lines = [
        go(Action="pass", Package="x/calc", Test="TestAdd"),
        go(Action="output", Package="x/calc", Output="panic: in another goroutine\n"),
        go(Action="fail", Package="x/calc", Elapsed=0.3),
        go(Action="fail", Package="x/calc.v2", Test="TestB"),
        go(Action="fail", Package="x/calc.v2"),
        "# x/old",
        "./old.go:3:1: syntax error",
        "FAIL\tx/old [build failed]",
    ]
    found = {result.id: result for result in parsers.parse_go("\n".join(lines))}
    assert {name: result.outcome for name, result in found.items()} == {
        "x/calc.TestAdd": "passed",
        "x/calc": "error",
        "x/calc.v2.TestB": "failed",
        "x/old": "error",
    }
    assert "another goroutine" in found["x/calc"].message
    assert "syntax error" in found["x/old"].message


CARGO = """\
   Compiling ctx v0.1.0 (/tmp/ct)
    Finished `test` profile [unoptimized + debuginfo] target(s) in 0.97s
     Running unittests src/lib.rs (target/debug/deps/ctx-974129c4f32533db)

running 4 tests
test tests::good ... ok
test tests::ign ... ignored
test tests::bad ... FAILED
test tests::sp - should panic ... ok

failures:

---- tests::bad stdout ----
out

thread 'tests::bad' (12276) panicked at src/lib.rs:5:116:
assertion `left == right` failed: msg
  left: 3
 right: 4


failures:
    tests::bad

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.07s

error: test failed, to rerun pass `--lib`
     Running tests/it.rs (target/debug/deps/it-da06b0a80b51d71e)

running 1 test
test tests::good ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.15s

   Doc-tests ctx

running 1 test
test src/lib.rs - add (line 1) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""


def test_cargo():
    found = {result.id: result for result in parsers.parse_cargo(CARGO)}
    assert {name: result.outcome for name, result in found.items()} == {
        "src/lib.rs::tests::good": "passed",
        "src/lib.rs::tests::ign": "skipped",
        "src/lib.rs::tests::bad": "failed",
        "src/lib.rs::tests::sp": "passed",
        "tests/it.rs::tests::good": "passed",
        "doc::src/lib.rs - add": "passed",
    }
    bad = found["src/lib.rs::tests::bad"]
    assert (bad.file, bad.crash) == ("src/lib.rs", "src/lib.rs:5")
    assert bad.message.startswith("out")
    assert "right: 4" in bad.message


def run_of(target: str, binary: str, *tests: str, ended: bool = True) -> str:
    lines = [f"     Running unittests {target} (target/debug/deps/{binary})", "", f"running {len(tests)} tests", *tests]
    return "\n".join([*lines, "", "test result: ok. 1 passed; 0 failed" if ended else "", ""])


def test_cargo_tells_the_crates_of_a_workspace_apart(tmp_path: Path):
    for name in ("a/src/lib.rs", "a/src/money.rs", "b/src/lib.rs"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    built = [
        {
            "reason": "compiler-artifact",
            "target": {"name": crate, "src_path": f"{tmp_path}/{crate}/src/lib.rs"},
            "executable": f"{tmp_path}/target/debug/deps/{crate}-1",
        }
        for crate in "ab"
    ]
    text = "\n".join(map(json.dumps, [*built, {"reason": "build-finished", "success": True}])) + "\n"
    text += run_of("src/lib.rs", "a-1", "test money::tests::good ... ok", "test good ... ok")
    text += run_of("src/lib.rs", "b-1", "test good ... FAILED", "", "failures:", "", "---- good stdout ----", PANIC)
    text += "   Doc-tests b\n\nrunning 1 test\ntest b/src/lib.rs - f (line 3) ... ok\n\ntest result: ok. 1 passed\n"
    found = parsers.parse_cargo(text, tmp_path, tmp_path / "a")
    assert [(result.id, result.outcome, result.file, result.crash) for result in found] == [
        ("a/src/lib.rs::money::tests::good", "passed", "a/src/money.rs", ""),
        ("a/src/lib.rs::good", "passed", "a/src/lib.rs", ""),
        ("b/src/lib.rs::good", "failed", "b/src/lib.rs", "b/src/lib.rs:9"),
        ("doc::b/src/lib.rs - f", "passed", "b/src/lib.rs", ""),
    ]
    without = parsers.parse_cargo(text[text.index("     Running") :])
    assert [result.id for result in without][1:3] == ["src/lib.rs::good", "src/lib.rs::good #2"], "none is lost"


PANIC = "thread 'good' (1) panicked at b/src/lib.rs:9:5:\nno"


def test_a_target_of_cargo_that_does_not_come_to_its_end():
    text = run_of("src/main.rs", "a-1", "test zzz ... ok", ended=False)
    text += "error: test failed, to rerun pass `--bin a`\n\nCaused by:\n  process didn't exit successfully: `a-1` "
    text += "(signal: 6, SIGABRT: process abort signal)\n" + run_of("tests/it.rs", "it-1", "test good ... ok")
    found = {result.id: result for result in parsers.parse_cargo(text)}
    assert {name: result.outcome for name, result in found.items()} == {
        "src/main.rs::zzz": "passed",
        "src/main.rs": "error",
        "tests/it.rs::good": "passed",
    }
    assert "SIGABRT" in found["src/main.rs"].message


def test_cargo_that_cannot_build():
    text = (
        "error[E0308]: mismatched types\n --> src/lib.rs:2:5\n\nerror: could not compile `ctx` (lib) due to 1 error\n"
    )
    (found,) = parsers.parse_cargo(text)
    assert (found.id, found.outcome) == ("cargo build", "error")
    assert "mismatched types" in found.message


# Pieces of what runners print; SKIP and TODO are TAP's two directives.
WORDS = st.sampled_from(
    [
        *("ok", "not ok", " 1", " - ", "a", "# SKIP", "# TODO x", "\n", "    ", "  ---\n", "  ...\n", "1..3\n", "\\"),
        *("TAP version 13\n", "Bail out!", "location: '/repo/a.js:1:1'\n", "duration_ms: 9e999\n", "# Subtest: b\n"),
        *("<testsuites>", "</testsuites>", "<testcase name='a' time='x'>", "</testcase>", "<failure>", "&a;", "<!"),
        *('{"event":"test","name":["a"],"ok":true}\n', '{"event":"test","name":3}\n', '{"event":"finish"}\n', "{", "}"),
        *('{"Action":"fail","Package":null,"Test":[]}\n', '{"Action":"output","Package":"p","Test":"Test"}\n', "[[[["),
        *(
            "     Running tests/it.rs (x)\n",
            "test a ... ok\n",
            "---- a stdout ----\n",
            "error: could not compile",
            "\0",
        ),
    ]
)


@pytest.mark.parametrize("read", ["tap", "junit", "go", "cargo", "any", "node"])
@given(text=st.lists(WORDS | st.text(max_size=8), max_size=40).map("".join))
def test_no_text_makes_a_reader_raise(read: str, text: str):
    root = Path("/repo")
    match read:
        case "tap":
            found = parsers.parse_tap(text, root)
        case "junit":
            found = parsers.parse_junit(text, root)
        case "go":
            found = parsers.parse_go(text)
        case "cargo":
            found = parsers.parse_cargo(text)
        case "node":
            found = parsers.parse_node(text, root)[0]
        case _:
            found = parsers.parse_any(text, root)
    assert len({result.id for result in found}) == len(found)
    assert all(result.seconds >= 0 for result in found)


def test_a_failure_in_node_is_told_without_its_own_frames():
    stack = """The expression evaluated to a falsy value
    at leads (/r/project/src/bus.js:3:4)
    at TestContext.<anonymous> (file:///r/project/test/bus.test.js:9:1)
    at Test.runInAsyncScope (node:async_hooks:203:9)
    at async Test.run (node:internal/test_runner/test:632:9)
    at node:internal/process/task_queues:95:5
    at other (/elsewhere/bus.js:1:1)
  code: 'at node:rest'"""
    line = {"event": "test", "file": "/r/project/test/bus.test.js", "name": ["t"], "ok": False, "message": stack}
    (result,), _, _ = parsers.parse_node(json.dumps(line), Path("/r/project"))
    assert result.message.splitlines() == [
        "The expression evaluated to a falsy value",
        "    at leads (src/bus.js:3:4)",
        "    at TestContext.<anonymous> (test/bus.test.js:9:1)",
        "    at other (/elsewhere/bus.js:1:1)",
        "  code: 'at node:rest'",
    ]
    assert result.crash == "src/bus.js:3"
