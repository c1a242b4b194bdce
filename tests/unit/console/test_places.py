"""Words of a buyer and of an operator lead to the page, and the part of it, that answers (X1)."""

import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest

from app.console.console import templates
from app.console.navigation import PAGES, RUNBOOK
from app.console.pages import releases
from app.console.pages.security import TABS
from app.console.places import PARTS, fitting, is_question, places
from app.console.tour import STOPS, Stop
from app.console.waiting import WaitingPage
from app.oncall.runbook.pages import read

ASKED = {
    "rollback": "/console/releases#rollback",
    "how do you roll back": "/console/releases#rollback",
    "who is on call": "/console/oncall",
    "who is called at 3 a.m.": "/console/oncall",
    "how much can one user spend": "/console/budgets#worst-case",
    "did a change make answers worse": "/console/evals",
    "prompt injection": "/console/security#attacks",
    "keys": "/console/security?tab=keys",
    "outage": "/console/gameday",
    "what happens when a provider is down for half an hour at peak": "/console/gameday",
    "provider down": "/console#providers",
    "runbook": "/console/runbook",
    "is there a runbook": "/console/runbook",
    "rogue user": "/console/budgets#worst-case",
    "evals": "/console/evals",
    "prove quality": "/console/evals",
    "dashboards": "/console",
    "latency": "/console#latency",
    "Latencies?": "/console#latency",
    "wrong answer": "/console/evals#example",
    "leaked key": "/console/runbook/keys#a-key-has-leaked",
    "fallbacks": "/console/calls?failed=false&min_fallbacks=1&range=24h",
    "how do I know a change did not make it worse": "/console/evals",
    "did the last release make answers worse": "/console/evals",
    "am I hacked": "/console/security",
    "were we hacked?": "/console/security",
}


@pytest.mark.parametrize(("typed", "href"), ASKED.items())
def test_words_lead_first_to_the_place_that_answers_them(typed: str, href: str) -> None:
    assert fitting(typed)[0].href == href
    assert href in {place.href for place in places((), may_act=False)}, "the palette offers it, too"


@pytest.mark.parametrize("stop", STOPS, ids=[stop.axis for stop in STOPS])
def test_each_question_of_the_tour_leads_to_the_page_that_it_opens(stop: Stop) -> None:
    place = urlsplit(fitting(stop.question)[0].href)
    assert place.path == urlsplit(stop.path).path


def test_a_drilled_alert_is_offered_where_it_is_allowed_and_to_those_who_may_act() -> None:
    found = [
        (may_act, drills)
        for may_act in (True, False)
        for drills in (True, False)
        if "/console/do/oncall-drill" in {place.href for place in places((), may_act=may_act, drills=drills)}
    ]
    assert found == [(True, True)]


def test_the_drill_of_a_leaked_key_is_offered_to_those_who_may_play_it() -> None:
    offered = [place.href for place in places((), may_act=True) if "leaked key" in place.words]
    assert "/console/do/drill-gameday?scenario=key-leak" in offered


@pytest.mark.parametrize("typed", ["", "a", "zxqv", "provider times out", "acme", "rogue zxqv"])
def test_words_that_no_place_has_lead_to_none(typed: str) -> None:
    assert fitting(typed) == []


def test_a_whole_phrase_leads_to_no_place_that_only_shares_a_word_with_it() -> None:
    assert [place.href for place in fitting("on call")] == ["/console/oncall"], "the page Calls has the one word"


def test_a_whole_question_is_no_search_in_texts() -> None:
    assert is_question("Who is on call?")
    assert not is_question("on call")
    assert not is_question("who is on call and why")


@pytest.mark.parametrize(("may_act", "href"), [(True, "/console/do/oncall-ack?page=1f"), (False, "/console/oncall#pages")])
def test_a_page_that_waits_comes_before_every_other_place(may_act: bool, href: str) -> None:
    waits = WaitingPage("1f", "ProviderDown", "Ada", 1, datetime(2026, 11, 30, 3, tzinfo=UTC), test=False)
    first = places((), may_act=may_act, waiting=[waits])[0]
    assert (first.href, "ProviderDown" in first.title, first.searched) == (href, True, False)
    assert {"ack", "acknowledge", "page"} <= {word.strip() for word in first.words.split(",")}
    assert not [place for place in places((), may_act=may_act) if place.href.startswith("/console/do/oncall-ack")]


@pytest.mark.parametrize("place", PARTS, ids=lambda place: place.href)
def test_a_part_is_on_the_page_that_it_names(place: object) -> None:
    way = urlsplit(place.href)  # type: ignore[attr-defined]
    text = " ".join(_source(name) for name in templates().list_templates(extensions=["html"]))
    assert any(way.path == page.path or way.path.startswith(f"{page.path}/") for page in PAGES)
    if way.path.startswith(f"{RUNBOOK.path}/"):
        assert way.fragment in {section.anchor for page in read() for section in page.sections}
        return
    assert not way.fragment or re.search(rf'id="{way.fragment}"|"{way.fragment}"[,)]', text), "no such part"
    assert dict(parse_qsl(way.query)).get("tab", "threats") in {*TABS, *releases.TABS}


def _source(name: str) -> str:
    loader = templates().loader
    assert loader is not None
    return loader.get_source(templates(), name)[0]
