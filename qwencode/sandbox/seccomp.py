"""A light seccomp filter: which sockets may be made, and a few system calls that no test suite needs.

The usual long list (connect, sendto, ...) makes asyncio hang and multiprocessing managers die, since both talk over
Unix sockets. Refusing `socket` and `socketpair` by domain stops TCP and UDP just as well and leaves those alone.

Covered: sockets of every domain that is not listed; ptrace where asked; io_uring, which would bypass the filter; the
kernel's key rings, which no namespace separates; system calls of a foreign architecture (the process is killed) and of
the x32 ABI (refused). Not covered: what an already open socket can do; Unix sockets that are found by their path.

Encoding after the kernel's Documentation/userspace-api/seccomp_filter.rst and linux/{filter,seccomp,audit}.h.
"""

import struct
from collections.abc import Sequence

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
EPERM = 1
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CALLS = {
    "x86_64": {"socket": 41, "socketpair": 53, "ptrace": 101, "add_key": 248, "request_key": 249, "keyctl": 250},
    "aarch64": {"socket": 198, "socketpair": 199, "ptrace": 117, "add_key": 217, "request_key": 218, "keyctl": 219},
}
_IO_URING = (425, 426, 427)
_X32_BIT = 0x40000000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL_PROCESS, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | EPERM
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; arguments are little-endian here


def known(machine: str) -> bool:
    """Tell whether the system call numbers of this machine (`platform.machine()`) are known here."""
    return machine in _ARCHITECTURES


def program(machine: str, domains: Sequence[int], *, ptrace: bool) -> bytes:
    """Return the filter as classic BPF, eight bytes an instruction: sockets only of `domains`, ptrace only if allowed.

    Raises KeyError for a machine that is not `known`.
    """
    calls = _CALLS[machine]
    code: list[tuple[int, int, int, int]] = [  # operation, jump if true, jump if false, operand
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += [(_JUMP_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _REFUSE)]
    refused = [
        calls["add_key"],
        calls["request_key"],
        calls["keyctl"],
        *_IO_URING,
        *([] if ptrace else [calls["ptrace"]]),
    ]
    for number in refused:
        code += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    by_domain = [(_LOAD, 0, 0, _FIRST_ARGUMENT)]
    by_domain += [(_JUMP_EQUAL, len(domains) - index, 0, domain) for index, domain in enumerate(domains)]
    by_domain += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    for number in (calls["socket"], calls["socketpair"]):
        code += [(_JUMP_EQUAL, 0, len(by_domain), number), *by_domain]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
