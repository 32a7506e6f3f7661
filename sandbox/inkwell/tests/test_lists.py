from inkwell import bullets, definitions, numbered


def test_bullets_hang_under_the_text():
    assert bullets(["one two three", "four"], 10) == ["- one two", "  three", "- four"]


def test_bullets_with_a_wide_mark():
    assert bullets(["aa bb"], 6, mark="* > ") == ["* > aa", "    bb"]


def test_numbers_are_aligned():
    lines = numbered(["item"] * 10, 20)
    assert lines[0] == " 1. item"
    assert lines[-1] == "10. item"


def test_numbers_start_where_asked():
    assert numbered(["a", "b"], 20, start=7) == ["7. a", "8. b"]


def test_nothing_to_list():
    assert bullets([], 20) == numbered([], 20) == definitions({}, 20) == []


def test_definitions_share_a_column():
    lines = definitions({"ls": "list files", "mkdir": "make a directory"}, 17)
    assert lines == ["ls     list files", "mkdir  make a", "       directory"]
