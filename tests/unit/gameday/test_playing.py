"""One game day at a time on a machine, known while it is played, and over when its process is (X2)."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain.errors import Misconfigured
from app.oncall.gamedays import FILE, FOLDER, Line, played_now, playing

HELD = """
import sys, time
from pathlib import Path
from app.oncall.gamedays import Line, playing
with playing(Path(sys.argv[1]), "provider-outage") as heard:
    heard(Line("fault begins", 0.0))
    print("held", flush=True)
    time.sleep(60)
"""


def test_its_lines_are_read_while_it_is_played_and_nothing_after(tmp_path: Path) -> None:
    assert played_now(tmp_path) is None
    with playing(tmp_path, "rogue-user") as heard:
        heard(Line("starting"))
        heard(Line("fault begins: “ünïcode”\n", 0.0))
        now = played_now(tmp_path)
        assert now is not None
        assert (now.scenario, now.pid) == ("rogue-user", os.getpid())
        assert now.lines == (Line("starting"), Line("fault begins: “ünïcode”\n", 0.0))
    assert played_now(tmp_path) is None
    with playing(tmp_path, "injection"):
        assert played_now(tmp_path).lines == ()  # type: ignore[union-attr]


def test_a_second_one_is_refused_and_leaves_the_first_ones_lines(tmp_path: Path) -> None:
    with playing(tmp_path, "rogue-user") as heard:
        heard(Line("starting"))
        with pytest.raises(Misconfigured, match="already being played"), playing(tmp_path, "injection"):
            pass
        now = played_now(tmp_path)
        assert (now and now.scenario, now and now.lines) == ("rogue-user", (Line("starting"),))


def test_one_that_was_killed_is_over(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HELD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        now = played_now(tmp_path)
        assert now is not None
        assert (now.pid, now.lines) == (process.pid, (Line("fault begins", 0.0),))
        process.send_signal(signal.SIGKILL)
    assert played_now(tmp_path) is None
    with playing(tmp_path, "injection"):
        assert played_now(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(""),
        lambda path: path.write_text("[1]\n"),
        lambda path: path.write_text('{"scenario": "x"}\n'),
        lambda path: path.write_text('{"scenario": "x", "begun_at": "yesterday", "pid": 1}\n'),
    ],
)
def test_a_file_that_cannot_be_read_is_no_game_day(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with playing(tmp_path, "rogue-user"):
        damage(tmp_path / FOLDER / FILE)
        assert played_now(tmp_path) is None


def test_a_line_that_is_half_written_is_left_out(tmp_path: Path) -> None:
    with playing(tmp_path, "rogue-user") as heard:
        heard(Line("starting"))
        with (tmp_path / FOLDER / FILE).open("a") as file:
            file.write('{"words": "fau')
        now = played_now(tmp_path)
        assert now is not None
        assert now.lines == (Line("starting"),)
