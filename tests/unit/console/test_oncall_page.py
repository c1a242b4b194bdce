"""The on-call page's sentence (P1, X1)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import groupby, pairwise
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from app.console.calendar import month
from app.console.commanded import Commanded
from app.console.console import templates
from app.console.health import Summary
from app.console.known import Known
from app.console.oncall_actions import actions
from app.console.pages.incident import Containment, _containment, from_opening
from app.console.pages.oncall import Happened, Level, _chart, _wrong, answer
from app.console.provider_strips import FAILURE, Strip
from app.console.readiness.answers import Evidence, State
from app.console.runbook_places import place_at, title_of
from app.oncall.incidents.impact import ALL_CALLS, About, Impact, about_of
from app.oncall.incidents.runbooks import Alerts, place_of
from app.oncall.incidents.store import Incident
from app.oncall.incidents.titles import LONGEST, short_title
from app.oncall.paging.changes import TRIGGERED
from app.oncall.paging.figures import figures_of, monday_of
from app.oncall.rota.night import next_night
from app.oncall.rota.reading import load_rotation
from app.oncall.rota.shifts import duties
from app.settings import load

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "kind"), [("proved", "good"), ("missing", "warn"), ("stale", "warn"), ("gaps", "warn"), ("failing", "bad")]
)
def test_the_page_is_as_calm_as_the_readiness_review(state: State, kind: str) -> None:
    """A pager that was never tested, or had no answer, is no green page."""
    levels = [Level(duty, None) for duty in duties(load_rotation(load().rotation_file), NOW)]
    calm = Known(Happened((), (), figures_of(()), ()), NOW)
    found, words = answer(levels, calm, Evidence(name="Test of the pager", value="the pager was never tested", state=state))
    assert found == kind
    assert ("The pager was never tested." in words) == (kind != "good")
    assert " UTC" in words, "a page's script shows it in the browser's zone"


@pytest.mark.parametrize(
    ("rules", "test", "kind", "said"),
    [
        ("proved", "proved", "good", []),
        ("gaps", "proved", "warn", ["No alert rule is evaluated."]),
        ("gaps", "gaps", "warn", ["No alert rule is evaluated."]),
        ("gaps", "failing", "bad", ["The pager had no answer."]),
        ("proved", "failing", "bad", ["The pager had no answer."]),
    ],
)
def test_no_open_page_is_no_peace_where_no_alert_can_come(rules: State, test: State, kind: str, said: list[str]) -> None:
    """The worst of what keeps a fault from its person is said, and nothing twice."""
    levels = [Level(duty, None) for duty in duties(load_rotation(load().rotation_file), NOW)]
    calm = Known(Happened((), (), figures_of(()), ()), NOW)
    found, words = answer(
        levels, calm,
        Evidence(name="Test of the pager", value="the pager had no answer", state=test),
        Evidence(name="Alert rules", value="no alert rule is evaluated", state=rules),
    )  # fmt: skip
    assert found == kind
    assert [one for one in ("No alert rule is evaluated.", "The pager had no answer.") if one in words] == said


@pytest.mark.parametrize("day", range(7))
def test_the_bars_of_the_weeks_add_up_to_the_pages_of_all_of_them(day: int) -> None:
    """Twelve weeks from now touch thirteen: the pages of the first are in the figures beside the chart."""
    rotation = load_rotation(load().rotation_file)
    now = NOW + timedelta(days=day)
    times = [now - timedelta(days=number, hours=1) for number in range(84)]
    pages = [SimpleNamespace(triggered_at=at, acknowledged_at=None, resolved_at=None) for at in reversed(times)]
    weeks = [
        figures_of(list(found), week)
        for week, found in groupby(pages, key=lambda page: monday_of(page.triggered_at, rotation.zone))
    ]
    found = _chart(Happened((), (), figures_of(pages), weeks), rotation, now)
    assert found
    assert sum(found["series"][0]["values"]) == len(pages)
    assert {later - before for before, later in pairwise(found["times"])} <= {
        timedelta(days=7, hours=hour) for hour in (-1, 0, 1)
    }


async def test_the_form_of_a_test_page_says_how_it_is_acknowledged() -> None:
    """A demo's own receiver leaves it to a person, whose answer is what the test measures."""

    async def newest(**_: object) -> list[object]:
        return []

    parts = SimpleNamespace(paging=object(), pages=SimpleNamespace(newest=newest))
    act = next(act for act in actions(cast(Any, SimpleNamespace(parts=parts))) if act.name == "oncall-page")
    effect = (await act.ask({})).effect
    assert "A person has to acknowledge it" in effect
    assert "`octant oncall ack PAGE`" in effect


