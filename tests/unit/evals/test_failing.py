"""A command of the evals that is asked to stop twice still removes what it started (E3)."""

import os
import signal

import pytest
import typer

from evals.failing import failing_closed
from evals.gate import BROKEN


def asked_twice(removed: list[str]) -> None:
    """A run that is asked to stop, and once more while it removes what it started."""
    with failing_closed():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            removed.append("the folder")


def test_a_second_signal_does_not_break_into_the_removal_of_what_was_started() -> None:
    removed: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(typer.Exit) as ended:
            asked_twice(removed)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (ended.value.exit_code, removed) == (BROKEN, ["the folder"])
