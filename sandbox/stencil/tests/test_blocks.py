import pytest

from stencil import Template, TemplateError, render


def test_if():
    template = Template("{% if ok %}yes{% else %}no{% end %}")
    assert [template.render(ok=ok) for ok in (True, False, None)] == ["yes", "no", "no"]


def test_if_without_else():
    assert render("[{% if ok %}yes{% end %}]") == "[]"


def test_for():
    assert render("{% for x in xs %}<{{ x }}>{% end %}", xs=[1, 2]) == "<1><2>"


def test_for_of_nothing():
    assert render("{% for x in xs %}{{ x }}{% else %}none{% end %}", xs=[]) == "none"


def test_loop_knows_where_it_is():
    source = "{% for x in xs %}{{ loop.index }}{{ x }}{% if loop.last %}.{% else %},{% end %}{% end %}"
    assert render(source, xs="ab") == "1a,2b."


def test_a_loop_leaves_names_outside_alone():
    assert render("{% for x in xs %}{{ x }}{% end %}{{ x }}", xs=[1], x="outer") == "1outer"


def test_blocks_inside_blocks():
    source = "{% for row in rows %}{% for x in row %}{{ x }}{% end %};{% end %}"
    assert render(source, rows=[[1, 2], [3]]) == "12;3;"


def test_comments_are_dropped():
    assert render("a{# not\nshown #}b") == "ab"


def test_dashes_take_white_space_away():
    assert render("a  \n{%- if true -%}\n  b  {%- end %} c") == "ab c"


@pytest.mark.parametrize(
    ("source", "line"),
    [("\n{% if x %}", 2), ("a\n\n{% end %}", 3), ("{% for x %}{% end %}", 1), ("{% while x %}{% end %}", 1)],
)
def test_bad_blocks(source, line):
    with pytest.raises(TemplateError) as error:
        Template(source)
    assert error.value.line == line
