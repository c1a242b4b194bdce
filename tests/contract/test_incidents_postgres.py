"""Incidents on a real Postgres: opened once by pages, noted, closed with the runbook's change; their merged timeline (P4, K3)."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from conftest import own_database
from paged import paging_engine, plant_page, plant_page_event
from records import a_record
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.actions import Action, ActionLog, clean
from app.audit.rows import Writer
from app.console import formats
from app.domain.errors import InvalidRequest, NotFound
from app.domain.records import CallRecord, step_text
from app.oncall.incidents.duty import RotationDuties
from app.oncall.incidents.impact import About, Impact, impact_of
from app.oncall.incidents.impact import counted as calls_of
from app.oncall.incidents.postmortem import draft, template_in, write
from app.oncall.incidents.report import report
from app.oncall.incidents.runbooks import alerts_of, places_of, read_alerts
from app.oncall.incidents.store import Incident, Incidents, RunbookChange, incident_for_page
from app.oncall.incidents.timeline import timeline
from app.oncall.paging.figures import figures
from app.oncall.paging.tables import page_timers
from app.oncall.rota.reading import load_rotation
from app.oncall.stops import Entry, PostgresStops
from app.oncall.tables import store_outages
from app.security.redaction.redactor import Redactor

REDACTOR = Redactor(b"a key for the tests of incidents")
CLEAN = partial(clean, redactor=REDACTOR)
MAIL = "ada.lovelace@example.com"
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
NO_CHANGE = RunbookChange(None, "the page was right")


@pytest.fixture(scope="module")
def own_url(database_url: str) -> Iterator[str]:
    with own_database(database_url, "incidents") as url:
        yield url


@pytest_asyncio.fixture
async def own(own_url: str) -> AsyncIterator[AsyncEngine]:
    async with paging_engine(own_url) as engine:
        yield engine
        async with engine.begin() as connection:
            await connection.execute(text("SET LOCAL session_replication_role = replica"))
            tables = "incidents, pages, stops, manifests, actions, actions_head, budget_alerts, calls, attempts, store_outages"
            await connection.execute(text(f"TRUNCATE {tables} CASCADE"))


@pytest.fixture
def incidents(own: AsyncEngine) -> Incidents:
    return Incidents(own, clean=CLEAN)


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


async def test_pages_with_one_key_open_one_incident_also_at_the_same_time(own: AsyncEngine, incidents: Incidents) -> None:
    async def page(key: str) -> object:
        async with own.begin() as connection:
            return await incident_for_page(
                connection, dedup_key=key, title="circuits open", severity="page", at=ago(minutes=1), clean=CLEAN
            )

    found = await asyncio.gather(*(page("a") for _ in range(8)), page("b"))
    assert len(set(found)) == 2
    assert {one.severity for one in await incidents.list()} == {"sev2"}
    first = next(one for one in await incidents.list() if one.id == found[0])
    await incidents.close(first, NO_CHANGE, by="ada")
    assert await page("a") not in found


Labels = dict[str, str]
ALL: Labels = {"severity": "page"}
OF_ACME, OF_X, OF_Y = ({**ALL, **more} for more in ({"tenant": "acme"}, {"provider": "x"}, {"provider": "y"}))


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([(ALL, 50), (OF_X, 40), (OF_X, 1)], "aaa"),
        ([(OF_X, 50), (OF_Y, 40), (ALL, 1)], "abb"),
        ([(ALL, 50), (OF_X, 40), (OF_Y, 1)], "aab"),
        ([(ALL, 50), (OF_ACME, 40), (OF_ACME, 1)], "abb"),
        ([(ALL, 200), (ALL, 130), (ALL, 75)], "abb"),
    ],
    ids=["one provider", "two providers", "a second provider", "a tenant's cap", "later than an hour"],
)
async def test_pages_of_one_fault_are_one_incident(
    own: AsyncEngine, incidents: Incidents, pages: list[tuple[Labels, int]], expected: str
) -> None:
    """They join within an hour of its newest page, unless their labels say that they are apart."""
    found = []
    for labels, minutes in pages:
        found.append(await paged(own, labels, minutes))
        await plant_page(own, ago(minutes=minutes), labels=labels, incident_id=found[-1])
    names = dict(zip(dict.fromkeys(found), "abc", strict=False))
    assert "".join(names[one] for one in found) == expected
    assert len(await incidents.list()) == len(set(found))


async def paged(own: AsyncEngine, labels: Labels, minutes: int, key: str = "") -> UUID:
    async with own.begin() as connection:
        return await incident_for_page(
            connection, dedup_key=key or f"group-{uuid4()}", title="t", severity="page", at=ago(minutes=minutes), clean=CLEAN,
            labels=labels, window=timedelta(hours=1),
        )  # fmt: skip


async def test_a_page_joins_the_incident_that_an_operator_opened_and_its_own_at_any_time(
    own: AsyncEngine, incidents: Incidents
) -> None:
    by_hand = await incidents.open("callers complain", "sev2", by="ada", at=ago(hours=5))
    page = await paged(own, ALL, 290, key="group")
    await plant_page(own, ago(minutes=290), labels=ALL, incident_id=page, dedup_key="group", status="resolved")
    assert (page, await paged(own, OF_ACME, 289) == page) == (by_hand.id, False)
    assert await paged(own, ALL, 1, key="group") == page, "three hours later, the same alert"
    await incidents.close(by_hand, NO_CHANGE, by="ada")
    assert await paged(own, ALL, 0, key="group") != page


async def test_no_text_is_stored_with_personal_data(own: AsyncEngine, incidents: Incidents) -> None:
    """Title, commander, note, reason and change; also of a page."""
    async with own.begin() as connection:
        key = f"user={MAIL}"
        await incident_for_page(connection, dedup_key=key, title=f"of {MAIL}", severity="page", at=ago(minutes=1), clean=CLEAN)
    one = await incidents.open(f"calls of {MAIL} fail", "sev3", by=f"os:{MAIL}", commander=MAIL)
    await incidents.note(one, f"{MAIL} called", by="ada")
    await incidents.assign(one, MAIL, by="ada")
    await incidents.set_severity(one, "sev2", by="ada", reason=f"{MAIL} again")
    await incidents.close(one, RunbookChange("jobs.md", f"names {MAIL}"), by="ada")
    async with own.connect() as connection:
        rows = [
            str(row) for table in ("incidents", "incident_events") for row in await connection.execute(text(f"TABLE {table}"))
        ]
    assert len(rows) == 8
    assert [row for row in rows if "lovelace" in row] == []


async def test_an_incident_is_named_only_where_one_is_meant(incidents: Incidents) -> None:
    with pytest.raises(NotFound):
        await incidents.find(None)
    first = await incidents.open("one", "sev3", by="ada")
    assert (await incidents.find(None)).id == first.id
    second = await incidents.open("two", "sev4", by="ada")
    with pytest.raises(InvalidRequest, match="Several"):
        await incidents.find(None)
    assert (await incidents.find(second.number)).id == second.id
    with pytest.raises(NotFound):
        await incidents.find(second.number + 1)


@pytest.mark.parametrize(
    ("title", "severity", "hours"), [(" ", "sev1", 0), ("x" * 201, "sev1", 0), ("t", "sev5", 0), ("t", "sev1", -1)]
)
async def test_what_does_not_fit_is_refused_before_anything_is_stored(
    incidents: Incidents, title: str, severity: str, hours: int
) -> None:
    with pytest.raises(InvalidRequest):
        await incidents.open(title, severity, by="ada", at=ago(hours=hours))
    assert await incidents.list(since=ago(days=1)) == []


@pytest.mark.parametrize("change", [RunbookChange("../secret.md", "x"), RunbookChange("jobs.txt", "x"), RunbookChange(None, " ")])
async def test_an_incident_is_not_closed_without_the_runbooks_change(incidents: Incidents, change: RunbookChange) -> None:
    one = await incidents.open("one", "sev3", by="ada")
    with pytest.raises(InvalidRequest):
        await incidents.close(one, change, by="ada")
    assert (await incidents.find(None)).status == "open"


async def test_of_two_who_close_one_does(incidents: Incidents) -> None:
    one = await incidents.open("one", "sev3", by="ada")
    closing = (incidents.close(one, NO_CHANGE, by=name) for name in ("ada", "bob"))
    done = await asyncio.gather(*closing, return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["Incident", "InvalidRequest"]


async def test_an_incident_that_was_closed_too_early_is_opened_again(own: AsyncEngine, incidents: Incidents) -> None:
    one = await incidents.open("one", "sev3", by="ada")
    with pytest.raises(InvalidRequest, match="is open"):
        await incidents.reopen(one, "too early", by="ada")
    closed = await incidents.close(one, NO_CHANGE, by="ada")
    opened = await incidents.reopen(closed, f"it fails for {MAIL}", by="bob")
    assert replace(opened, status="closed") == replace(one, status="closed")
    assert [found.number for found in await incidents.list()] == [one.number]
    last = (await timeline(own, opened, clean=CLEAN))[-2:]
    assert [(entry.actor, entry.text.partition(":")[0]) for entry in last] == [
        ("ada", "closed; no page of the runbook changes"), ("bob", "opened again")
    ]  # fmt: skip
    assert MAIL not in last[-1].text
    await incidents.close(opened, NO_CHANGE, by="bob")


async def test_an_incident_is_not_opened_again_beside_another_of_its_fault(own: AsyncEngine, incidents: Incidents) -> None:
    opening = partial(incident_for_page, dedup_key="k", title="t", severity="page", clean=CLEAN)
    async with own.begin() as connection:
        await opening(connection, at=ago(hours=2))
    first = await incidents.close(await incidents.find(None), NO_CHANGE, by="ada")
    async with own.begin() as connection:
        await opening(connection, at=ago(hours=0))
    with pytest.raises(InvalidRequest, match="Another incident of the same fault is open"):
        await incidents.reopen(first, "too early", by="ada")


async def test_a_call_is_linked_by_our_own_ids_alone(own: AsyncEngine, incidents: Incidents) -> None:
    """The id of a request is its caller's, and may hold an address."""
    record = a_record(request_id=f"of-{MAIL}", user="ada")
    await Writer(own, lambda tenant, user: REDACTOR.pseudonym(user, tenant=tenant)).write([record])
    one = await incidents.open("one", "sev3", by="ada")
    await incidents.link(one, "call", record.request_id, by="ada")
    with pytest.raises(NotFound):
        await incidents.link(one, "call", "call_unknown", by="ada")
    with pytest.raises(InvalidRequest):
        await incidents.link(one, "trace", "not a trace", by="ada")
    linked = [e for e in await timeline(own, one, clean=CLEAN) if e.kind == "link"]
    assert [record.id in e.text and record.trace_id in e.text and "of-" not in e.text for e in linked] == [True]


