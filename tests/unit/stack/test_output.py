"""A command whose reader leaves ends quietly: `octant … | head -1` (K2)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from app.cli.output import READER_GONE

# As commands do: wait for a store, print within that, and take an OSError for the store's absence.
PRINTS = """
import asyncio, sys
from contextlib import asynccontextmanager
from app.cli.output import standard_output
from app.domain.errors import Misconfigured

@asynccontextmanager
async def store():
    try:
        yield
    except OSError as error:
        raise Misconfigured("Valkey does not answer") from None

async def show():
    async with store():
        for number in range(LINES):
            print(number, flush=FLUSH)

with standard_output():
    asyncio.run(show())
    sys.exit(0)
"""


@pytest.mark.parametrize(
    ("lines", "flush"), [(10_000, True), (100_000, False), (3, False)], ids=["flushed", "buffered", "at the end"]
)
def test_a_reader_that_leaves_is_no_outage(lines: int, flush: bool) -> None:
    code = PRINTS.replace("LINES", str(lines)).replace("FLUSH", str(flush))
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, timeout=120, check=False)
    os.close(writing)
    assert (run.returncode, run.stderr) == (READER_GONE, b"")


def test_a_command_of_ours_ends_the_same_way(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        [sys.executable, "-m", "app.cli", "--help"], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, timeout=120, check=False
    )
    os.close(writing)
    assert (run.returncode, run.stderr) == (READER_GONE, b"")


def test_a_reader_that_stays_gets_everything() -> None:
    code = PRINTS.replace("LINES", "1000").replace("FLUSH", "False")
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout.splitlines() == [str(n) for n in range(1000)]
