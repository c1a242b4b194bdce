"""An incident's timeline keeps the changes of its time that are of something else apart."""

from datetime import UTC, datetime

import pytest

from app.oncall.incidents.asides import is_aside
from app.oncall.incidents.runbooks import NO_ALERTS, Alerts
from app.oncall.incidents.timeline import Entry, Kind, others_words, parted

OUTAGE = Alerts([{"provider": "openai"}], ["provider-outage"])
CAP_OF_ACME = Alerts([{"tenant": "acme"}], ["cost-spike#confirm"])
CAPS = Alerts([{"scope": "tenant-day"}], ["cost-spike"])
DRILLED = Alerts([{"provider": "openai", "drill": "true"}], ["provider-outage"])


@pytest.mark.parametrize(
    ("kind", "text", "aside_of"),
    [
        ("command", "key create tenant_id=acme name=k [ok]", [OUTAGE, CAPS]),
        ("command", "budget set tenant=globex day=5 [ok]", [OUTAGE, CAPS, CAP_OF_ACME]),
        ("command", "budget set tenant=acme user=user#1f day=5 [ok]", [OUTAGE, CAPS]),
        ("command", "key revoke key_id=1a2b3c4d [ok]", [OUTAGE, CAPS]),
        ("command", "providers close target=openai/gpt-6-sol [ok]", []),
        ("command", "rollback to=2026-11-01 [ok]", []),
        ("command", "drill gameday scenario=provider-outage [ok]", [OUTAGE, CAPS, CAP_OF_ACME]),
        ("command", "oncall drill alert=OctantBreakerOpen [ok]", [OUTAGE, CAPS, CAP_OF_ACME]),
        ("switch", "kill tenant name=globex [ok] a loop", [CAP_OF_ACME]),
        ("switch", "kill user tenant=globex user=user#1f [ok] a loop", [CAP_OF_ACME]),
        ("switch", "kill user tenant=acme user=user#1f [ok] a loop", []),
        ("switch", "resume scope=tenant name=globex [ok]", [CAP_OF_ACME]),
        ("switch", "stopped user globex/user#1f: a loop", [CAP_OF_ACME]),
        ("switch", "kill provider name=openai [ok]", []),
        ("budget", "95 % of user-day of globex", [OUTAGE, CAP_OF_ACME]),
        ("budget", "95 % of user-day of acme", [OUTAGE]),
        ("release", "activate: r2 after r1: better", []),
        ("note", "key create tenant_id=globex", []),
    ],
)
def test_a_change_stands_aside_where_it_touches_nothing_of_the_alerts(kind: Kind, text: str, aside_of: list[Alerts]) -> None:
    every = (OUTAGE, CAPS, CAP_OF_ACME)
    assert [alerts for alerts in every if is_aside(kind, text, alerts)] == [one for one in every if one in aside_of]
    assert not is_aside(kind, text, NO_ALERTS), "of an incident without an alert nothing is known"


def test_a_drill_is_a_part_of_its_own_incident_alone() -> None:
    assert not is_aside("command", "oncall drill alert=OctantBreakerOpen [ok]", DRILLED)


def test_entries_that_stand_aside_come_with_their_number() -> None:
    at = datetime(2026, 11, 30, tzinfo=UTC)
    own, other = (Entry(at=at, kind="command", actor="ada", text="t", aside=aside) for aside in (False, True))
    assert parted([own, other, own]) == ([own, own], [other])
    assert others_words([other]) == "Other changes at that time (1)"