def tried(after: float, outcome: str, user: str, *, passed: bool = False) -> CallRecord:
    """A call a few seconds after `BEGAN`; where it passed anthropic over, its circuit was open since the sixth second."""
    at, attempt = BEGAN + timedelta(seconds=after), a_record().attempts[0]
    ok = outcome == "ok"
    model = replace(attempt, provider="openai" if passed else "anthropic", model="m", outcome=outcome, started_ms=0.0)
    opened, now = int((BEGAN.timestamp() + 6) * 1e9), int(at.timestamp() * 1e9)
    steps = step_text([("circuit", "anthropic m", opened, now, False)], now) if passed else None
    more = {"steps": steps, "fallbacks": int(passed), "error": None if ok else "away"}
    return a_record(id=uuid4().hex, at=at, user=user, outcome=outcome, attempts=(model,), **more)


async def test_an_outage_stands_in_the_timeline_with_its_impact(own: AsyncEngine, incidents: Incidents) -> None:
    failed = [tried(n, "provider_failed", f"u{n % 2}") for n in range(5)]
    over = [tried(8 + n, "ok", "ada", passed=True) for n in range(3)]
    records = [tried(-60, "ok", "ada"), *failed, *over, tried(20, "ok", "ada"), tried(21, "no_evidence", "bob")]
    await Writer(own, lambda tenant, user: REDACTOR.pseudonym(user, tenant=tenant)).write(records)
    one = await incidents.open("anthropic fails", "sev3", by="ada", at=BEGAN + timedelta(seconds=10))
    found = [(e.at - BEGAN, e.text) for e in await timeline(own, one, clean=CLEAN) if e.kind == "provider"]
    assert found == [
        (timedelta(0), "anthropic m fails: 5 attempts in a row, most as provider_failed"),
        (timedelta(seconds=6), "circuit of anthropic m open: 3 calls passed it over"),
        (timedelta(seconds=20), "anthropic m answers again, after 20 s"),
    ]
    async with own.connect() as connection:
        calls = await calls_of(connection, BEGAN, None)
        assert (calls.calls, calls.failed, calls.users, calls.fallen_back) == (9, 5, 2, 3)
        assert (calls.since, calls.until - BEGAN < timedelta(days=1)) == (BEGAN, True)
        assert not await places_of(connection, [one.id])


