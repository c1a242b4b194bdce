"""The messages that an operator gets after a release went live."""

import time
from typing import TYPE_CHECKING, cast

import pytest
import typer

from app.cli import releases as commands
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
    long_ago = time.monotonic() - 10 * commands.WAIT_SECONDS
    await commands.wait_for_workers(room({"one": "old"}, {"one": "new"}), "new", long_ago)
    assert "All 1 workers serve it" in capsys.readouterr().out


async def test_a_worker_that_stays_behind_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(commands, "WAIT_SECONDS", 0.1)
    with pytest.raises(typer.Exit) as ended:
        await commands.wait_for_workers(room({"one": "new", "two": "old", "sick": "old"}), "new", time.monotonic())
    assert ended.value.exit_code == 1
    said = capsys.readouterr().out
    assert "2 of 3 workers do not serve it" in said
    assert "two serves old: it has not looked yet" in said
    assert "sick serves old: no index" in said
