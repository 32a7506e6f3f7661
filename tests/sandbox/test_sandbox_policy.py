"""The table of accesses, the search for secrets, and the seccomp program, each against an independent reading."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_ground import Ground

from qwencode.sandbox import landlock, seccomp
from qwencode.sandbox.policy import Access, Policy, Tree, governing

NAMES = st.sampled_from(["a", "b", "c", ".git", ".env"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda parts: Path("/", *parts))
TABLES = st.dictionaries(PATHS, st.sampled_from(list(Access)), max_size=8)


def access(table: dict[Path, Access], path: Path) -> Access:
    return table[path] if path in table else governing(table, path)


@given(TABLES, PATHS)
def test_pinning_changes_no_access(rest: dict[Path, Access], path: Path):
    table = {Path("/"): Access.READ, **rest}
    seen, wanted = access(Policy._pinned(None, table), path), access(table, path)  # pyright: ignore
    assert seen == wanted or max(seen, wanted) <= Access.PRIVATE


@given(TABLES)
def test_whatever_is_protected_in_a_writable_place_can_not_be_moved(rest: dict[Path, Access]):
    table = Policy._pinned(None, {Path("/"): Access.READ, **rest})  # pyright: ignore
    for path, right in table.items():
        if right < Access.WRITE:
            for parent in path.parents:
                assert parent in table or access(table, parent) < Access.WRITE


@given(TABLES)
def test_landlock_rules_never_give_more_than_the_table(
    tmp_path_factory: pytest.TempPathFactory, rest: dict[Path, Access]
):
    root = tmp_path_factory.mktemp("tree")
    table = {Path("/"): Access.HIDE, root: Access.WRITE}
    for path, right in sorted(rest.items()):
        place = root / path.relative_to("/")
        place.mkdir(parents=True, exist_ok=True)
        table[place] = right
    rules: list[tuple[str, int]] = []
    for path, right in table.items():
        if right in (Access.READ, Access.WRITE):
            landlock._grant(table, path, 15 if right == Access.WRITE else 13, rules)  # pyright: ignore
    for place in [root, *root.rglob("*")]:
        given_rights = 0
        for path, rights in rules:
            given_rights |= rights if place == Path(path) or Path(path) in place.parents else 0
        allowed = {Access.WRITE: 15, Access.READ: 13}.get(access(table, place), 0)
        split = any(place in other.parents and right < Access.WRITE for other, right in table.items())
        assert not given_rights & ~allowed, f"{place} got {given_rights}, the table says {access(table, place)!r}"
        assert split or given_rights == allowed, "nothing that is allowed is missing, but where rules cannot say it"


def test_the_tree_sees_every_change(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    tree = Tree(tmp_path)
    assert tree.marked() == []
    (tmp_path / "a" / "b" / ".env").write_text("x")
    assert tree.marked() == tree.marked() == [tmp_path / "a" / "b" / ".env"]
    (tmp_path / "a" / "b").rename(tmp_path / "c")
    (tmp_path / "a" / ".git").write_text("gitdir: x")
    assert set(tree.marked()) == {tmp_path / "c" / ".env", tmp_path / "a" / ".git"}
    (tmp_path / "c" / ".env").unlink()
    assert tree.marked() == [tmp_path / "a" / ".git"]


def test_paths_in_the_table_are_ordered_and_real(ground: Ground, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", f"{ground.project}/.venv/bin:/usr/bin:relative:/nowhere/bin")
    (ground.project / ".venv" / "bin").mkdir(parents=True)
    environ = {"HOME": str(ground.home), "PATH": f"{ground.project}/.venv/bin:/usr/bin:relative:/nowhere/bin"}
    table = Policy(ground.project, tmp_path, [], [], environ).table(sockets=True)
    depths = [len(path.parts) for path in table]
    assert depths == sorted(depths)
    assert access(table, ground.project / ".venv") == Access.WRITE, "a tool chain in the repository stays writable"
    assert Path("/nowhere") not in table


def interpret(program: bytes, data: bytes) -> int:
    """Run classic BPF as far as the filters use it (linux/filter.h), independently of how they are built."""
    code = list(struct.iter_unpack("<HBBI", program))
    value = position = 0
    while True:
        operation, if_true, if_false, operand = code[position]
        position += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x15:
            position += if_true if value == operand else if_false
        elif operation == 0x35:
            position += if_true if value >= operand else if_false
        else:
            assert operation == 0x06
            return operand


NUMBERS = st.one_of(st.integers(0, 460), st.sampled_from([0x40000000 + 41, 2**32 - 1]), st.integers(0, 2**32 - 1))
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SOCKETS = {"x86_64": {41, 53}, "aarch64": {198, 199}}
ALWAYS = {"x86_64": {248, 249, 250, 425, 426, 427}, "aarch64": {217, 218, 219, 425, 426, 427}}
PTRACE = {"x86_64": 101, "aarch64": 117}
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050001


@given(
    st.sampled_from(["x86_64", "aarch64"]),
    st.sets(st.integers(0, 45), max_size=5),
    st.booleans(),
    st.one_of(st.sampled_from(list(ARCHITECTURES.values())), st.integers(0, 2**32 - 1)),
    NUMBERS,
    st.integers(0, 2**64 - 1).map(lambda word: word % 64 if word % 2 else word),
)
def test_the_filter_says_what_it_should(
    machine: str, domains: set[int], ptrace: bool, arch: int, number: int, first: int
):
    program = seccomp.program(machine, sorted(domains), ptrace=ptrace)
    verdict = interpret(program, struct.pack("<IIQ6Q", number, arch, 0, first, 0, 0, 0, 0, 0))
    if arch != ARCHITECTURES[machine]:
        wanted = KILL
    elif machine == "x86_64" and number >= 0x40000000:
        wanted = REFUSE
    elif number in SOCKETS[machine]:
        wanted = ALLOW if first & 0xFFFFFFFF in domains else REFUSE  # the kernel reads `domain` as an int
    else:
        wanted = REFUSE if number in ALWAYS[machine] or (number == PTRACE[machine] and not ptrace) else ALLOW
    assert verdict == wanted


def test_an_unknown_machine_has_no_filter():
    assert not seccomp.known("riscv64")
    with pytest.raises(KeyError):
        seccomp.program("riscv64", [1], ptrace=False)
