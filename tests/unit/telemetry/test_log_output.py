"""Log lines whose reader falls behind, or is gone: no request waits for it (docker's and the journal's backpressure)."""

import fcntl
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from app.telemetry.log_output import Unhurried

LINE = "x" * 999 + "\n"
SOON = 5.0  # seconds; a write that waits for the reader takes for ever
Ends = tuple[int, int]


@pytest.fixture(params=["pipe", "another user's pipe", "socket"])
def ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    """The reader's end and the writer's."""
    if request.param == "socket":
        reader, writer = socket.socketpair()
        yield reader.fileno(), writer.fileno()
        reader.close()
        writer.close()
        return
    if "another" in request.param:  # it cannot be opened anew
        monkeypatch.setattr("sys.platform", "other")
    pipe = os.pipe()
    yield pipe
    for end in pipe:
        os.close(end)


@pytest.fixture
def output(ends: Ends) -> Iterator[Unhurried]:
    output = Unhurried(ends[1])
    yield output
    output.close()


def taken(reader: int) -> list[str]:
    """The lines that are there."""
    found = b""
    while select.select([reader], [], [], 0.05)[0]:
        found += os.read(reader, 1 << 16)
    return found.decode().splitlines()


def test_a_reader_that_falls_behind_keeps_no_writer_waiting_and_learns_what_is_lost(ends: Ends, output: Unhurried) -> None:
    reader, _ = ends
    began = time.monotonic()
    for number in range(2_000):
        output.write(f"{number} {LINE}")
        output.flush()
    assert time.monotonic() - began < SOON
    lines = []
    while found := taken(reader):
        lines += found
        output.flush()
    notice = json.loads(lines.pop())
    numbers = [int(line.split()[0]) for line in lines]
    assert numbers == list(range(len(numbers)))  # in order, and whole
    assert all(len(line) > 1_000 for line in lines)
    assert (notice["lines"], notice["level"]) == (2_000 - len(numbers), "warning")
    output.write("then\n")
    output.flush()
    assert taken(reader) == ["then"]


def test_a_line_longer_than_what_is_taken_at_once_arrives_whole(ends: Ends, output: Unhurried) -> None:
    reader, _ = ends
    output.write("y" * 400_000 + "\n")
    output.write("z\n")
    received = ""
    for _ in range(200):
        output.flush()
        while select.select([reader], [], [], 0)[0]:
            received += os.read(reader, 1 << 16).decode()
        if received.endswith("z\n"):
            break
    assert received == "y" * 400_000 + "\nz\n"


def test_a_reader_that_left_is_no_failure() -> None:
    reader, writer = os.pipe()
    output = Unhurried(writer)
    os.close(reader)
    for _ in range(3):
        output.write("into nothing\n")
        output.flush()
        assert (output._size, list(output._waiting)) == (0, []), "what no reader takes is not kept"
    output.close()
    os.close(writer)


def test_a_full_disk_is_said_by_an_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("wb") as full:
        output = Unhurried(full.fileno())
        output.write("x\n")
        with pytest.raises(OSError, match="No space"):
            output.flush()


def test_a_forked_process_does_not_write_again_what_waits_in_its_parent() -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ
    output = Unhurried(writer)
    for _ in range(8):
        output.write(LINE)
        output.flush()
    if not (child := os.fork()):
        output.write("child\n")
        os._exit(int(output._size != len("child\n")))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    output.close()
    os.close(reader)
    os.close(writer)


PROGRAM = """
import logging, os, sys, time
from app.cli.output import standard_output
from app.telemetry import logs

with standard_output():
    logs.configure("info", redact=str)
    log = logging.getLogger("a")
    for number in range(3000):
        logs.info(log, "request", {"number": number, "text": "x" * 100})
        log.warning("other", extra={"number": number})
    os.write(int(sys.argv[1]), b"done")
"""


@pytest.mark.parametrize("streams", ["never read", "reader gone", "closed"])
def test_a_process_logs_on_whatever_became_of_its_standard_output(streams: str) -> None:
    said, say = os.pipe()
    reader, writer = os.pipe()
    command = [sys.executable, "-c", PROGRAM, str(say)]
    if streams == "closed":
        command = ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
    with subprocess.Popen(command, cwd=ROOT, stdout=writer, stderr=writer, pass_fds=(say,)) as process:
        for end in (say, writer, *([reader] if streams == "reader gone" else [])):
            os.close(end)
        try:
            assert select.select([said], [], [], 30.0)[0]
            assert os.read(said, 16) == b"done"
            assert process.wait(10.0) == 0
        finally:
            process.kill()
    os.close(said)
    if streams != "reader gone":
        os.close(reader)
