"""An interrupt strikes once, and never while a process is being started."""

import os
import signal
from collections.abc import Iterator

import pytest

from app.stack.interrupts import STOPPING, Interrupted, held_back, listen


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPPING)
def test_each_way_of_asking_to_stop_is_the_same_exception(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    listen()
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), number)


def test_a_second_one_does_not_interrupt_the_stopping() -> None:
    listen()
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)


def test_one_that_comes_while_a_process_starts_waits_until_it_has_started() -> None:
    listen()
    done = []

    def start() -> None:
        with held_back():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("started")

    with pytest.raises(Interrupted):
        start()
    assert done == ["started"]


def test_nothing_strikes_at_the_end_of_a_start_that_was_not_interrupted() -> None:
    listen()
    with held_back():
        pass


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As under `nohup`."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    listen()
    os.kill(os.getpid(), signal.SIGHUP)
