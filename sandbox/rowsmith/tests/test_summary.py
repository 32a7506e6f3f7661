import pytest

from rowsmith import Table, describe
from rowsmith.command import main, summary
from rowsmith.summary import deviation, mean, median


def test_mean():
    assert mean([1, 2, 6]) == 3


def test_median():
    assert median([5, 1, 3]) == 3
    assert median([4, 1, 3, 2]) == 2.5


def test_deviation():
    assert deviation([2, 4, 4, 4, 5, 5, 7, 9]) == pytest.approx(2.13809)


def test_nothing_to_compute_from():
    assert mean([]) is None
    assert median([]) is None
    assert deviation([3]) is None


def test_describe():
    table = Table.from_csv("name,size\na,1\nb,3\n,\n")
    names, sizes = describe(table)
    assert (sizes.filled, sizes.distinct, sizes.mean, sizes.median) == (2, 2, 2, 2)
    assert (names.filled, names.mean, names.median) == (2, None, None)


def test_summary_of_numbers_only():
    assert summary(Table.from_csv("x\n1\n3\n")).splitlines()[1] == ",x,2,2,2.00,2.00,1.41"


def test_summary_by_group():
    lines = summary(Table.from_csv("k,v\na,1\nb,5\na,3\n").select("k", "v"), by="k").splitlines()
    assert lines[2] == "a,v,2,2,2.00,2.00,1.41"
    assert lines[4] == "b,v,1,1,5.00,5.00,"


def test_command(tmp_path, capsys):
    file = tmp_path / "x.csv"
    file.write_text("x;y\n1;2\n", encoding="utf-8")
    assert main(["columns", str(file), "--delimiter", ";"]) == 0
    assert capsys.readouterr().out == "x\ny"


def test_command_says_what_is_wrong(tmp_path, capsys):
    file = tmp_path / "x.csv"
    file.write_text('x\n"open\n', encoding="utf-8")
    assert main(["summary", str(file)]) == 1
    assert "line 2" in capsys.readouterr().out
