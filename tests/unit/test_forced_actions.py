"""A forced command is an action of its own in the operators' log (B3)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.cli import audited


@pytest.mark.parametrize(("force", "action"), [(True, "release activate --force"), (False, "release activate")])
def test_a_forced_command_is_audited_as_an_action_of_its_own(
    monkeypatch: pytest.MonkeyPatch, *, force: bool, action: str
) -> None:
    noted: list[tuple[str, dict[str, Any], str, list[str], datetime]] = []
    ran: list[datetime] = []
    monkeypatch.setattr(audited, "_note", lambda *row: noted.append(row))

    @audited.changes("release activate")
    def command(*, release_id: str, reason: str, force: bool) -> None:
        ran.append(datetime.now(UTC))

    command(release_id="a", reason="r", force=force)
    assert [(name, outcome) for name, _, outcome, *_ in noted] == [(action, "ok")]
    assert noted[0][-1] <= ran[0], "its row has the time of its begin: what it changed shows before it ends"


def test_a_command_that_waits_for_a_person_is_in_the_log_before_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The acknowledgement of a test page stood before the page, with an earlier time: its command had waited for it."""
    rows: list[tuple[str, str]] = []
    monkeypatch.setattr(audited, "_note", lambda action, _, outcome, *__: rows.append((action, outcome)))

    @audited.changes("oncall page", waits=True)
    def command() -> None:
        rows.append(("oncall ack", "ok"))

    command()
    assert rows == [("oncall page", "begun"), ("oncall ack", "ok"), ("oncall page", "ok")]
