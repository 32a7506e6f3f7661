from types import SimpleNamespace

import pytest

from stencil import Template, TemplateError, render


def test_text_alone():
    assert render("Hello { world }") == "Hello { world }"


def test_a_value():
    assert render("Hello {{ name }}!", name="Ada") == "Hello Ada!"


@pytest.mark.parametrize(("value", "shown"), [(None, ""), (True, "true"), (False, "false"), (0, "0"), (1.5, "1.5")])
def test_how_values_are_printed(value, shown):
    assert render("{{ x }}", x=value) == shown


def test_literals():
    assert render('{{ "a b" }} {{ 12 }} {{ -1.5 }} {{ true }}') == "a b 12 -1.5 true"


def test_members_of_mappings_lists_and_objects():
    user = SimpleNamespace(address={"lines": ["Main St 1", "London"]})
    assert render("{{ user.address.lines.1 }}", user=user) == "London"


def test_what_is_missing_is_none():
    assert render("[{{ a }}{{ b.c.d }}{{ items.5 }}]", items=[1]) == "[]"


def test_private_members_are_out_of_reach():
    assert render("{{ x.__class__ }}", x="text") == ""


def test_a_template_can_be_rendered_again():
    template = Template("{{ n }}")
    assert [template.render(n=1), template.render(n=2)] == ["1", "2"]


@pytest.mark.parametrize("source", ["{{ }}", "{{ a b }}", "{{ a | }}", "{{ a | nope }}", '{{ a | join("," }}', "{{ a"])
def test_bad_values(source):
    with pytest.raises(TemplateError, match="line 2"):
        render("first\n" + source)
