"""What a test suite needs still works inside."""

import shutil
import statistics
import sys
import time
import venv

import pytest
from sandbox_ground import Ground, git

from qwencode.sandbox.protocol import Limits

ASYNCIO = """
import asyncio, sys
async def main():
    assert await asyncio.to_thread(lambda: 7) == 7
    child = await asyncio.create_subprocess_exec(sys.executable, '-c', 'print(9)', stdout=asyncio.subprocess.PIPE)
    print((await child.communicate())[0])
asyncio.run(asyncio.wait_for(main(), 20))
"""
MULTIPROCESSING = """
import multiprocessing, concurrent.futures
if __name__ == '__main__':
    with multiprocessing.Pool(2) as pool:
        print(pool.map(abs, [-1, -2]))
    with multiprocessing.Manager() as manager:
        shared = manager.dict(); shared['a'] = 1; print(dict(shared))
    queue = multiprocessing.get_context('spawn').Queue(); queue.put(5); print(queue.get(timeout=20))
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        print(list(pool.map(abs, [-3])))
    lock = multiprocessing.Lock(); lock.acquire(); lock.release()
"""


def test_asyncio(python):
    assert python(ASYNCIO).text == "b'9\\n'\n"


def test_multiprocessing(python, ground: Ground, sandbox):
    (ground.project / "src" / "main.py").write_text(MULTIPROCESSING)
    done = sandbox.run([sys.executable, "src/main.py"], cwd=ground.project)
    assert done.text == "[1, 2]\n{'a': 1}\n5\n[3]\n"
    assert (done.returncode, done.leftovers) == (0, 0)


def test_git(ground: Ground, sandbox):
    (ground.project / "src" / "code.py").write_text("VALUE = 2\n")
    line = "git status --short && git diff --stat && git log --oneline | wc -l && git stash list"
    done = sandbox.run(["sh", "-ec", line], cwd=ground.project)
    assert done.text.startswith(" M src/code.py\n") and done.text.endswith("\n1\n")
    own = "git init -q $TMPDIR/r && cd $TMPDIR/r && git -c user.name=a -c user.email=b commit -qm x --allow-empty"
    assert sandbox.run(["sh", "-ec", own], cwd=ground.project).returncode == 0


def test_pytest_itself(ground: Ground, sandbox):
    test = "def test_one(tmp_path, capsys):\n    (tmp_path / 'a').write_text('b')\n    assert tmp_path.exists()\n"
    (ground.project / "src" / "test_it.py").write_text(test)
    before = git("status", "--short", "--ignored", cwd=ground.project)
    done = sandbox.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=ground.project)
    assert done.returncode == 0 and "1 passed" in done.text
    assert git("status", "--short", "--ignored", cwd=ground.project) == before, "no litter"


def test_node(ground: Ground, sandbox):
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    test = (
        "const test = require('node:test');\ntest('adds', async () => { await new Promise(r => setTimeout(r, 5)); });\n"
    )
    (ground.project / "src" / "a.test.js").write_text(test)
    done = sandbox.run(["node", "--test", "src/a.test.js"], cwd=ground.project, limits=Limits(memory_bytes=0))
    assert done.returncode == 0, done.text
    assert "pass 1" in done.text


def test_a_virtual_environment_in_the_home(ground: Ground, opened):
    place = ground.home / ".local" / "share" / "venv"
    place.parent.mkdir(parents=True)
    venv.create(place, symlinks=True, with_pip=False)
    done = opened(ground.project).run([str(place / "bin" / "python"), "-c", "print(1)"], cwd=ground.project)
    assert done.text == "1\n"


def test_a_tool_in_a_hidden_place_that_path_names(ground: Ground, opened, monkeypatch, tmp_path):
    for place in (ground.home / ".config" / "nvm" / "bin", tmp_path / "tool" / "bin"):
        place.mkdir(parents=True)
        (place / "greet").write_text(f"#!/bin/sh\ncat {place.parent}/words\n")
        (place / "greet").chmod(0o755)
        (place.parent / "words").write_text("hello\n")
        monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
        assert opened(ground.project).run(["greet"], cwd=ground.project).text == "hello\n"


def test_readable_names_what_stays_visible(ground: Ground, opened, tmp_path):
    (tmp_path / "data").write_text("hello\n")
    done = opened(ground.project, readable=[tmp_path]).run(["cat", str(tmp_path / "data")], cwd=ground.project)
    assert done.text == "hello\n"


def test_streams_and_exit_codes(sandbox, ground: Ground):
    chunks = list[bytes]()
    done = sandbox.run(
        ["sh", "-c", "cat; echo err >&2; exit 3"], cwd=ground.project, stdin=b"in\n", on_output=chunks.append
    )
    assert (done.output, done.returncode, b"".join(chunks)) == (b"in\nerr\n", 3, b"in\nerr\n")
    assert sandbox.run(["cat"], cwd=ground.project, stdin=b"x" * 300_000).output == b"x" * 300_000
    assert sandbox.run(["sh", "-c", "kill -SEGV $$"], cwd=ground.project).returncode == -11
    assert sandbox.run(["pwd"], cwd=ground.project / "src").text == f"{ground.project / 'src'}\n"
    missing = sandbox.run(["no-such-program"], cwd=ground.project)
    assert missing.returncode == 127 and missing.text.startswith("no-such-program: no such program")
    assert sandbox.run(["src/code.py"], cwd=ground.project).returncode == 126
    gone = sandbox.run(["true"], cwd=ground.project / "gone")
    assert (gone.returncode, gone.text) == (127, f"{ground.project / 'gone'} is not a directory.\n")


def test_many_arguments_and_odd_names(sandbox, ground: Ground):
    odd = "a b\n\"'ü$(x)"
    (ground.project / "src" / odd).write_text("odd")
    assert sandbox.run(["cat", f"src/{odd}"], cwd=ground.project).text == "odd"
    many = [str(number) for number in range(20_000)]
    assert sandbox.run(["echo", *many], cwd=ground.project).text == " ".join(many) + "\n"


@pytest.mark.slow
def test_what_it_costs(sandbox, ground: Ground, rung: str, capsys):
    times = list[float]()
    for _ in range(12):
        began = time.perf_counter()
        sandbox.run(["true"], cwd=ground.project)
        times.append(time.perf_counter() - began)
    with capsys.disabled():
        print(f"\n  {rung}: {statistics.median(times) * 1e3:.0f} ms a run (best {min(times) * 1e3:.0f} ms)")
    assert min(times) < 0.5, "an order of magnitude above the target of 60 ms on an idle machine"
