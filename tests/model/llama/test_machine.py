"""Cores and memory, as a container, a workstation and an unknown system show them."""

import os
from pathlib import Path

import pytest

from qwencode.model.llama.machine import free_memory, physical_cores, total_memory, uncached


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_two_threads_of_a_core_count_once(tmp_path: Path) -> None:
    usable = sorted(os.sched_getaffinity(0))
    for cpu in usable:
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{usable[0]}-{usable[-1]}\n")
    assert physical_cores(tmp_path, tmp_path / "none") == 1
    assert physical_cores(tmp_path / "none", tmp_path / "none") == len(usable)


def test_a_quota_bounds_the_threads(tmp_path: Path) -> None:
    none = tmp_path / "none"
    assert physical_cores(none, tree(tmp_path / "half", **{"cpu.max": "50000 100000\n"})) == 1
    assert physical_cores(none, tree(tmp_path / "free", **{"cpu.max": "max 100000\n"})) == len(os.sched_getaffinity(0))


def test_memory_of_the_machine_and_of_the_container(tmp_path: Path) -> None:
    meminfo = tree(tmp_path, meminfo="MemTotal: 16000 kB\nMemFree: 100 kB\nMemAvailable:   8000 kB\n") / "meminfo"
    assert free_memory(meminfo, tmp_path / "none") == 8000 * 1024
    full = {"memory.max": "5000", "memory.current": "4000", "memory.stat": "anon 1\nactive_file 100\ninactive_file 200"}
    assert free_memory(meminfo, tree(tmp_path / "limited", **full)) == 5000 - 4000 + 300
    unlimited = {"memory.max": "max", "memory.current": "4000"}
    assert free_memory(meminfo, tree(tmp_path / "unlimited", **unlimited)) == 8000 * 1024


def test_all_memory_of_the_machine_and_of_the_container(tmp_path: Path) -> None:
    meminfo = tree(tmp_path, meminfo="MemTotal: 16000 kB\nMemFree: 100 kB\n") / "meminfo"
    assert total_memory(meminfo, tmp_path / "none") == 16000 * 1024
    assert total_memory(meminfo, tree(tmp_path / "limited", **{"memory.max": "5000"})) == 5000
    assert total_memory(meminfo, tree(tmp_path / "unlimited", **{"memory.max": "max"})) == 16000 * 1024
    assert total_memory(tmp_path / "none", tmp_path / "none") > 1 << 20


def test_this_machine_has_something() -> None:
    assert physical_cores() >= 1
    assert free_memory() > 1 << 20


def test_what_was_just_written_need_not_be_read(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(bytes(3_000_001))
    assert uncached(path) == 0
    (tmp_path / "none").touch()
    assert uncached(tmp_path / "none") == 0


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="macOS has no call that puts a file out of the cache")
def test_what_the_cache_does_not_hold_has_to_be_read(tmp_path: Path):
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(bytes(3_000_001))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert uncached(path) in (0, 3_000_001)  # a file system in memory holds it all the same
