import pytest

from inkwell import Table, width


def test_render():
    table = Table(["name", "size"], [["a.txt", "12"], ["b", "1200"]], align="lr")
    assert table.render().splitlines() == ["name  | size", "------+-----", "a.txt |   12", "b     | 1200"]


def test_no_blanks_at_the_end():
    assert all(line == line.rstrip() for line in Table(["a", "long"], [["1", "2"]]).render().splitlines())


def test_the_widest_column_gives_way():
    table = Table(["id", "text"], [["1", "abcdefghij"]])
    assert table.widths(11) == [2, 6]
    assert table.render(11).splitlines()[2] == "1  | abcde…"


def test_a_narrowed_table_fits():
    table = Table(["a", "b", "c"], [["x" * 20, "y" * 7, "z" * 30]])
    assert max(width(line) for line in table.render(30).splitlines()) == 30


def test_too_narrow():
    with pytest.raises(ValueError):
        Table(["a", "b"], [["1", "2"]]).render(4)


def test_ragged_rows_are_refused():
    with pytest.raises(ValueError, match="row 2"):
        Table(["a", "b"], [["1", "2"], ["1"]])
