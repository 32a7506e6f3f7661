import pytest

from rowsmith import CsvError, parse, render


def records(text, **options):
    return list(parse(text, **options))


def test_plain():
    assert records("a,b\n1,2\n") == [["a", "b"], ["1", "2"]]


def test_the_last_line_needs_no_end():
    assert records("a,b\n1,2") == [["a", "b"], ["1", "2"]]


def test_carriage_returns():
    assert records("a,b\r\n1,2\r\n") == [["a", "b"], ["1", "2"]]


def test_empty_fields_are_kept_and_empty_lines_are_not():
    assert records("a,,\n\n,\n") == [["a", "", ""], ["", ""]]


def test_quotes():
    assert records('"a, b","say ""hi""",""\n') == [["a, b", 'say "hi"', ""]]


def test_line_breaks_inside_quotes():
    assert records('"one\ntwo",3\n') == [["one\ntwo", "3"]]


def test_a_quoted_empty_field_alone_is_a_record():
    assert records('""\n') == [[""]]


def test_other_delimiters():
    assert records("a;b,c\n", delimiter=";") == [["a", "b,c"]]


def test_an_open_quote_is_named_by_its_line():
    with pytest.raises(CsvError, match="line 2"):
        records('a\n"b\nc\n')


def test_text_after_a_quote():
    with pytest.raises(CsvError, match="line 1"):
        records('"a"b\n')


@pytest.mark.parametrize("field", ["plain", "a,b", 'say "hi"', "two\nlines", ""])
def test_what_is_written_can_be_read(field):
    assert records(render([[field, "x"]])) == [[field, "x"]]