@pytest.mark.parametrize("hour", [0, 1, 12, 23])
def test_the_next_night_names_the_persons_of_three_o_clock_in_the_rotations_zone(hour: int) -> None:
    rotation = load_rotation(load().rotation_file)
    now = NOW.replace(hour=hour)
    words = next_night(rotation, now).words
    three = next(at for at in (now + timedelta(minutes=n) for n in range(1, 1441)) if at.astimezone(rotation.zone).hour == 3)
    on_duty = [duty.person.name for duty in duties(rotation, three) if duty.person]
    assert words.startswith(
        f"At the next 3 a.m. ({three.astimezone(rotation.zone):%A %-d %B}, {rotation.zone.key}): {on_duty[0]}"
    )
    assert [name for name in on_duty if name not in words] == []


@pytest.mark.parametrize(
    ("after", "shown"),
    [(0.4, "0 s"), (-0.4, "0 s"), (0.6, "+1.00 s"), (-12, "-12.0 s"), (200, "+3 min 20 s"), (7500, "+2 h 5 min")],
)
def test_a_line_of_a_timeline_stands_in_whole_seconds_from_the_opening(after: float, shown: str) -> None:
    assert from_opening(NOW, NOW + timedelta(seconds=after)) == shown


def test_a_number_is_called_at_one_tap_and_an_examples_says_that_it_rings_nowhere() -> None:
    template = templates().from_string("{% import 'parts/macros.html' as m %}{{ m.phone(person) }}")
    example, real = (SimpleNamespace(phone="+49 30 901820", is_placeholder=one) for one in (True, False))
    link = '<a href="tel:+4930901820">+49 30 901820</a>'
    assert template.render(person=real).strip() == link
    assert template.render(person=example).strip() == f'{link} <span class="soft" title="It rings nowhere">example</span>'


def test_days_of_the_same_people_are_joined_for_a_phone_and_today_stands_alone() -> None:
    rotation = load_rotation(load().rotation_file)
    days = [day for week in month(rotation, date(2026, 12, 1), date(2026, 12, 4)) for day in week if day.inside]
    shown = [day for day in days if not day.again]
    assert sum(max(1, day.until - day.date.day + 1) for day in shown) == len(days) == 31
    assert len(shown) <= 15
    assert next(day for day in days if day.today).until == 0
    for before, after in pairwise(days):
        assert not after.again or after.held == before.held


def test_whole_weeks_name_their_persons_also_of_the_next_month() -> None:
    """The next night may be of another month than its evening."""
    rotation = load_rotation(load().rotation_file)
    outside = [day for week in month(rotation, date(2026, 11, 1), date(2026, 11, 30)) for day in week if day.date.month == 12]
    assert [day.date.day for day in outside] == [1, 2, 3, 4, 5, 6]
    assert all(day.first and not day.inside for day in outside)
    assert (outside[0].until, {day.again for day in outside[1:]}) == (6, {True}), "a phone shows a run of days of one month"


def test_the_sentence_of_a_page_without_an_answer_leaves_its_text_to_the_list() -> None:
    levels = [Level(duty, None) for duty in duties(load_rotation(load().rotation_file), NOW)]
    page = SimpleNamespace(status=TRIGGERED, summary="Calls fail and nothing else does.")
    happened = Happened(cast(Any, (page,)), (), figures_of(()), ())
    kind, words = answer(levels, Known(happened, NOW), None)
    assert kind == "bad"
    assert words.startswith("1 page waits for an answer. ")
    assert "Calls fail" not in words


