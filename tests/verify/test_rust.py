"""What of a Rust text is a test, on what Rust allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode.verify.rust import marked_tests, modules_of_tests

TESTS = [
    "#[cfg(test)]\nuse std::{a, b}",
    "#[tokio::test]\nasync fn x<'a, T>(a: &'a str) -> [u8; 3] where T: Fn() { '}'; b'{'; \"\\\"}\" }",
    "#[test]\n/* { /* nested } */ */\nfn a() { /* } */ } // }",
    '#[test] fn raw() { r#"}"{"#; r"}" }',
    '#[test_case(1; "x")]\n#[test_case(3)]\nfn y(a: u8) { }',
    "#[rstest]\n#[case(1)]\nfn w(#[case] x: u8) {}",
    "#[cfg(all(test, unix))] impl<A, B> Foo for X<A, B> { fn z() {} }",
    "#[should_panic]\n#[test]\nfn p() { }",
    "#[cfg(test)] const A: [u8; 2] = [1, 2];",
]
FREE = [
    '#[cfg(feature = "test")] fn a() {}',
    "#[derive(Latest)] struct A;",
    "/* #[test] /* } */ fn a() {} */",
    "// #[test]\nfn a() {}",
    'fn a() { "#[test]"; }',
    "pub mod tests_are_elsewhere { fn a() {} }",
]


@pytest.mark.parametrize("text", TESTS)
def test_an_item_under_an_attribute_of_tests(text: str):
    (found,) = marked_tests(f"fn before() {{}}\n{text}\nfn after() {{}}\n")
    assert text.startswith(found)
    assert len(text) - len(found) <= len(" // }")


@pytest.mark.parametrize("text", FREE)
def test_what_is_no_test(text: str):
    assert list(marked_tests(text)) == []


def test_parts_of_other_items():
    text = "struct S { a: u8, #[cfg(test)] calls: u32, b: u8 }\nfn f() { #[cfg(test)] note(); g() }\n"
    text += "enum E { #[cfg(test)] A }"
    assert list(marked_tests(text)) == ["#[cfg(test)] calls: u32,", "#[cfg(test)] note();", "#[cfg(test)] A "]
    assert list(marked_tests("#[cfg_attr(test, derive(Debug))]\nstruct S;\n")) == ["#[cfg_attr(test, derive(Debug))]\n"]
    assert list(marked_tests("#![cfg(test)]\nfn a() {}\n")) == ["#![cfg(test)]\nfn a() {}\n"]


def test_modules_of_tests_elsewhere():
    parts = ["#[cfg(test)]\nmod checks;", '#[cfg(test)] #[path = "far/off.rs"] mod near;', "#[cfg(test)] mod t { }"]
    assert list(modules_of_tests("src/money.rs", parts)) == [
        *("src/checks", "src/money/checks"),
        *("src/far/off", "src/near", "src/money/near"),
    ]


@given(st.lists(st.sampled_from(["#[test]", "#![cfg(test)]", "#[", "mod a;", "fn a() {", "}", "'", '"', "/*", 'r#"'])))
def test_no_text_makes_the_reader_raise(parts: list[str]):
    text = " ".join(parts)
    assert all(part in text for part in marked_tests(text))
