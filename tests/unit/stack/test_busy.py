"""A rehearsal that failed says how busy the machine was."""

import os

import pytest

from app.stack.busy import load_words


@pytest.mark.parametrize(
    ("load", "words"),
    [(14.4, "load 14.4 on 2 cores: the machine is overloaded, which may be why"), (2.0, "load 2.0 on 2 cores")],
)
def test_an_overloaded_machine_is_named_as_a_possible_reason(monkeypatch: pytest.MonkeyPatch, load: float, words: str) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert load_words() == words
