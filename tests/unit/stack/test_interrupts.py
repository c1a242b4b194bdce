"""An interrupt strikes once, and never while a process is being started."""

import importlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.stack.interrupts import STOPPING, Interrupted, held_back, listen


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (*STOPPING, signal.SIGALRM)}
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


def test_a_process_that_starts_while_another_waits_receives_the_stop_signal() -> None:
    """An ignored signal would be inherited: the process would have to be killed."""
    listen()
    processes = []

    def start() -> None:
        with held_back():
            os.kill(os.getpid(), signal.SIGTERM)
            processes.append(subprocess.Popen(["sleep", "60"]))

    with pytest.raises(Interrupted):
        start()
    processes[0].terminate()
    assert processes[0].wait(120) == -signal.SIGTERM


def test_nothing_strikes_at_the_end_of_a_start_that_was_not_interrupted() -> None:
    listen()
    before = signal.getsignal(signal.SIGINT)
    with held_back():
        pass
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As under `nohup`."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    listen()
    os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_one_that_comes_in_the_middle_of_an_import_strikes_once_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the import lock may stay held, and another thread that imports hangs for ever."""
    (tmp_path / "struck_by_a_signal.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhole = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    listen()
    imported: list[bool] = []
    with pytest.raises(Interrupted):
        _import_and_wait(imported)
    assert imported == [True]


def _import_and_wait(imported: list[bool]) -> None:
    imported.append(importlib.import_module("struck_by_a_signal").whole)
    time.sleep(5)
