"""Attempts to reach anything over a socket."""

import platform
import socket
import sys
from collections.abc import Iterator

import pytest
from sandbox_ground import Ground

TRY = """
import socket, sys
port, kind = int(sys.argv[1]), sys.argv[2]
def attempt(what, act):
    try: print(what, 'REACHED', act())
    except OSError as error: print(what, 'refused')
def udp(host, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        return s.sendto(b'leak', (host, port))
attempt('tcp', lambda: socket.create_connection(('127.0.0.1', port), 2).close())
attempt('tcp6', lambda: socket.create_connection(('::1', port), 2).close())
attempt('away', lambda: socket.create_connection(('192.0.2.1', 80), 1).close())
attempt('dns', lambda: socket.getaddrinfo('example.org', 80))
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt('packet', lambda: socket.socket(17, socket.SOCK_RAW, 0))
attempt('vsock', lambda: socket.socket(40, socket.SOCK_STREAM))
attempt('alg', lambda: socket.socket(38, 5))
attempt('abstract', lambda: socket.socket(socket.AF_UNIX).connect('\\0qwencode-test-%d' % port))
if kind == 'landlock':
    attempt('bind', lambda: socket.socket().bind(('127.0.0.1', 0)))
    attempt('udp', lambda: udp('127.0.0.1'))
    attempt('pair', lambda: socket.socketpair(socket.AF_INET))
else:
    udp('127.0.0.1')
print('TRIED')
"""


@pytest.fixture
def listener() -> Iterator[tuple[socket.socket, socket.socket, int]]:
    """A TCP and a UDP socket of the host on the same loopback port, and an abstract Unix socket."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        with socket.socket(socket.AF_UNIX) as abstract:
            abstract.bind(f"\0qwencode-test-{port}")
            abstract.listen()
            yield tcp, udp, port


def test_no_way_to_the_network(python, rung: str, listener):
    tcp, udp, port = listener
    done = python(TRY, port, rung)
    assert "REACHED" not in done.text
    assert done.text.endswith("TRIED\n")
    for server in (tcp, udp):
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.recvfrom(10) if server is udp else server.accept()


def test_loopback_servers_of_a_test_suite(python, rung: str, sandbox):
    code = """
import socket, threading
with socket.create_server(('127.0.0.1', 0)) as server:
    client = socket.create_connection(server.getsockname())
    server.accept()[0].sendall(b'hello')
    print(client.recv(5))
"""
    done = python(code)
    if rung == "landlock":
        assert "PermissionError" in done.text and "no network at all (no loopback either)" in sandbox.covers
    else:
        assert done.text == "b'hello'\n"


def test_io_uring_and_foreign_system_calls(python):
    if platform.machine() != "x86_64":
        pytest.skip(f"the machine code of this test is for x86_64, not {platform.machine()}")
    x32 = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    x32 += "for number in (425, 248, 250, 0x40000000 + 41): print(libc.syscall(number, 2, 1, 0), ctypes.get_errno())"
    assert python(x32).text == "-1 1\n" * 4
    foreign = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
# mov eax, 359 (socket of i386); mov ebx, 2; mov ecx, 1; xor edx, edx; int 0x80; ret
page.write(bytes.fromhex('b867010000' 'bb02000000' 'b901000000' '31d2' 'cd80' 'c3'))
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
print('CAME BACK', call())
"""
    done = python(foreign)
    assert done.returncode < 0 and "CAME BACK" not in done.text


def test_a_nested_namespace_does_not_help(ground: Ground, sandbox, listener):
    _, _, port = listener
    code = f'import socket; socket.create_connection(("127.0.0.1", {port}), 1)'
    line = f"unshare -rn {sys.executable} -c '{code}' && echo REACHED; nsenter -t 1 -n true && echo ENTERED"
    done = sandbox.run(["sh", "-c", line], cwd=ground.project)
    assert "REACHED" not in done.text and "ENTERED" not in done.text