async def test_the_impact_of_a_spent_cap_is_what_it_refused_of_its_tenant(own: AsyncEngine, incidents: Incidents) -> None:
    """A provider that failed meanwhile is another incident's."""
    one = await incidents.open("95 % of a cap is spent", "sev2", by="octant", at=BEGAN)
    await plant_page(own, BEGAN, alert="OctantBudget", incident_id=one.id, labels={"tenant": "acme", "scope": "user-day"})
    refused = [replace(tried(n, "budget_exceeded", "mallory"), tenant="acme") for n in (1, 2)]
    failed = [replace(tried(n, "provider_failed", "ada"), tenant=name) for n in range(3) for name in ("acme", "other")]
    answered = replace(tried(5, "ok", "ada"), tenant="acme")
    records = [*refused, *failed, answered, replace(tried(4, "budget_exceeded", "eve"), tenant="other")]
    await Writer(own, lambda tenant, user: REDACTOR.pseudonym(user, tenant=tenant)).write(records)
    entries = await timeline(own, one, clean=CLEAN)
    async with own.connect() as connection:
        found = await impact_of(connection, one, entries, await alerts_of(connection, one.id))
    assert (found.since, found.about, found.calls, found.failed, found.users) == (
        BEGAN, About(tenant="acme", of_caps=True), 6, 2, 1,
    )  # fmt: skip
    assert found.cost == sum(record.cost for record in records if record.tenant == "acme")


