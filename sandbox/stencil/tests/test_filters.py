import pytest

from stencil import Template, render


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ('{{ "ada" | title }}', "Ada"),
        ('{{ "Ada" | upper | lower }}', "ada"),
        ("{{ items | join }}", "1, 2, 3"),
        ('{{ items | join("-") }}', "1-2-3"),
        ("{{ items | length }}", "3"),
        ('{{ "a long text" | truncate(8) }}', "a lon..."),
        ('{{ "a long text" | truncate(6, "/") }}', "a lon/"),
        ('{{ "short" | truncate(5) }}', "short"),
    ],
)
def test_filters(source, shown):
    assert render(source, items=[1, 2, 3]) == shown


def test_plural():
    template = Template('{{ n | plural("file", "files") }}')
    assert [template.render(n=n) for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


def test_indent_leaves_the_first_line():
    assert render("  {{ x | indent(2) }}", x="a\nb") == "  a\n  b"


def test_default_for_what_is_missing():
    assert render('{{ note | default("none") }}') == "none"
    assert render('{{ note | default("none") }}', note="yes") == "yes"


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (False, "false"), ("", "")])
def test_default_keeps_values_that_are_false(value, shown):
    assert render('{{ x | default("none") }}', x=value) == shown


def test_arguments_may_be_names():
    assert render("{{ x | default(y) }}", y="fallback") == "fallback"


def test_own_filters():
    assert Template("{{ 2 | double }}", {"double": lambda value: value * 2}).render() == "4"
    assert "double" not in Template("")._filters
