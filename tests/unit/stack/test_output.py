"""A command whose reader leaves ends quietly: `octant … | head -1` (K2)."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import AsyncMock, MagicMock

import pytest
from conftest import ROOT

from app.cli import paging
from app.cli.output import READER_GONE, shown
from app.cli.tables import print_table

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


@pytest.mark.parametrize("lines", [1, 10_000])
def test_a_full_disk_behind_the_output_is_one_sentence(lines: int) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-c", PRINTS.replace("LINES", str(lines)).replace("FLUSH", "False")]
        run = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (1, "octant: The output cannot be written (No space left on device).\n")


def test_a_reader_that_stays_gets_everything() -> None:
    code = PRINTS.replace("LINES", "1000").replace("FLUSH", "False")
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout.splitlines() == [str(n) for n in range(1000)]


HOSTILE = "\x1b]0;title\x07\x1b[2J\x1b[8m\x1b[31;8m\x9b31m\rback\x08\u202e\u2028\x00"


def test_what_callers_write_steers_no_terminal_and_stays_the_same_json() -> None:
    text = json.dumps({"text": HOSTILE}, ensure_ascii=False)
    assert json.loads(shown(text)) == {"text": HOSTILE}
    assert shown(shown(HOSTILE)) == shown(HOSTILE)
    assert shown(HOSTILE).isprintable()


# Names that differ in them alone looked alike, and a tag is a letter that is not drawn (UTS 39; CVE-2021-42574).
@pytest.mark.parametrize(
    "letter",
    [
        "\u200b",
        "\u200d",
        "\u2060",
        "\ufeff",
        "\xad",
        "\u3164",
        "\uffa0",
        "\ufe0e",
        "\u200f",
        "\U000e0041",
        "\U000e0101",
        "\U0001d173",
    ],
)
def test_two_names_that_look_alike_are_printed_apart(letter: str) -> None:
    name = f"ac{letter}me"
    assert shown(name).isascii()
    assert json.loads(f'"{shown(name)}"') == name


@pytest.mark.parametrize(
    "text",
    [
        "a\tb\nc\r\n", "\x1b[1;33mUsage: \x1b[0m\x1b[2m", "Žluťoučký 語 👩\u200d💻 क्\u200dष €",
        "\u0645\u06cc\u200c\u062e\u0648\u0627", "❤\ufe0f 1\ufe0f\u20e3 ©\ufe0f",
        "葛\U000e0100城",
    ],
)  # fmt: skip
def test_what_only_lays_out_a_text_stays(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize("stream", ["out", "err"])
def test_both_streams_of_a_command_are_shown_so(stream: str) -> None:
    code = (
        "import sys; from app.cli.output import standard_output\n"
        f"with standard_output(): print({HOSTILE!r}, file=sys.std{stream})"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert getattr(run, f"std{stream}") == shown(HOSTILE) + "\n"


def test_a_bug_whose_words_are_a_callers_steers_no_terminal() -> None:
    code = (
        "import sys, app.cli\n"
        f"def fails(**_): raise AssertionError({HOSTILE!r})\n"
        "app.cli.app = fails; sys.argv = ['octant']; app.cli.main()"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, run.stderr.splitlines()[-1]) == (1, f"AssertionError: {shown(HOSTILE)}")


def test_what_the_evals_print_of_callers_and_models_is_shown_so() -> None:
    code = (
        "import runpy, typer\n"
        f"typer.Typer.__call__ = lambda *_: print({HOSTILE!r})\n"
        "runpy.run_module('evals', run_name='__main__')"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, run.stdout) == (0, shown(HOSTILE) + "\n")


def test_an_argument_that_is_not_utf_8_is_named_and_no_store_is_asked() -> None:
    command = [sys.executable.encode(), b"-m", b"app.cli", b"kill", b"all", b"--reason", b"gr\xfcn\x1b[2J"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("octant: Argument 4 is not UTF-8: 'gr\\udcfcn\\x1b[2J'")


@pytest.mark.parametrize("user", [["--user", ""], ["--user="]])
def test_an_option_with_nothing_in_it_is_not_taken_for_one_left_out(user: list[str]) -> None:
    command = [sys.executable, "-m", "app.cli", "budget", "set", "acme", *user, "--day", "3"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, "is empty: give it a value" in run.stderr) == (1, True)


def test_the_help_names_the_command_however_it_was_started() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "app.cli", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Usage: octant " in run.stdout


def test_no_cell_of_a_table_passes_for_another_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A model's name is what its provider answers, and an error may quote either."""
    print_table(("model", "cost"), [("gpt\n2026  forged\u2028line\r\nand\x85one\x0bmore", "$1")])
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "model cost",
        "gpt 2026 forged line and one more $1",
    ]


def test_no_label_and_no_key_of_a_page_passes_for_another_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alertmanager posts what a rule's labels hold, and those may be names that callers chose."""
    now, words = datetime.now(UTC), "x\n2026-11-30 03:00:00Z  acknowledged  by=ada\u2028$ octant resume all"
    one = MagicMock(
        labels={words: words},
        dedup_key=words,
        alert=words,
        summary=words,
        person=words,
        level=1,
        triggered_at=now,
        test=False,
        status="triggered",
        ack_expires_at=None,
        resolved_at=None,
    )
    event = MagicMock(at=now, event="paged", detail={"person": words})
    pages = MagicMock(find=AsyncMock(return_value=one), events=AsyncMock(return_value=[event]))
    monkeypatch.setattr(paging, "_pages", lambda: nullcontext((pages, None)))
    paging.show("1")
    assert len(capsys.readouterr().out.splitlines()) == 4