ACMES_CAP = About(tenant="acme", of_caps=True)


@pytest.mark.parametrize(
    ("failed", "about", "words"),
    [
        (2, ALL_CALLS, ("2 of 924 calls of all tenants", " failed, of 1 user; a fallback answered 7.")),
        (0, About(tenant="acme", feature="chat"), ("None of 924 calls of chat of acme", " failed; a fallback answered 7.")),
        (185, ACMES_CAP, ("185 of 924 calls of acme", " were refused by a cap, of 1 user; all calls of this time cost $4.91.")),
        (0, ACMES_CAP, ("None of 924 calls of acme", " was refused by a cap; all calls of this time cost $4.91.")),
    ],
)
def test_the_calls_of_an_incident_are_said_around_their_time(failed: int, about: About, words: tuple[str, str]) -> None:
    counted = Impact(
        since=NOW, until=NOW + timedelta(minutes=8), calls=924, failed=failed, users=1, fallen_back=7, cost=4_910_000, about=about
    )
    assert counted.words == words


@pytest.mark.parametrize(
    ("labels", "places", "about"),
    [
        ([{"tenant": "acme", "scope": "user-day"}], ["cost-spike#confirm"], ACMES_CAP),
        ([{"provider": "openai"}, {}], ["provider-outage", "objectives#availability"], ALL_CALLS),
        ([{"tenant": "acme"}], ["keys#a-key-leaked"], About(tenant="acme")),
        ([{"feature": "chat"}], [], About(feature="chat")),
        ([{}], ["objectives#availability", "cost-spike"], ALL_CALLS),
        ([], [], ALL_CALLS),
    ],
)
def test_an_incident_counts_the_calls_that_its_alerts_are_about(
    labels: Sequence[Mapping[str, str]], places: Sequence[str], about: About
) -> None:
    assert about_of(Alerts(labels, places)) == about


@pytest.mark.parametrize(
    ("title", "short"),
    [
        ("The circuit of openai/gpt is open.", "The circuit of openai/gpt is open"),
        ("99.9 % over 30d: calls that are answered. The errors are used up.", "99.9 % over 30d: calls that are answered"),
        ("7 wrong API keys in 15 minutes came from addresses that must wait. (and 2 more)", None),
        (
            "No provider answers since 2026-11-30 23:07:04 UTC: 17 of the last 17 calls failed.",
            "No provider answers since 2026-11-30 23:07:04 UTC",
        ),
        ("word " * 60, None),
    ],
)
def test_a_heading_has_an_incidents_first_sentence_in_two_lines_of_a_phone(title: str, short: str | None) -> None:
    found = short_title(title)
    assert len(found) <= LONGEST + 2
    assert short is None or found == short


@pytest.mark.parametrize(
    ("alert", "link", "place", "title"),
    [
        ("OctantAvailabilityBurnsFast", "", "objectives#availability", "An objective is being missed: Availability"),
        ("OctantAvailabilityBurnsFast", "https://wiki.example/runbook/jobs.md", "jobs", None),
        ("OctantAvailabilityBurnsFast", "https://wiki.example/elsewhere", "objectives#availability", None),
        ("AnAlertOfAFork", "", "", None),
        ("OctantBreakerOpen", "", "provider-outage#a-model-provider-is-failing", "A model provider is failing"),
    ],
)
def test_an_alert_has_one_place_in_the_runbook(alert: str, link: str, place: str, title: str | None) -> None:
    """The annotation's, where it leads there, else that of the list of alerts."""
    assert place_of(alert, link) == place
    assert title is None or title_of(place) == title
    assert not place or place_at(place).startswith("/console/runbook/")


