"""File permissions that hold for root too: otherwise a test run as root would miss what fails for everybody else."""

import ctypes
import os
import sys
from collections.abc import Iterator

import pytest

_VERSION_3 = 0x20080522
_OVER_PERMISSIONS = 1 << 1 | 1 << 2 | 1 << 3  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
_GET, _SET = 27, 28  # PR_GET_SECUREBITS, PR_SET_SECUREBITS
_NO_ROOT = 1  # SECBIT_NOROOT: a program has no powers for being started by root


@pytest.fixture
def permissions_hold() -> Iterator[None]:
    """Take root's power over permissions from this process, not from those it starts. See capset(2)."""
    if os.geteuid() or sys.platform != "linux":
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the same for the upper 32
    assert libc.capget(header, sets) == 0, os.strerror(ctypes.get_errno())
    effective = sets[0]
    sets[0] = effective & ~_OVER_PERMISSIONS
    assert libc.capset(header, sets) == 0, os.strerror(ctypes.get_errno())
    yield
    sets[0] = effective
    assert libc.capset(header, sets) == 0, os.strerror(ctypes.get_errno())


@pytest.fixture
def permissions_hold_everywhere(permissions_hold: None) -> Iterator[None]:
    """Take it from the processes that this one starts as well, with all other powers. See capabilities(7)."""
    if os.geteuid():
        yield
        return
    if sys.platform != "linux":
        pytest.skip("only Linux can take root's powers away for a while")
    libc = ctypes.CDLL(None, use_errno=True)
    bits = libc.prctl(_GET, 0, 0, 0, 0)
    if libc.prctl(_SET, bits | _NO_ROOT, 0, 0, 0):
        pytest.skip(f"this root cannot give its powers up: {os.strerror(ctypes.get_errno())}")
    yield
    assert libc.prctl(_SET, bits, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
