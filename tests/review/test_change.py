"""What a change is: lines, renames, merges, kinds of files, and that nothing but git's own contents is read."""

from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from review_ground import write_files

from qwencode.excerpt import split_lines
from qwencode.review.change import between, decoded, hunks_of, staged, texts, uncommitted
from qwencode.review.code_only import code_only
from qwencode.review.repository import Repository

Git = Callable[..., str]
LINES = st.lists(st.sampled_from(["a", "b", "", "    c", "é"]), max_size=12).map(
    lambda rows: "".join(f"{row}\n" for row in rows)
)


@given(LINES, LINES)
def test_hunks_are_all_that_differs(before: str, after: str):
    old, new = split_lines(before), split_lines(after)
    built: list[str] = []
    at = 1
    for hunk in hunks_of(before, after):
        built += old[at - 1 : hunk.old.start - 1]
        built += [new[number - 1] for number in hunk.new]
        at = hunk.old.stop
        assert hunk.old or hunk.new
    assert built + old[at - 1 :] == new


@given(st.text(alphabet="ab'\"#/*\\n\n {}()=é", max_size=80), st.sampled_from(["python", "javascript", "rust", "php"]))
def test_blanking_keeps_every_line(text: str, language: str):
    code = code_only(language, text)
    assert code.count("\n") == text.count("\n")
    assert len(code.encode()) == len(text.encode("utf-8"))


def test_strings_and_comments_are_blanked():
    assert code_only("python", 'x = "breakpoint()"  # breakpoint()\ny = f"{z}"\n').split() == ["x", "=", "y", "="]
    assert "debugger" not in code_only("typescript", "const a = `debugger ${b}`; // debugger\n/* debugger */")
    assert code_only("", "no language") == "no language"


def test_only_the_index_is_read_for_what_is_staged(repository: Path, run_git: Git):
    write_files(repository, {"a.py": "one\ntwo\nthree\n"})
    run_git(repository, "add", "--all")
    run_git(repository, "commit", "-qm", "A")
    write_files(repository, {"a.py": "one\n2\nthree\nfour\n"})
    run_git(repository, "add", "--all")
    write_files(repository, {"a.py": "something else\n", "b.py": "new\n"})
    (file,), large = texts(staged(Repository.find(repository)))
    assert (file.before, file.after, file.added, large) == ("one\ntwo\nthree\n", "one\n2\nthree\nfour\n", {2, 4}, [])
    files, _ = texts(uncommitted(Repository.find(repository)))
    assert [(file.path, file.after) for file in files] == [("a.py", "something else\n"), ("b.py", "new\n")]


def test_renames_deletions_links_and_binaries(repository: Path, run_git: Git):
    text = "".join(f"line {number}\n" for number in range(30))
    write_files(repository, {"old name.py": text, "gone.py": "x\n", "will be link.py": "y\n"})
    (repository / "data.bin").write_bytes(b"\0\1\2")
    run_git(repository, "add", "--all")
    run_git(repository, "commit", "-qm", "A")
    run_git(repository, "mv", "old name.py", "größer.py")
    write_files(repository, {"größer.py": text + "more\n", "gone.py": None, "will be link.py": None})
    (repository / "will be link.py").symlink_to("größer.py")
    (repository / "data.bin").write_bytes(b"\0\1\2\3")
    (repository / "huge.txt").write_text("x" * 2_000_001)
    run_git(repository, "add", "--all")
    change = staged(Repository.find(repository))
    files, large = texts(change)
    seen = {
        file.path: (file.before_path, file.before is None, file.after is None, sorted(file.added)) for file in files
    }
    assert seen == {"größer.py": ("old name.py", False, False, [31]), "gone.py": ("gone.py", False, True, [])}
    assert large == ["huge.txt"]
    assert {entry.path: entry.status for entry in change.entries} == {
        "größer.py": "R",
        "gone.py": "D",
        "will be link.py": "T",
        "data.bin": "M",
        "huge.txt": "A",
    }


def test_commits_and_the_point_where_they_parted(repository: Path, run_git: Git):
    write_files(repository, {"a.py": "1\n"})
    run_git(repository, "add", "--all")
    run_git(repository, "commit", "-qm", "A")
    run_git(repository, "branch", "topic")
    write_files(repository, {"a.py": "2\n"})
    run_git(repository, "commit", "-qam", "B")
    run_git(repository, "switch", "-q", "topic")
    write_files(repository, {"b.py": "3\n"})
    run_git(repository, "add", "--all")
    run_git(repository, "commit", "-qm", "C")
    found = Repository.find(repository)
    paths = {
        span: [entry.path for entry in between(found, span).entries]
        for span in ("main..topic", "main...topic", "main...")
    }
    assert paths == {"main..topic": ["a.py", "b.py"], "main...topic": ["b.py"], "main...": ["b.py"]}
    zero = between(found, f"{'0' * 40}..topic")
    assert [entry.path for entry in zero.entries] == ["a.py", "b.py"]


def test_the_name_of_a_change_is_that_of_its_contents(repository: Path, run_git: Git):
    found = Repository.find(repository)
    write_files(repository, {"a.py": "1\n"})
    run_git(repository, "add", "--all")
    first = staged(found).id
    write_files(repository, {"a.py": "2\n"})
    assert staged(found).id == first
    run_git(repository, "add", "--all")
    assert staged(found).id != first


def test_texts_in_other_encodings():
    assert decoded("größe".encode("latin-1")) == "größe"
    assert decoded("größe".encode("utf-16")) == "\ufeffgröße"[1:]
    assert decoded(b"\xef\xbb\xbfx") == "x"
    assert decoded(b"a\0b") is None
    assert decoded(None) is None


def test_no_attribute_in_the_change_hides_a_line(repository: Path, run_git: Git):
    write_files(repository, {".gitattributes": "*.py -diff binary\n* filter=none\n", "a.py": "x = 1\n"})
    run_git(repository, "add", "--all")
    run_git(repository, "commit", "-qm", "A")
    write_files(repository, {"a.py": "x = 1\nbreakpoint()\n"})
    run_git(repository, "add", "--all")
    (file,), _ = texts(staged(Repository.find(repository)))
    assert file.added == {2}