async def test_a_return_that_no_attempt_timed_says_so(own: AsyncEngine, incidents: Incidents) -> None:
    """A postmortem would copy the length of the pause for the length of the outage."""
    failed = [tried(n, "provider_failed", "ada") for n in range(5)]
    await Writer(own, lambda tenant, user: REDACTOR.pseudonym(user, tenant=tenant)).write([*failed, tried(200, "ok", "ada")])
    one = await incidents.open("anthropic fails", "sev3", by="ada", at=BEGAN + timedelta(seconds=10))
    last = [e.text for e in await timeline(own, one, clean=CLEAN) if e.kind == "provider"][-1]
    assert last == "anthropic m answers its next attempt, after 200 s; in the last 196 s of them none was made"


async def test_outages_of_the_stores_stand_in_the_timeline_which_begins_with_them(own: AsyncEngine, incidents: Incidents) -> None:
    """As several workers saw them: one that ended before the store was back knows no end."""

    async def away(store: str, worker: str, began: int, seen: int, *, over: bool = True) -> None:
        times = {"began": BEGAN + timedelta(seconds=began), "seen": BEGAN + timedelta(seconds=seen)}
        async with own.begin() as connection:
            await connection.execute(insert(store_outages).values(store=store, worker=worker, over=over, **times))

    await away("Valkey", "one", -60, 30)
    await away("Valkey", "two", -61, 29)
    await away("Valkey", "one", 100, 110, over=False)
    await away("Postgres", "one", 0, 20)
    await away("Postgres", "one", -1000, -990)
    one = await incidents.open("calls are refused", "sev1", by="ada", at=BEGAN)
    entries = await timeline(own, one, clean=CLEAN)
    assert [(round((e.at - BEGAN).total_seconds()), e.text) for e in entries if e.kind == "store"] == [
        (-61, "2 workers get no answer from Valkey"),
        (0, "1 worker gets no answer from Postgres"),
        (20, "Postgres answers again, after 20 s"),
        (30, "Valkey answers again, after 91 s"),
        (100, "1 worker gets no answer from Valkey"),
    ]
    assert entries[0].kind == "store"