def incident_page() -> Any:  # noqa: ANN401 - a console of three actions
    stop = SimpleNamespace(name="kill-provider", fields=("name",), label="Stop provider", command="kill provider",
                           asks="", arguments=("name",), options={})  # fmt: skip
    cap = SimpleNamespace(name="budget-set", fields=("tenant", "user", "day"), label="Set caps", command="budget set",
                          asks="", arguments=("tenant",), options={})  # fmt: skip
    every = SimpleNamespace(name="kill-all", fields=("message",), label="Stop everything", command="kill all",
                            asks="", arguments=(), options={})  # fmt: skip
    commanded = Commanded([stop, cap, every])
    return SimpleNamespace(buttons=lambda _session, back, named: partial(commanded.button, words=named, back=back))


def strip(name: str, kind: str, *, away: bool = False) -> Strip:
    return Strip(name, kind, "failing", (), 9, 9, trouble=FAILURE, away=away)


def contained(
    place: str, strips: Sequence[Strip] | None, *, failing: bool = False, named: Mapping[str, str] | None = None
) -> Containment | None:
    seen = SimpleNamespace(one=SimpleNamespace(number=3), places=place.split(), failing=failing, named=named or {})
    return _containment(incident_page(), cast(Any, seen), cast(Any, None), strips)


def test_an_incident_has_the_buttons_of_its_runbooks_containing_step_with_its_values() -> None:
    """Without one of its own, where a provider failed, those of a failing provider; a viewer has none."""
    for place, failing in (("provider-outage", False), ("provider-outage#a-model-provider-is-failing", False), ("", True)):
        found = contained(place, [strip("openai", "bad", away=True), strip("a", "good")], failing=failing)
        assert found
        assert [(one.words, "name=openai" in one.href) for one in found.buttons] == [("Stop provider openai…", True)]
        assert found.title == "A model provider is failing"
        assert found.condition.startswith("<p>Only if another provider answers: <code>octant")
        assert 'href="/console/runbook/provider-outage#no-provider-is-well"' in found.condition, "its links lead on"
    assert contained("jobs", []) is None


@pytest.mark.parametrize("place", ["cost-spike", "cost-spike#confirm", "cost-spike#money-is-spent-faster-than-usual"])
def test_a_spent_cap_is_contained_by_its_own_page_whichever_provider_fails_beside_it(place: str) -> None:
    """Its link led to a step of the page that contains nothing, and the page offered to stop a provider."""
    found = contained(place, [strip("openai", "bad", away=True), strip("a", "good")], failing=True, named={"TENANT": "acme"})
    assert found
    assert [one.words for one in found.buttons] == ["Set caps acme…"]
    assert (found.title, found.href) == ("Money is spent faster than usual", "/console/runbook/cost-spike#contain")


@pytest.mark.parametrize(
    ("place", "offered"),
    [("keys", False), ("observability#prometheus-sees-no-service", False), ("objectives#cost-of-a-call", False),
     ("objectives#availability", True), ("observability#prometheus-sees-no-service objectives#first-token", True)],
)  # fmt: skip
def test_only_an_alert_of_answers_leads_to_the_stop_of_a_provider(place: str, offered: bool) -> None:
    found = contained(place, [strip("openai", "bad", away=True), strip("a", "good")], failing=True)
    assert ("Stop provider openai…" in [one.words for one in (found.buttons if found else [])]) == offered


A, B, THIRD = strip("anthropic", "bad", away=True), strip("openai", "bad", away=True), strip("third", "good")
WELL = replace(B, kind="good", away=False, trouble=None)


