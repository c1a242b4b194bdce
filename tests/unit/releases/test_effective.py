"""The price table in effect on a day (C2)."""

from datetime import date
from pathlib import Path

import pytest

from app.domain.routes import PriceTable
from app.releases.effective import Effect, effect_of

PINNED = PriceTable("november", {}, effective=date(2026, 11, 1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tables of three months, and files that are no tables."""
    for version, day in (
        ("october", "2026-10-01"),
        ("november", "2026-11-01"),
        ("december", "2026-12-01"),
        ("january", "2027-01-01"),
    ):
        (tmp_path / f"{version}.toml").write_text(f'version = "{version}"\neffective = {day}\n')
    (tmp_path / "draft.toml").write_text("effective = ")
    (tmp_path / "note.toml").write_text('version = "note"\neffective = "2026-11-05"\n')
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "deep.toml").write_text("x = " + "[" * 20_000)
    (tmp_path / "folder.toml").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("today", "effect"),
    [
        (date(2026, 10, 31), Effect("not_yet")),
        (date(2026, 11, 1), Effect("in_effect")),
        (date(2026, 11, 30), Effect("in_effect")),
        (date(2026, 12, 1), Effect("superseded", "december")),
        (date(2027, 5, 1), Effect("superseded", "january")),
    ],
    ids=str,
)
def test_a_table_is_in_effect_from_its_day_until_the_next_ones(folder: Path, today: date, effect: Effect) -> None:
    assert effect_of(PINNED, folder, today) == effect


def test_a_folder_that_is_not_there_holds_no_newer_table(tmp_path: Path) -> None:
    assert effect_of(PINNED, tmp_path / "none", date(2027, 1, 1)) == Effect("in_effect")
