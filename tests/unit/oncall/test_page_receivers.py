"""Every receiver takes what is sent, judged by its vendor's published schema and limits (P3)."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import jsonschema
import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from pager import PAGERDUTY, ROUTING_KEY, TOKEN, WEBHOOK_SECRET, Pager, running_pager

from app.domain.errors import Misconfigured
from app.oncall.paging.message import ACTIONS, Message, Receiver
from app.oncall.paging.receivers import IncidentIo, PagerDuty, SignedWebhook, _split, apprise_of
from app.oncall.paging.sending import retry_after
from app.security import webhooks
from app.security.webhooks import Sessions

MESSAGE = Message(
    page="6f1c0c1e-0000-4000-8000-000000000000",
    action="trigger",
    alert="OctantDown",
    severity="page",
    summary="Prometheus cannot reach the service's metrics.",
    triggered_at="2026-11-26T03:00:00+00:00",
    labels={"alertname": "OctantDown", "severity": "page"},
    links={"runbook": "https://runbook.example/observability.md", "dashboard": "https://grafana.example/d/octant-service"},
    level=1,
    person="Ada Lovelace",
)


@pytest_asyncio.fixture
async def pager() -> AsyncIterator[Pager]:
    async with running_pager() as pager:
        yield pager


@pytest_asyncio.fixture
async def http() -> AsyncIterator[Sessions]:
    async with webhooks.session(frozenset({"127.0.0.1"})) as http:
        yield http


def receivers(http: Sessions, base: str) -> dict[str, Receiver]:
    return {
        "pagerduty": PagerDuty(http, base + "/v2/enqueue", lambda: ROUTING_KEY),
        "incident_io": IncidentIo(http, base + "/v2/alert_events/http/SOURCE", lambda: TOKEN),
        "webhook": SignedWebhook(http, base + "/hook", WEBHOOK_SECRET),
    }


@pytest.mark.parametrize("name", ["pagerduty", "incident_io", "webhook"])
@pytest.mark.parametrize("action", ACTIONS)
async def test_every_action_is_taken_and_names_its_page_by_one_key(name: str, action: str, pager: Pager, http: Sessions) -> None:
    message = replace(MESSAGE, action=action, by="ada")  # type: ignore[arg-type]
    result = await receivers(http, pager.base)[name].send(message, "octant-key-1")
    assert (result.sent, pager.wrong) == (True, [])
    (event,) = pager.of(name)
    keys = {"pagerduty": "dedup_key", "incident_io": "deduplication_key"}
    assert event[keys[name]] == "octant-key-1" if name in keys else event["data"]["dedup_key"] == "octant-key-1"
    if action == "trigger":
        assert "Ada Lovelace" in json.dumps(event)


TEXTS = st.text(max_size=60)


@settings(max_examples=30)
@given(
    summary=st.text(min_size=1, max_size=3000),
    severity=TEXTS,
    labels=st.dictionaries(TEXTS, TEXTS, max_size=5),
    test=st.booleans(),
)
def test_an_event_fits_pagerdutys_schema_whatever_the_alert_says(
    summary: str, severity: str, labels: dict[str, str], test: bool
) -> None:
    receiver = PagerDuty(None, "", lambda: ROUTING_KEY)  # type: ignore[arg-type]
    event = receiver.event(replace(MESSAGE, summary=summary, severity=severity, labels=labels, test=test), "k-1")
    jsonschema.validate(json.loads(event), PAGERDUTY)


@pytest.mark.parametrize("name", ["pagerduty", "incident_io", "webhook"])
async def test_an_event_over_512_kilobytes_is_sent_without_its_labels(name: str, pager: Pager, http: Sessions) -> None:
    huge = replace(MESSAGE, labels={f"label_{number}": "ü" * 1000 for number in range(600)})
    assert (await receivers(http, pager.base)[name].send(huge, "k-1")).sent
    text = json.dumps(pager.of(name))
    assert ("truncated" in text, "label_1" in text, "Ada Lovelace" in text) == (True, False, True)
    assert huge.labels["label_1"], "the page itself keeps them"


@pytest.mark.parametrize(
    ("status", "headers", "refused", "wait"),
    [
        (429, {"retry-after": "7"}, False, 7.0),
        (503, {"retry-after": "86400"}, False, 900.0),
        (500, {}, False, None),
        (408, {}, False, None),
        (200, {}, False, None),  # of something in between: PagerDuty answers 202
        (301, {"location": "https://elsewhere.example/"}, True, None),
        (400, {}, True, None),
        (404, {}, True, None),
    ],
)
async def test_a_status_says_whether_and_when_to_try_again(
    status: int, headers: dict[str, str], refused: bool, wait: float | None, pager: Pager, http: Sessions
) -> None:
    pager.answers.append((status, headers))
    result = await receivers(http, pager.base)["pagerduty"].send(MESSAGE, "k-1")
    assert (result.sent, result.refused, result.retry_after, result.reason) == (False, refused, wait, str(status))
    assert pager.events == []


def test_a_pause_may_be_a_date() -> None:
    now = datetime.now(UTC)
    assert 20 < (retry_after(format_datetime(now + timedelta(seconds=30), usegmt=True)) or 0) <= 30
    assert retry_after(format_datetime(now - timedelta(days=1), usegmt=True)) == 0
    for odd in ("Mon, 30 Nov 99999999999 12:00:00 GMT", "Mon, 30 Nov 2026 12:00:00 -9990959999"):
        assert retry_after(odd) is None, "it would be a bug of ours, and no failure: no fallback would get the page"
    assert (retry_after(""), retry_after("soon"), retry_after("-3"), retry_after("1e9")) == (None, None, None, None)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/x", "https://localhost/x", "https://169.254.169.254/latest", "https://[::1]/x", "https://10.0.0.8/x"],
)
async def test_no_page_goes_to_an_inner_address_that_is_not_listed(url: str) -> None:
    async with webhooks.session(frozenset()) as guarded:
        result = await PagerDuty(guarded, url, lambda: ROUTING_KEY).send(MESSAGE, "k-1")
    assert (result.sent, result.refused, result.reason) == (False, True, "address not allowed")


async def test_a_receiver_that_is_not_there_is_tried_again_and_no_key_is_logged(
    http: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="app")
    for name, receiver in receivers(http, "http://127.0.0.1:1").items():
        result = await receiver.send(MESSAGE, "k-1")
        assert (result.sent, result.refused) == (False, False), name
        assert not [key for key in (ROUTING_KEY, TOKEN, WEBHOOK_SECRET) if key in caplog.text + repr(receiver) + repr(result)]


HOSTILE = '<img src=https://evil.example/x><a href="https://evil.example">acknowledge here</a>'


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its plugins and of what they import
async def test_no_words_of_an_alert_are_html_in_a_mail_or_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, object]] = []
    monkeypatch.setattr("apprise.Apprise.notify", lambda _, **given: sent.append(given))
    await apprise_of(lambda: "mailto://octant:word@mail.example").send(replace(MESSAGE, summary=HOSTILE), "k-1")
    assert [one["body_format"] for one in sent] == ["text"]


async def test_a_button_opens_no_address_of_another_kind(pager: Pager, http: Sessions) -> None:
    links = {"dashboard": "javascript:alert(1)", "source": "data:text/html,x", "runbook": "vbscript:x"}
    for name in ("pagerduty", "incident_io"):
        assert (await receivers(http, pager.base)[name].send(replace(MESSAGE, links=links), "k-1")).sent
    assert pager.of("pagerduty")[0]["links"] == []
    assert "source_url" not in pager.of("incident_io")[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its plugins and of what they import
async def test_apprise_calls_every_address_and_refuses_one_that_it_does_not_know() -> None:
    taken: list[dict[str, object]] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(await request.json())
        return web.Response()

    application = web.Application()
    application.router.add_post("/notify", take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        result = await apprise_of(lambda: f"json://127.0.0.1:{port}/notify, json://127.0.0.1:{port}/notify").send(MESSAGE, "k-1")
        assert result.sent
        failed = await apprise_of(lambda: "json://127.0.0.1:1/notify").send(MESSAGE, "k-1")
        assert (failed.sent, failed.refused) == (False, False)
    finally:
        await runner.cleanup()
    assert len(taken) == 2
    assert taken[0]["title"] == f"TRIGGER {MESSAGE.summary}"
    assert f"octant oncall ack {MESSAGE.page}" in str(taken[0]["message"])
    with pytest.raises(Misconfigured, match="address 2"):
        apprise_of(lambda: "json://127.0.0.1/ nonsense://secret@host")


def test_a_comma_within_an_address_of_apprise_separates_its_recipients_and_no_addresses() -> None:
    mail, chat = "mailto://octant:word@mail.example?to=ada@a.example,bob@b.example", "tgram://123456789:token/1,2"
    for apart in (",", ", ", " ", "\n", " , "):
        assert list(_split(f"{mail}{apart}{chat},")) == [mail, chat]
    apprise_of(lambda: f"{mail}, json://127.0.0.1/")
    with pytest.raises(Misconfigured, match="address 2"):
        apprise_of(lambda: f"{mail},nonsense://secret@host")