async def test_a_timeline_begins_with_the_fault_and_not_with_what_was_done_before(
    own: AsyncEngine, incidents: Incidents, tmp_path: Path
) -> None:
    """An outage that was over, an unrelated command and a stop that had ended are no part of it; a stop that held is."""
    await Writer(own, lambda tenant, user: REDACTOR.pseudonym(user, tenant=tenant)).write(
        [*(tried(n - 900, "provider_failed", "ada") for n in range(5)), tried(20 - 900, "ok", "ada")]
    )
    begin = BEGAN - timedelta(minutes=15)
    log = ActionLog(own, secret=b"s" * 32, notes=tmp_path / "notes")
    done = [
        (2, "key create", "a"),
        (3, "kill tenant", "t"),
        (4, "resume", "t"),
        (5, "kill provider", "p"),
        (6, "kill model", "m"),
    ]
    for minutes, action, name in done:
        row = {"subject": f"name={name}", "reason": "r", "outcome": "ok", "at": begin + timedelta(minutes=minutes)}
        await log.append(Action(actor="os:ada@host", action=action, **row))  # type: ignore[arg-type]
    stops = [("tenant", "t", False, 4), ("provider", "p", True, 5), ("model", "m", False, 18)]
    await PostgresStops(own).write(
        [
            Entry(scope=scope, name=name, stopped=stopped, by="ada", reason="r", version=1,
                  at=(begin + timedelta(minutes=minutes)).isoformat())
            for scope, name, stopped, minutes in stops
        ]
    )  # fmt: skip
    one = await incidents.open("answers are late", "sev3", by="ada", at=BEGAN)
    assert [e.text[:24] for e in await timeline(own, one, clean=CLEAN)] == [
        "kill provider name=p [ok", "kill model name=m [ok] r", "opened as sev3: answers ", "released model m: r",
    ]  # fmt: skip


async def test_an_incident_names_the_runbooks_place_that_its_alert_names(own: AsyncEngine, incidents: Incidents) -> None:
    """Also one whose page is over, whose timer is gone; a drill is known as one."""
    opened = [await incidents.open(f"incident {n}", "sev3", by="ada") for n in range(3)]
    first = await plant_page(own, ago(minutes=3), alert="OctantBreakerOpen", incident_id=opened[0].id, labels={"provider": "x"})
    await plant_page(own, ago(minutes=2), alert="OctantDown", incident_id=opened[0].id)
    await plant_page(own, ago(minutes=2), alert="OctantDown", incident_id=opened[1].id, labels={"drill": "true"})
    async with own.begin() as connection:
        assert await places_of(connection, [one.id for one in opened]) == {
            opened[0].id: "provider-outage#a-model-provider-is-failing",
            opened[1].id: "observability#prometheus-sees-no-service",
        }
        link = {"runbook": "https://x.example/runbook/jobs.md#verify"}
        timer = {"page_id": first, "due_at": ago(minutes=1), "round": 0, "links": link}
        await connection.execute(insert(page_timers).values(timer))
        assert (await places_of(connection, [opened[0].id]))[opened[0].id] == "jobs#verify"
    alerts = [await read_alerts(own, one.id) for one in opened]
    assert [each.drilled for each in alerts] == [False, True, False]
    assert [each.still for each in alerts] == [
        "2 pages of it are open: their alerts still hold, and go on to call people.",
        "One page of it is open: its alert still holds, and goes on to call people.",
        "",
    ]
    quiet = {"page": first, "until": datetime(2026, 3, 3, 14, 9, tzinfo=UTC)}
    async with own.begin() as connection:
        answered = "UPDATE pages SET status = 'acknowledged', ack_expires_at = :until WHERE incident_id = :of"
        await connection.execute(text(answered), quiet | {"of": opened[1].id})
    [again] = [await read_alerts(own, opened[1].id)]
    assert again.still == (
        "One page of it is open: its alert still holds. Acknowledged until 14:09 UTC, it calls people again then."
    )


