import pytest

from rowsmith import CsvError, Table

SALES = """region,item,amount
north,apple,10
south,pear,7
north,pear,"1,200"
west,fig,n/a
south,apple,2.5
"""


@pytest.fixture
def sales():
    return Table.from_csv(SALES)


def test_columns_and_rows(sales):
    assert sales.columns == ["region", "item", "amount"]
    assert len(sales) == 5
    assert sales.rows[2] == {"region": "north", "item": "pear", "amount": "1,200"}


def test_round_trip(sales):
    assert sales.to_csv() == SALES


def test_no_header():
    with pytest.raises(CsvError, match="no header"):
        Table.from_csv("")


def test_ragged():
    with pytest.raises(CsvError, match="record 2"):
        Table.from_csv("a,b\n1,2\n1\n")


def test_columns_of_the_same_name():
    with pytest.raises(CsvError):
        Table.from_csv("a,a\n")


def test_numbers_leave_out_the_rest(sales):
    assert sales.numbers("amount") == [10, 7, 1200, 2.5]


def test_unknown_column(sales):
    with pytest.raises(KeyError, match="price"):
        sales.column("price")


def test_select(sales):
    assert sales.select("amount", "region").rows[0] == {"amount": "10", "region": "north"}


def test_where(sales):
    assert sales.where(lambda row: row["item"] == "pear").column("region") == ["south", "north"]


def test_sort_by_number_with_texts_last(sales):
    assert sales.sort("amount").column("amount") == ["2.5", "7", "10", "1,200", "n/a"]


def test_descending_sort_keeps_the_order_of_equals(sales):
    assert sales.sort("region", descending=True).column("amount") == ["n/a", "7", "2.5", "10", "1,200"]


def test_group(sales):
    groups = sales.group("region")
    assert list(groups) == ["north", "south", "west"]
    assert groups["south"].column("item") == ["pear", "apple"]
