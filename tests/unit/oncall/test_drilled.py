"""A drilled alert is one of Alertmanager's, marked, and allowed in a demo alone (P3)."""

import json
from datetime import UTC, datetime

import pytest

from app.domain.errors import Forbidden, InvalidRequest
from app.oncall.incidents.grouping import fits
from app.oncall.incidents.titles import short_title
from app.oncall.paging.alarms import Alarm, AlertmanagerMessage, alarm_of, as_json
from app.oncall.paging.drilled import DEFAULT, allowed, is_drill, message_of, token_of
from app.oncall.runbook.pages import read
from app.oncall.runbook.search import find
from app.stack.receiver import TOKEN, DemoReceiver

NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)


def drilled(alert: str = DEFAULT) -> Alarm:
    body = message_of(alert, read(), NOW, runbook_url="https://runbook.example/")
    return alarm_of(AlertmanagerMessage.model_validate_json(json.dumps(body)))


def test_a_drilled_alert_has_the_rules_link_and_a_short_title_that_says_drill() -> None:
    alarm = drilled()
    assert (alarm.alert, alarm.severity, alarm.firing, alarm.test) == (DEFAULT, "page", True, False)
    assert alarm.summary == "Drill: An objective is being missed: availability"
    assert short_title(alarm.summary) == alarm.summary, "it fits in a heading"
    assert alarm.links["runbook"] == "https://runbook.example/objectives.md#availability"
    assert is_drill(alarm.labels)
    assert find(read(), alarm.alert)[0][1].address == "runbook/objectives.md#availability", "the console's link leads there, too"


def test_no_text_of_an_alert_keeps_it_from_being_stored() -> None:
    """Postgres holds no NUL, and a page that it cannot hold calls no second person."""
    body = message_of(DEFAULT, read(), NOW)
    body["alerts"][0] |= {
        "labels": {"alertname": "a\0", "severity": "s\0"},
        "annotations": {"summary": "s\0"},
        "fingerprint": "f\0",
    }
    body |= {"groupKey": "g\0", "commonLabels": {"l\0": "v", "m": "v\0"}, "commonAnnotations": {"runbook_url": "u\0"}}
    alarm = alarm_of(AlertmanagerMessage.model_validate_json(json.dumps(body)))
    assert "\\u0000" not in json.dumps(as_json(alarm)), alarm


def test_a_drill_gathers_with_no_real_page() -> None:
    labels = drilled().labels
    assert fits(labels, labels)
    assert not fits(labels, {"alertname": DEFAULT})
    assert not fits({}, labels)
    assert drilled().key != alarm_key_of_the_real_one()


def alarm_key_of_the_real_one() -> str:
    return f'{{}}:{{alertname="{DEFAULT}"}}'


def test_an_alert_that_no_rule_has_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="OctantNothing"):
        drilled("OctantNothing")


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_drill_calls_people_in_a_demo_alone(environment: str) -> None:
    allowed("development")
    with pytest.raises(Forbidden, match="a demo alone"):
        allowed(environment)


def test_a_demo_takes_the_alerts_that_its_own_command_posts() -> None:
    """Both make the token of the demo's secret; it stands in no file."""
    receiver = DemoReceiver(b"secret", print)
    with receiver.listening():
        assert receiver.environment[TOKEN] == token_of(b"secret") != token_of(b"another")


@pytest.mark.parametrize(
    ("alert", "address"),
    [
        ("OctantPageTest", "runbook/paging.md#a-page-came"),
        ("OctantWatchdogMissing", "runbook/paging.md#the-watchdog-is-missing"),
    ],
)
def test_a_page_of_the_services_own_leads_to_the_page_on_paging(alert: str, address: str) -> None:
    assert find(read(), alert)[0][1].address == address
