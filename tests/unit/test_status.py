"""Lines of `octant status` that need no store."""

import importlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer

from app.audit.failed_answers import Failed
from app.audit.overview import Overview
from app.console.ranges import Range
from app.releases.reports import Report, Silent

room = importlib.import_module("app.cli.status")  # `app.cli` has the command under this name
NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)


def test_error_lines_are_the_newest_first_and_of_a_minute_the_most_frequent() -> None:
    one = Failed(
        tenant="acme", path="/v1/x", status=503, code="old", answers=900, minute=NOON, request_id="r", key_id="k", of_key=900,
        message="m",
    )  # fmt: skip
    later = replace(one, code="few", status=404, answers=2, minute=NOON + timedelta(minutes=1))
    seen = cast("Overview", SimpleNamespace(failed_answers=[one, later, replace(later, code="many", answers=9)]))
    assert [name for name, _ in room._of_failed_answers(seen)] == ["404 many", "404 few", "503 old"]
    (_, words), *_ = room._of_failed_answers(cast("Overview", SimpleNamespace(failed_answers=[replace(one, of_key=700)])))
    assert words.startswith("900 of acme, 700 of them to key k, on /v1/x; last in 12:00 UTC")


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        ("30s", None, "in the last 30 s"),
        ("1m", None, "in the last 1 min"),
        ("15m", None, "in the last 15 min"),
        ("2w", None, "in the last 2 weeks"),
        ("2026-03-03T12:00:00", "2026-03-03T12:00:30", "from 2026-03-03 12:00:00 UTC to 2026-03-03 12:00:30 UTC"),
        ("2026-03-03T12:00", "2026-03-03T13:00", "from 2026-03-03 12:00 UTC to 2026-03-03 13:00 UTC"),
    ],
)
def test_a_range_is_named_as_it_was_given(since: str, until: str | None, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An age of thirty seconds named two moments that were the same minute."""
    found = list[str]()

    async def status(range_: Range, **_: Any) -> bool:  # noqa: ANN401 - not read
        found.append(range_.words)
        return True

    monkeypatch.setattr(room, "_status", status)
    room.status(since, until)
    assert found == [words]


def test_trouble_ends_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def status(_: Range, **__: Any) -> bool:  # noqa: ANN401 - not read
        return False

    monkeypatch.setattr(room, "_status", status)
    with pytest.raises(typer.Exit):
        room.status("1h", None)


def test_a_worker_that_fell_silent_just_now_comes_first_and_one_of_before_has_its_row() -> None:
    """Its calls hang or are lost without a record, so every figure says that all is well."""
    silent = [Silent("vm:7", 14.2), Silent("vm:5", 300)]
    [line] = room._hanging(silent)
    assert line.startswith("Worker vm:7 is silent for 14 s")
    reports = [Report(worker="vm:8", release="a"), Report(worker="vm:9", release="a")]
    row = dict(room._of_workers(reports, silent))["Workers"]
    assert row == "2 report; silent without having stopped: vm:7 for 14.2 s, vm:5 for 5 min"
    assert dict(room._of_workers(reports, [])) == {"Workers": "2 report"}
    assert dict(room._of_workers(None, [])) == {}, "Postgres is away: nothing is known"