PLANTED = (
    """
    INSERT INTO activations (release, previous, kind, by, reason, at)
    VALUES ('r2', 'r1', 'activate', 'ada', :who, :m30), ('r1', NULL, 'activate', 'ada', 'first', :m180)
    """,
    """
    INSERT INTO canaries (
      release, against, state, shares, tenants, limits, cap, by, reason, started_at, deadline, ended_at, ended_by, verdict)
    VALUES ('r2', 'r1', 'stopped', '{0.01}', '{}', '{}', 1, 'ada', 'try', :m15, :m14, :m14, 'octant', 'failed: worse')
    """,
    """
    INSERT INTO budget_alerts (scope, tenant, subject, "window", share, "limit", spent, at, ends_at)
    VALUES ('user-day', 'acme', :who, 'w', 50, 1, 1, :m14, :m13), ('user-day', 'acme', :who, 'w', 80, 1, 1, :m13, :m13)
    """,
)


async def planted(own: AsyncEngine, incidents: Incidents, folder: Path) -> Incident:
    """An incident with something from each source, in the order that the test expects."""
    one = await incidents.open("answers are late", "sev2", by="ada", at=ago(minutes=20), commander="ada")
    page = await plant_page(own, ago(minutes=22), incident_id=one.id, summary=f"seen by {MAIL}")
    await plant_page_event(own, page, ago(minutes=22), "triggered", level=1, person="ada")
    await plant_page_event(own, page, ago(minutes=21, seconds=30), "paged", level=2, person="mary")
    await plant_page_event(own, page, ago(minutes=21), "acknowledged", by="ada")
    await plant_page(own, ago(minutes=10), alert="OctantTest", test=True)
    await plant_page(own, ago(minutes=9), alert="OctantOther", incident_id=uuid4())
    log = ActionLog(own, secret=b"s" * 32, notes=folder / "notes")
    actions = [(30, "release activate", "ok"), (19, "kill provider", "ok"), (17, "incident note", "ok")]
    for minutes, action, outcome in (*actions, (18, "release activate", "Misconfigured")):
        at = ago(minutes=minutes)
        await log.append(Action(actor="os:ada@host", action=action, subject="name=x", reason="late", outcome=outcome, at=at))
    stop = {"stopped": True, "by": "ada", "reason": "r", "version": 1}
    await PostgresStops(own).write(
        [
            Entry(scope="provider", name="x", at=ago(minutes=19).isoformat(), **stop),  # type: ignore[arg-type]
            Entry(scope="tenant", name="acme", at=ago(minutes=16).isoformat(), **{**stop, "by": "octant"}),  # type: ignore[arg-type]
        ]
    )
    async with own.begin() as connection:
        for release in ("r1", "r2"):
            await connection.execute(text("INSERT INTO manifests VALUES (:r, 'x', 'x')"), {"r": release})
        moments: dict[str, object] = {"who": f"for {MAIL}"}
        moments |= {f"m{minutes}": ago(minutes=minutes) for minutes in (180, 30, 15, 14, 13)}
        for statement in PLANTED:
            await connection.execute(text(statement), moments)
    await incidents.note(one, "the status page says so", by="ada", at=ago(minutes=12))
    return one


EXPECTED = [
    ("release", "activate: r2 after r1: for <email"),
    ("page", "triggered: OctantBreakerOpen (person ada, level 1), page: seen by <email"),
    ("page", "escalated to level 2: OctantBreakerOpen (person mary"),
    ("ack", "acknowledged: OctantBreakerOpen (by ada)"),
    ("incident", "opened as sev2"),
    ("switch", "kill provider name=x [ok] late"),
    ("command", "release activate name=x [Misconfigured] late"),
    ("switch", "stopped tenant acme: r"),
    ("canary", "canary r2 beside r1 starts"),
    ("canary", "canary r2 stopped: failed: worse"),
    ("budget", "80 % of user-day of acme"),
    ("note", "the status page says so"),
]


