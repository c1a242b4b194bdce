"""The messages that an operator gets after a release went live, and the seconds that are kept of a rollback."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest
import typer

from app.cli import releases as commands
from app.console.followed import COMMANDS, matched
from app.releases import following
from app.releases.following import Followed, followed, noted_in
from app.releases.history import Activation
from app.releases.reports import Report

if TYPE_CHECKING:
    from app.releases.releases import Releases


class Reporting:
    """Workers that report a release, one reading after another; the last report stays."""

    def __init__(self, *reports: dict[str, str]) -> None:
        self._reports = list(reports)

    async def reports(self) -> list[Report]:
        found = self._reports.pop(0) if len(self._reports) > 1 else self._reports[0]
        return [
            Report(worker=worker, release=release, refused="new" if worker == "sick" else "", reason="no index")
            for worker, release in found.items()
        ]


def room(*reports: dict[str, str]) -> "Releases":
    return cast("Releases", Reporting(*reports))


async def test_a_slow_activation_leaves_the_workers_their_whole_time(capsys: pytest.CaptureFixture[str]) -> None:
    """B2: on a busy machine activating itself may take longer than the workers are given."""
    long_ago = time.monotonic() - 10 * following.WITHIN
    took = await commands.wait_for_workers(room({"one": "old"}, {"one": "new"}), "new", long_ago)
    assert took is not None
    assert (took.release, took.workers, took.seconds > 10 * following.WITHIN) == ("new", 1, True)
    assert await commands.wait_for_workers(room({}), "new", long_ago) is None
    assert "The worker serves it" in capsys.readouterr().out


async def test_a_worker_that_stays_behind_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(following, "WITHIN", 0.1)
    with pytest.raises(typer.Exit) as ended:
        await commands.wait_for_workers(room({"one": "new", "two": "old", "sick": "old"}), "new", time.monotonic())
    assert ended.value.exit_code == 1
    said = capsys.readouterr().out
    assert "2 of 3 workers do not serve it" in said
    assert "two serves old: it has not looked yet" in said
    assert "sick serves old: no index" in said


def test_the_seconds_of_a_rollback_are_read_from_the_row_of_its_release_and_time() -> None:
    at = datetime(2026, 11, 27, 12, tzinfo=UTC)
    took = Followed("2026-11-27", 3, 0.834)
    assert took.noted == "2026-11-27 on the last of 3 workers after 0.834 s"
    assert noted_in(f"to=2026-11-27, {took.noted}") == Followed("2026-11-27", 3, 0.834)
    assert noted_in("to=2026-11-27") is None

    def back(number: int, release: str, minutes: int) -> Activation:
        return Activation(number, release, "x", "rollback", "ada", "worse", at - timedelta(minutes=minutes))

    rows = [(at + timedelta(seconds=2), took.noted), (at - timedelta(hours=1), "a on the last of 1 worker after 9.00 s")]
    assert matched(rows, [back(9, "2026-11-27", 0), back(8, "2026-11-27", 30), back(7, "a", 30)]) == {9: noted_in(took.noted)}


def test_an_activation_has_its_seconds_too_and_a_row_is_of_one_change_alone() -> None:
    at = datetime(2026, 11, 27, 12, tzinfo=UTC)
    forth = Activation(5, "r", "x", "activate", "ada", "better", at)
    again = Activation(6, "r", "x", "activate", "ada", "better", at + timedelta(minutes=2))
    rows = [(at + timedelta(seconds=1), "release_id=r, r on the last of 3 workers after 0.800 s")]
    assert matched(rows, [again, forth]) == {5: Followed("r", 3, 0.8)}
    assert {"release activate", "release activate --force", "rollback", "rollback --force"} <= set(COMMANDS)


async def test_the_command_of_an_activation_notes_its_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    noted: list[str] = []

    class Fake:
        async def activate(self, *_: object, **__: object) -> list[str]:
            return []

        async def reports(self) -> list[Report]:
            return [Report(worker="a", release="r")]

    @asynccontextmanager
    async def opened() -> AsyncIterator[Fake]:
        yield Fake()

    monkeypatch.setattr(commands, "opened", opened)
    monkeypatch.setattr(commands, "add", noted.append)
    await commands._activate("r", "better", force=False)
    assert noted[0].startswith("r on the last of 1 worker after"), capsys.readouterr().out


def test_the_notice_and_the_log_have_one_figure_of_a_rollback() -> None:
    """116 ms in the one and 120 ms in the other is one rollback with two times."""
    report = Report(worker="a", release="2026-11-27")
    took = followed([report], "2026-11-27", time.monotonic() - 0.11612)
    assert took
    assert noted_in(took.noted) == took
