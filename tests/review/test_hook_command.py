"""`qwencode hook` and `review` as programs: what they print, what they exit with, and that they change nothing."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hook_ground import Done, index, program, run, tree
from review_ground import write_files
from seeded_changes import CALC, HEX, PROJECT, edit, made

Git = Callable[..., str]
QUICK = ("--only", "secrets", "--only", "leftovers", "--only", "syntax", "--only", "weakened", "--only", "conflicts")


@pytest.fixture
def qwencode(tmp_path: Path) -> str:
    return str(program(tmp_path / "bin") / "qwencode")


@pytest.fixture
def started(repository: Path, run_git: Git) -> Path:
    write_files(repository, PROJECT)
    run_git(repository, "add", "--all")
    run_git(repository, "commit", "-qm", "Calc")
    return repository


def test_nothing_is_said_when_nothing_is_found(started: Path, run_git: Git, qwencode: str):
    (started / "calc.py").write_text(CALC + "\n# The end.\n")
    run_git(started, "add", "--all")
    assert run(started, qwencode, "hook", "--no-model", *QUICK) == Done(0, "")


def test_only_what_is_staged_is_looked_at(started: Path, run_git: Git, qwencode: str):
    (started / "calc.py").write_text(edit(CALC, "    return result", "    breakpoint()\n    return result"))
    run_git(started, "add", "calc.py")
    (started / "calc.py").write_text(edit(CALC, "    return best", "    return best  # pdb.set_trace()"))
    (started / "new.py").write_text(f'TOKEN = "ghp_{made(36)}"\n')
    before = tree(started), index(started)
    done = run(started, qwencode, "hook", *QUICK)
    assert done.code == 0
    assert "calc.py:8: error: `breakpoint()` stops the program in a debugger. [leftovers/breakpoint]" in done.out
    assert "new.py" not in done.out
    assert (tree(started), index(started)) == before
    (started / "calc.py").write_text(edit(CALC, "    return result", "    breakpoint()\n    return result"))
    run_git(started, "checkout", "-q", "HEAD", "--", "calc.py")
    (started / "calc.py").write_text(edit(CALC, "    return result", "    breakpoint()\n    return result"))
    assert run(started, qwencode, "hook", *QUICK).out == ""


def test_strict_exits_with_1_for_errors_alone(started: Path, run_git: Git, qwencode: str):
    (started / "a.rs").write_text("fn main() {\n    dbg!(1);\n}\n")
    run_git(started, "add", "--all")
    assert run(started, qwencode, "hook", "--strict", *QUICK).code == 0
    (started / "b.py").write_text(f'TOKEN = "ghp_{made(36)}"\n')
    run_git(started, "add", "--all")
    done = run(started, qwencode, "hook", "--strict", *QUICK)
    assert done.code == 1
    assert f"ghp_{made(36)}" not in done.out
    assert "2 findings in 2 changed files, 1 of them an error." in done.out


def test_wrong_settings_hold_no_commit_up(started: Path, run_git: Git, qwencode: str):
    write_files(started, {".qwencode/config.toml": "max_steps = 'many'\n", "new.py": f'TOKEN = "ghp_{made(36)}"\n'})
    run_git(started, "add", "--all")
    done = run(started, qwencode, "hook", *QUICK)
    assert done.code == 0
    assert "max_steps" in done.out
    assert done.out.rstrip().endswith("Nothing was looked at.")
    assert run(started, qwencode, "hook", "--strict", *QUICK).code == 2


def test_a_second_run_of_the_same_content_is_known(started: Path, run_git: Git, qwencode: str):
    (started / "a.rs").write_text("fn main() {\n    dbg!(1);\n}\n")
    run_git(started, "add", "--all")
    runs = [run(started, qwencode, "hook", "--json", *QUICK).out.splitlines() for _ in range(2)]
    first, second = ([json.loads(line) for line in lines] for lines in runs)
    found = [[event for event in events if event["type"] == "finding_reported"] for events in (first, second)]
    assert found[0] == found[1] != []
    status = [[event["status"] for event in events if event["type"] == "check_finished"] for events in (first, second)]
    assert status == [["done"], ["cached"]]


@pytest.mark.slow
def test_a_review_of_commits_of_paths_and_of_all(started: Path, run_git: Git, qwencode: str):
    (started / "calc.py").write_text(edit(CALC, "    return result", "    breakpoint()\n    return result"))
    run_git(started, "commit", "-qam", "Debug")
    (started / "sub").mkdir()
    (started / "sub" / "x.py").write_text("breakpoint()\n")
    (started / "y.py").write_text("breakpoint()\n")
    ask = (qwencode, "review", "--no-model", *QUICK)
    assert "calc.py:8" in run(started, *ask, "HEAD~1..HEAD").out
    done = run(started / "sub", *ask, "x.py")
    assert "sub/x.py:1" in done.out
    assert "y.py" not in done.out
    whole = run(started / "sub", *ask)
    assert "sub/x.py:1" in whole.out
    assert "y.py:1" in whole.out
    assert "calc.py" not in whole.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("review", "nothing..HEAD"), "There is no commit 'nothing'"),
        (("review", "gone.py"), "gone.py is neither a file here nor two commits"),
        (("review", "--staged", "calc.py"), "give no commits or paths with it"),
        (("review", "HEAD~1..HEAD", "calc.py"), "either commits (HEAD~1..HEAD) or paths"),
        (("review", "/"), "/ is outside the repository"),
        (("hook", "--only", "nonsense"), "There is no check 'nonsense'"),
        (("hook", "--format", "xml"), "There is no format 'xml'"),
        (("review", "--json", "--format", "sarif"), "contradict each other"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(started: Path, qwencode: str, words: tuple[str, ...], said: str):
    done = run(started, qwencode, *words)
    assert done.code == 2, done.out
    assert said in done.out
    assert "Traceback" not in done.out


@pytest.mark.slow
def test_outside_of_a_repository(tmp_path: Path, qwencode: str):
    done = run(tmp_path, qwencode, "hook")
    assert done.code == 2
    assert "is not in a git work tree" in done.out


@pytest.mark.slow
def test_before_the_first_commit(tmp_path: Path, qwencode: str):
    run(tmp_path, "git", "init", "-q", "new")
    (tmp_path / "new" / "a.py").write_text("breakpoint()\n")
    run(tmp_path / "new", "git", "add", "--all")
    assert "a.py:1: error" in run(tmp_path / "new", qwencode, "hook", *QUICK).out


@pytest.mark.slow
def test_sarif_has_what_its_schema_requires(started: Path, run_git: Git, qwencode: str):
    (started / "ein Ordner").mkdir()
    (started / "ein Ordner" / "größe.py").write_text(f'breakpoint()\nKEY_DIGITS = "{made(40, HEX)}"\nx = 1\n')
    (started / "a.json").write_text('{"a": 1,}\n')
    run_git(started, "add", "--all")
    done = subprocess.run(
        [qwencode, "review", "--staged", "--format", "sarif", *QUICK], cwd=started, capture_output=True, check=False
    )
    document = json.loads(done.stdout)
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    (only,) = document["runs"]
    driver = only["tool"]["driver"]
    assert driver["name"] == "qwencode"
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    assert only["invocations"][0]["executionSuccessful"] is True
    assert {result["ruleId"] for result in only["results"]} == {"leftovers/breakpoint", "syntax/error"}
    for result in only["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note", "none")
        assert result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        assert place["region"]["startLine"] >= 1
        assert not place["artifactLocation"]["uri"].startswith(("/", "file:"))
        assert place["artifactLocation"]["uri"].isascii()
        assert " " not in place["artifactLocation"]["uri"]
    fixes = [result["fixes"] for result in only["results"] if "fixes" in result]
    (replacement,) = fixes[0][0]["artifactChanges"][0]["replacements"]
    assert replacement["deletedRegion"] == {"startLine": 1, "startColumn": 1, "endLine": 2, "endColumn": 1}


@pytest.mark.slow
def test_annotations_cannot_be_broken_out_of(started: Path, run_git: Git, qwencode: str):
    (started / "a,b%0A::error::c.py").write_text("breakpoint()\n")
    run_git(started, "add", "--all")
    lines = run(started, qwencode, "review", "--staged", "--format", "github", *QUICK).out.splitlines()
    assert lines[0].startswith(
        "::error file=a%2Cb%250A%3A%3Aerror%3A%3Ac.py,line=1,title=qwencode leftovers/breakpoint::"
    )
    assert all(line.startswith(("::error", "::warning", "::notice")) for line in lines)


@pytest.mark.slow
def test_a_repository_whose_path_has_a_line_break(tmp_path: Path, qwencode: str):
    root = tmp_path / "two\nlines"
    run(tmp_path, "git", "init", "-q", root)
    (root / "a.py").write_text("breakpoint()\n")
    run(root, "git", "add", "--all")
    assert "a.py:1: error" in run(root, qwencode, "hook", *QUICK).out


@pytest.mark.slow
def test_commits_that_nothing_joins(started: Path, run_git: Git, qwencode: str):
    run_git(started, "checkout", "-q", "--orphan", "other")
    run_git(started, "commit", "-qm", "Other")
    run_git(started, "branch", "-q", "one", "other@{0}")
    run_git(started, "checkout", "-q", "--orphan", "third")
    run_git(started, "commit", "-qm", "Third")
    done = run(started, qwencode, "review", *QUICK, "one...third")
    assert done.code == 2
    assert "No commit is known that both sides of one...third have" in done.out