async def test_the_timeline_is_merged_in_order_and_each_event_stands_once(
    own: AsyncEngine, incidents: Incidents, tmp_path: Path
) -> None:
    """Tests of paging, another incident's pages, and what lies long before are not in it."""
    entries = await timeline(own, await planted(own, incidents, tmp_path), clean=CLEAN)
    assert [(e.kind, e.text[: len(words)]) for e, (_, words) in zip(entries, EXPECTED, strict=True)] == EXPECTED
    assert [e for e in entries if "lovelace" in e.text] == []
    assert [e.text for e in entries if e.aside] == ["80 % of user-day of acme"], "an alert of a provider is not about a cap"


async def test_a_postmortem_is_drafted_from_the_timeline_and_never_overwritten(
    own: AsyncEngine, incidents: Incidents, tmp_path: Path
) -> None:
    one = await planted(own, incidents, tmp_path)
    closed = await incidents.close(one, RunbookChange("provider-outage.md", "says when to wait"), by="ada")
    entries = await timeline(own, closed, clean=CLEAN)
    runbook = Path(__file__).parents[2] / "runbook"
    assert "What" not in template_in(tmp_path)
    counted = Impact(since=closed.opened_at, until=datetime.now(UTC), calls=240, failed=62, users=6, fallen_back=0)
    for template in (template_in(runbook), template_in(tmp_path)):
        lines = draft(closed, entries, counted, template).splitlines()
        assert lines[0] == f"# {closed.opened_at:%Y-%m-%d}: answers are late"
        begin, end = (next(n for n, line in enumerate(lines) if line.startswith(f"- **{p}:**")) for p in ("Timeline", "Cause"))
        assert sum(line.startswith("  - ") for line in lines[begin:end]) == len(entries)
        assert "  - Other changes at that time (1):" in lines[begin:end]
        assert any(line.startswith("    - ") and line.endswith("80 % of user-day of acme") for line in lines[begin:end])
        assert any(line.startswith("  - Paged at") and "acknowledged after 1 min" in line for line in lines)
        assert any(line.startswith("  - 62 of 240 calls of all tenants between") and "of 6 users" in line for line in lines)
        lasted = formats.span(closed.closed_at - closed.opened_at) if closed.closed_at else ""
        assert f"UTC, {lasted}; commander ada." in "\n".join(lines), "as long as on its page"
        assert lines[-1] == "  - `provider-outage.md`: says when to wait"
    posed = replace(closed, commander="<img src=//evil.example>\u202e", opened_by="[ada](//evil.example)")
    assert not re.search(r"(?<!\\)[<\[]\w|\u202e", draft(posed, [], counted, "# x\n").partition("Timeline")[0])
    (tmp_path / "postmortems").mkdir()
    names = [write(tmp_path, closed, words).name for words in ("first", "second")]
    assert names == [f"{closed.opened_at:%Y-%m-%d}-answers-are-late{end}.md" for end in ("", "-2")]
    assert (tmp_path / "postmortems" / names[0]).read_text() == "first"


async def test_a_report_reads_pages_incidents_and_commands_and_leaves_tests_and_drills_out(
    own: AsyncEngine, incidents: Incidents, tmp_path: Path
) -> None:
    one = await planted(own, incidents, tmp_path)
    before = (await figures(own, ago(days=7), datetime.now(UTC), ZoneInfo("UTC")))[0].pages
    drill = await incidents.open("DRILL by ada", "sev2", by="ada")
    await plant_page(own, ago(minutes=3), labels={"drill": "true"}, incident_id=drill.id)
    assert (await figures(own, ago(days=7), datetime.now(UTC), ZoneInfo("UTC")))[0].pages == before
    await plant_page(own, ago(minutes=5), person="ada", acknowledged_at=ago(minutes=4), acknowledged_by="ada")
    await incidents.close(one, NO_CHANGE, by="ada")
    duties = RotationDuties(load_rotation(Path(__file__).parents[2] / "runbook/oncall/rotation.yaml"))
    found = await report(own, duties, ago(days=7), datetime.now(UTC))
    assert (found.total.pages, found.total.acknowledged, found.total.open) == (3, 1, 3)
    assert {alert.alert: alert.noise for alert in found.alerts} == {"OctantBreakerOpen": (), "OctantOther": ()}
    assert (found.opened, found.closed, found.mean_open and found.mean_open > 1000) == (1, 1, True)
    assert sum(person.hours for person in found.people) == pytest.approx(168)
