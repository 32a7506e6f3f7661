import ctypes
import os
import sys
from collections.abc import Iterator

import pytest
from snapshot_ground import project

__all__ = ["project"]

_VERSION_3 = 0x20080522
_OVER_PERMISSIONS = 1 << 1 | 1 << 2 | 1 << 3  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER


@pytest.fixture(autouse=True)
def permissions_hold() -> Iterator[None]:
    """Take root's power over file permissions from this process (not from those it starts) for the time of a test.

    Otherwise a test run as root would miss what fails for everybody else. See capset(2).
    """
    if os.geteuid() != 0 or sys.platform != "linux":
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
