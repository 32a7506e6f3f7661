"""What waits while files are put back, and that none of it is lost."""

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from qwencode.errors import Interrupted
from qwencode.jobs.undisturbed import undisturbed

ENDING = (signal.SIGTERM, signal.SIGHUP)


def stop(number: int, frame: FrameType | None) -> None:
    raise Interrupted(signal.Signals(number).name)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.signal(number, stop) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDING])
def test_what_came_meanwhile_arises_at_the_end(number: signal.Signals):
    done = False
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else Interrupted), undisturbed():
        os.kill(os.getpid(), number)
        done = True
    assert done
    assert signal.getsignal(signal.SIGTERM) is stop and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_request_to_end_is_heard_beside_a_ctrl_c():
    with pytest.raises(Interrupted, match="SIGTERM"), undisturbed():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGINT):
            os.kill(os.getpid(), number)


def test_inside_another_it_waits_for_the_end_of_that():
    done = False
    with pytest.raises(KeyboardInterrupt), undisturbed():
        with undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
        done = True
    assert done


def test_others_are_not_held():
    with pytest.raises(Interrupted), undisturbed(signal.SIGINT):
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("it should have been heard")


def test_nothing_came():
    with undisturbed():
        pass
    assert signal.getsignal(signal.SIGTERM) is stop