@pytest.mark.parametrize(
    ("strips", "alert", "offered", "why"),
    [
        ([WELL, THIRD], "openai", [], "No provider fails now, so there is none to stop."),
        ([replace(B, kind="warn", away=False), THIRD], "openai", [], "No provider fails now, so there is none to stop."),
        ([A, WELL], "", ["anthropic"], ""),
        ([A, WELL], "openai", ["anthropic"], ""),
        ([A, replace(B, kind="warn", word="answering again", trouble=None)], "", ["anthropic"], ""),
        ([A, B, THIRD], "openai", ["openai"], "anthropic and openai fail: choose one."),
        ([A, B, THIRD], "", [], "anthropic and openai fail: choose one."),
        ([replace(A, away=False), THIRD], "", [], "anthropic still answers in part: a stop would lose that."),
        (None, "openai", [], "It is not known now which provider fails."),
    ],
    ids=["all are well again", "some errors", "one fails", "another one than the alert's", "the other is back",
         "a third one is well", "which?", "it answers in part", "Postgres is away"],
)  # fmt: skip
def test_an_incident_offers_to_stop_only_a_provider_that_answers_nothing(
    strips: Sequence[Strip] | None, alert: str, offered: Sequence[str], why: str
) -> None:
    """Its page offered the provider that had failed first: the only one that still answered."""
    found = contained("provider-outage", strips, failing=True, named={"PROVIDER": alert} if alert else {})
    assert found
    assert ([one.words for one in found.buttons], found.why_none) == ([f"Stop provider {name}…" for name in offered], why)


@pytest.mark.parametrize(
    "other",
    [B, replace(B, kind="warn", word="stopped by an operator", trouble=None), replace(B, kind="warn", word="slow", away=False)],
    ids=["none is well", "the other is stopped", "the other is slow"],
)  # fmt: skip
def test_with_no_provider_well_an_incident_has_the_runbooks_steps_for_that(other: Strip) -> None:
    """Its page ended in a sentence without a link: "Stop none"."""
    for place in ("provider-outage", "objectives#availability", "latency"):
        found = contained(place, [A, other], failing=True)
        assert found
        assert [one.words for one in found.buttons] == ["Stop everything…"]
        assert (found.people, found.href) == (True, "/console/runbook/provider-outage#no-provider-is-well")
        assert found.condition.lstrip().startswith("<p>Call level 2"), "first the action"
        assert "Words:" not in found.condition
        assert 'href="/console/runbook/incidents"' in found.condition


@pytest.mark.parametrize(
    ("said", "shown"),
    [("Just now: All is well.", "<strong>Now:</strong> All is well."), ("Calls fail.", "<strong>Now:</strong> Calls fail.")],
)
def test_an_incident_says_now_once(said: str, shown: str) -> None:
    """It read "Now: Just now: All is well"."""
    one = Incident(id=uuid4(), number=3, title="t", severity="sev2", status="open", commander=None, opened_at=NOW,
                   opened_by="octant", closed_at=None, closed_by=None, dedup_key=None, runbook_page=None,
                   runbook_change=None)  # fmt: skip
    counted = Impact(since=NOW, until=NOW, calls=0, failed=0, users=0, fallen_back=0)
    values: dict[str, Any] = {
        "known": Known(one, NOW), "one": one, "seen": SimpleNamespace(impact=counted, place="", drill=False, draft=""),
        "now": Summary("warn", [said], (), {}), "session": SimpleNamespace(may_act=False),
        "severities": {}, "entries": [], "kind": "bad", "words": "open", "live": True,
    }  # fmt: skip
    assert shown in templates().get_template("parts/incident.html").render(**values)


async def test_on_call_says_what_is_wrong_now_beside_an_open_page_and_reads_it_only_then() -> None:
    """The page said 14.11 % of events, and the console knew that no provider answered."""
    reads: list[str] = []

    class Found:
        async def read(self) -> object:
            reads.append("read")
            found = Summary("bad", ["Just now: No provider answers."], (), {})
            return SimpleNamespace(found=found, known=SimpleNamespace(away=""))

    shared = cast(Any, Found())
    open_ = Happened(cast(Any, ("a page",)), (), figures_of(()), ())
    for known in (Known(Happened((), (), figures_of(()), ()), NOW), Known(open_, NOW, "Postgres does not answer")):
        assert await _wrong(shared, known) == ""
    assert reads == []
    assert await _wrong(shared, Known(open_, NOW)) == "No provider answers."
