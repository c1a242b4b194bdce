"""The log of rehearsals (B5)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.errors import Misconfigured
from app.releases.rehearsals import Rehearsal, append, read

AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def test_what_is_appended_is_read_oldest_first_whatever_the_order_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "runbook" / "rehearsals.jsonl"
    newest, oldest = (
        Rehearsal(AT, "outage", kept=True, note="99.97 %"),
        Rehearsal(AT - timedelta(days=31), "rollback", kept=False),
    )
    append(path, newest)
    append(path, oldest)
    assert read(path) == [oldest, newest]


def test_without_a_log_there_was_no_rehearsal(tmp_path: Path) -> None:
    assert read(tmp_path / "rehearsals.jsonl") == []


@pytest.mark.parametrize("line", ["{}", "yesterday", '{"at": "2026-11-24T09:30:00", "what": "outage", "kept": true}'])
def test_a_line_without_a_rehearsal_or_a_time_zone_is_reported_by_number(line: str, tmp_path: Path) -> None:
    path = tmp_path / "rehearsals.jsonl"
    append(path, Rehearsal(AT, "outage", kept=True))
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(Misconfigured, match="line 2"):
        read(path)
