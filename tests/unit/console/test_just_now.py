"""Sentences on the last two minutes, from facts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.audit.failed_answers import Failed
from app.audit.just_now import Busiest, Cost, Dearest, FailedKind, JustNow, Mistakes, RefusedTenant
from app.audit.overview import Bucket, Overview
from app.audit.provider_state import ProviderState
from app.budget.standing import UsedCap
from app.console.console import templates
from app.console.health import (
    ALL_AWAY,
    LATEST,
    UNREAD,
    VALKEY_AWAY,
    Now,
    Stops,
    Summary,
    none_well,
    summary,
    unread,
    without_valkey,
)
from app.console.just_now import busier, dearer, failures, mistakes, outage, over, refused, slower, used
from app.console.page_words import explaining
from app.console.provider_strips import FAILURE, LATE, Resting, state_of, strips_of
from app.console.ranges import Range
from app.domain.provider_errors import FAULTS
from app.domain.routes import Target
from app.gateway.recovery.shared_circuits import Shared
from app.oncall.runbook.pages import read
from app.oncall.runbook.search import find
from app.oncall.scopes import Subject

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPENED = "; its circuit opened after 3 failures"
IDLE = f"gpt-6-luna: its rest ended 12 min ago, and no call has tried it since; the next one that reaches it does{OPENED}"
LOST = (
    "gpt-6-luna: its rest ended 12 min ago, and the call that tried it did not end; the next one that reaches it tries it again"
)
SOON = "no call until it is tried again in 12.0 s"
STOPPED = "gpt-6-luna is stopped by an operator; its circuit opened before, after 3 failures"


def seen(calls: int, failed: int = 0, *, turned_away: int = 0, cost: int = 0) -> Overview:
    total = Bucket(
        at=None, calls=calls, ok=calls - failed, refused=turned_away, retried=0, fallen_back=0, repaired=0, degraded=0,
        latency=None, ttft=None, cost=cost, estimated=0, cost_bands=None, requests=calls, request_cost=cost, request_latency=None,
        request_cost_bands=None,
    )  # fmt: skip
    outcomes = [("provider_failed", failed)] * bool(failed) + [("budget_exceeded", turned_away)] * bool(turned_away)
    return Overview(
        total=total, series=(), costs=(), providers={}, states={}, outcomes=outcomes, unneeded=0, scored=0, passed=0, marks=()
    )  # fmt: skip


def said(whole: Overview, latest: Overview | None, recent: JustNow, *, caps: tuple[UsedCap, ...] = ()) -> tuple[str, list[str]]:
    found = summary(whole, Range(NOON - HOUR, NOON, "1h"), latest, None, Stops(), caps, recent)
    return found.kind, list(found.said)


def cap(spent: int, limit: int, tenant: str = "globex") -> UsedCap:
    return UsedCap(tenant, "day", spent, limit, datetime(2026, 3, 4, tzinfo=UTC))


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ("availability", "No provider answers since 11:59:00 UTC: 12 of the last 12 calls failed."),
        ("latency", "A request of the last 2 min takes 9 s at the median."),
        ("cost", ""),
    ],
)
def test_an_alert_takes_the_sentence_that_explains_it_and_no_other(objective: str, words: str) -> None:
    slow = "A request of the last 2 min takes 9 s at the median."
    out = "No provider answers since 11:59:00 UTC: 12 of the last 12 calls failed."
    locked = "globex: 131 of 133 calls were refused (budget_exceeded)."
    symptoms = {locked: "budget_exceeded", slow: "answers are slow", f"{LATEST}{out}": ALL_AWAY}
    assert explaining(Summary("bad", [locked, "Just a fact.", slow, f"{LATEST}{out}"], (), symptoms), objective) == words


def test_a_tenant_that_is_locked_out_comes_first_though_all_other_calls_are_well() -> None:
    locked = JustNow(calls=211, refused=[RefusedTenant("globex", "budget_exceeded", 131, 133)])
    kind, words = said(seen(6932, turned_away=131), seen(211, turned_away=131), locked, caps=(cap(129_000, 1_000),))
    assert kind == "bad"
    assert words[:2] == [
        "globex: 131 of 133 calls of the last 2 min were refused (budget_exceeded).",
        "globex has used more than 10 times its day cap, so its calls are refused until 2026-03-04 00:00 UTC (Budgets).",
    ]
    assert not any("All is well" in one for one in words)


def test_calls_that_fell_back_are_named_in_the_first_sentence() -> None:
    """Their callers were answered, and their first model was away."""
    whole = seen(67)
    some, few = (replace(whole, total=replace(whole.total, fallen_back=n)) for n in (9, 1))
    assert said(some, None, JustNow(calls=0))[1][0].startswith("100 % of 67 calls")
    assert ", 9 by another model (13.4 %)." in said(some, None, JustNow(calls=0))[1][0]
    assert said(few, None, JustNow(calls=0))[1][0].startswith("All is well: 100 % of 67 calls")


def test_some_refusals_are_a_warning_and_few_are_none() -> None:
    some = refused([RefusedTenant("acme", "rate_limit_exceeded", 30, 100), RefusedTenant("tiny", "budget_exceeded", 4, 4)])
    assert some is not None
    assert some[:2] == ("warn", "acme: 30 of 100 calls of the last 2 min were refused (rate_limit_exceeded).")
    assert refused([RefusedTenant("acme", "rate_limit_exceeded", 19, 100)]) is None
    assert refused([RefusedTenant("acme", "budget_exceeded", 60, 66, let_in=6)]) is None, "its cap was raised"
    for few in (RefusedTenant("acme", "budget_exceeded", 60, 64, let_in=4), RefusedTenant("acme", "x", 25, 110, let_in=10)):
        assert refused([few]) is not None, "as many may be chance"
    many = refused([RefusedTenant(f"t{n}", "budget_exceeded", 9, 10) for n in range(5)])
    assert many is not None
    assert many[1].endswith(
        "; t2: 9 of 10 calls of the last 2 min were refused (budget_exceeded); and so were calls of 2 more tenants."
    )


@pytest.mark.parametrize(
    ("spent", "limit", "words"),
    [
        (970, 1000, "globex has used 97 % of its day cap, so calls may be refused (Budgets)."),
        (1040, 1000, "globex has used 104 % of its day cap, so its calls are refused until 2026-03-04 00:00 UTC (Budgets)."),
        (2500, 1000, "globex has used 2.5 times its day cap, so its calls are refused until 2026-03-04 00:00 UTC (Budgets)."),
        (9, 0, "globex has a day cap of $0, so its calls are refused until 2026-03-04 00:00 UTC (Budgets)."),
    ],
)
def test_a_cap_says_how_far_it_is_used(spent: int, limit: int, words: str) -> None:
    assert used([cap(spent, limit)]) == ("warn", words, "a budget is used up", (("tenant", "globex"),))


def test_no_cap_is_named_where_none_is_nearly_used() -> None:
    assert used([]) is None


def test_failures_are_named_with_a_request_and_all_is_not_well_beside_them() -> None:
    kinds = [FailedKind("provider_garbled", 28, 28, "req_last", NOON), FailedKind("cancelled", 2, 1, "req_other", NOON)]
    recent = JustNow(calls=590, failed=30, failed_at=NOON, later=2, failures=kinds)
    kind, words = said(seen(9000, 80), seen(590, 30), recent)
    assert kind == "bad"
    assert words[0].startswith("Just now: 94.9 % of 590 calls")
    assert words[1] == (
        "Failed in the last 2 min: 28 provider_garbled, all of them streams (the last at 2026-03-03 12:00:00 UTC, req_last); "
        "2 cancelled (the last at 2026-03-03 12:00:00 UTC, req_other)."
    )
    assert words[2].startswith("99.1 % of 9,000 calls"), words
    near = said(seen(9000, 80), seen(590, 30), recent, caps=(cap(97, 100),))[1]
    assert near[:3] == words, "failures come before a warning"
    assert near[3].startswith("globex has used 97 % of its day cap")
    assert failures(JustNow(calls=1000, failed=3, failures=kinds)) == "", "a few of many are no fault"


def test_a_fault_that_is_over_is_no_fault_of_now() -> None:
    recent = JustNow(calls=334, failed=20, failed_at=datetime(2026, 3, 3, 11, 59, 20, tzinfo=UTC), later=270)
    kind, words = said(seen(334, 20), None, recent)
    assert (kind, words[0]) == ("warn", "Over: none failed since 2026-03-03 11:59:20 UTC (270 calls).")
    assert words[1].startswith("94 % of 334 calls")


@pytest.mark.parametrize(
    ("calls", "failed", "later"),
    [(39, 20, 19), (200, 10, 60), (1000, 5, 900), (100, 0, 0)],
    ids=["few calls since", "as many in a row are chance", "hardly one failed", "none failed"],
)
def test_a_fault_is_over_only_where_no_chance_explains_it(calls: int, failed: int, later: int) -> None:
    assert over(JustNow(calls=calls, failed=failed, failed_at=NOON if failed else None, later=later)) == ""


def test_a_request_that_costs_several_times_as_much_names_the_model_and_the_estimates() -> None:
    dearest = Dearest("openai", "gpt-6-luna", 900_000, 50, 45, 1_000_000)
    whole, latest = seen(1100, cost=2_000_000), seen(100, cost=1_000_000)
    cost = Cost(calls=100, calls_before=1000, cost=1_000_000, usual=100_000.0)
    kind, words = said(whole, latest, JustNow(calls=100, cost=cost, dearest=dearest))
    assert kind == "warn"
    assert words[0] == (
        "A call of the last 2 min costs $0.01 on average, 10 times as much as calls of the same kinds before; 90 % of it is for "
        "openai gpt-6-luna, and 90 % of its attempts were charged as estimates (usage_estimated)."
    )
    plain = dearer(JustNow(cost=cost, dearest=Dearest("openai", "m", 9, 5, 0, 9)))
    assert plain is not None
    assert plain[1].endswith("; 100 % of it is for openai m.")
    assert dearer(JustNow(cost=replace(cost, cost=250_000))) is None, "2.5 times"
    assert dearer(JustNow(cost=replace(cost, calls_before=10))) is None, "ten calls before show nothing"
    assert dearer(JustNow()) is None


def test_a_flood_of_a_callers_mistakes_names_tenant_and_key() -> None:
    flood = Mistakes("globex", 400, "invalid_request", 1924, "k7", "req_1", 300)
    words = (
        "1,924 requests of globex of the last 3 min got 400 invalid_request, beside 300 calls in all "
        "(the last one: key k7, req_1)."
    )
    assert mistakes(JustNow(mistakes=flood)) == ("warn", words, flood.code, (("tenant", "globex"), ("key", "k7")))
    unknown = mistakes(JustNow(mistakes=Mistakes("", 401, "invalid_api_key", 50, "", "req_1", 100)))
    assert unknown is not None
    assert unknown[1].startswith("50 requests without a valid key of the last 3 min got 401")
    assert unknown[1].endswith("(the last one: req_1).")
    for few in (Mistakes("t", 400, "c", 19, "k", "r", 0), Mistakes("t", 400, "c", 60, "k", "r", 300)):
        assert mistakes(JustNow(mistakes=few)) is None


@pytest.mark.parametrize(
    ("rest", "claimed", "stopped", "words"),
    [
        (12.0, -9e9, (), f"gpt-6-luna: circuit open after 3 failures, {SOON}"),
        (-720.0, -9e9, (), IDLE),
        (-720.0, 3.0, (), f"gpt-6-luna: a call tries it now{OPENED}"),
        (-720.0, -10.0, (), f"{LOST}{OPENED}"),
        (-1.0, -9e9, (("model", "openai/gpt-6-luna"),), STOPPED),
        (12.0, -9e9, (("provider", "openai"),), STOPPED),
        (12.0, -9e9, (("model", "openai/gpt-6"),), f"gpt-6-luna: circuit open after 3 failures, {SOON}"),
    ],
)  # fmt: skip
def test_a_circuit_says_which_call_tries_its_model_and_since_when_none_does(
    rest: float, claimed: float, stopped: tuple[Subject, ...], words: str
) -> None:
    circuit = Shared(Target("openai", "gpt-6-luna"), 1, rest, claimed, "3 failures", "w")
    assert state_of(circuit, stopped) == words


def test_each_sentence_of_the_overview_is_a_line() -> None:
    template = templates().from_string("{% import 'parts/macros.html' as m %}{{ m.answers('bad', said) }}")
    lines = '<div class="answer lines bad"><p>One &lt;b&gt;.</p><p class="detail">Two.</p></div>'
    assert template.render(said=["One <b>.", "Two."]) == lines


def test_an_open_circuit_is_that_of_a_model() -> None:
    circuits = [Shared(Target("openai", name), 1, rest, 0.0, "x", "w") for name, rest in (("a", 5.0), ("b", -1.0), ("c", 2.0))]
    assert resting(*circuits) == {"openai": Resting(FAILURE, "the circuit of a and c is open", frozenset({"a", "c"}))}


def resting(*circuits: Shared) -> Mapping[str, Resting]:
    found: Mapping[str, Resting] = Now.resting(cast("Now", SimpleNamespace(circuits=circuits)))
    return found


def test_a_provider_whose_attempts_all_came_too_late_is_slow_and_leads_to_that_page() -> None:
    """How the gateway gave them up says nothing to the person who looks for the cause."""
    late = Shared(Target("anthropic", "sonnet"), 1, 5.0, 0.0, "provider_timeout", "w")
    assert resting(late) == {
        "anthropic": Resting(LATE, "no answer in time: the circuit of sonnet is open", frozenset({"sonnet"}))
    }
    [strip] = strips_of(seen(40), Range(NOON - HOUR, NOON, "1h"), resting(late))
    assert (strip.kind, strip.symptom) == ("bad", "a provider is slow")
    broken = replace(late, target=Target("anthropic", "haiku"), cause="provider_failed")
    assert resting(late, broken)["anthropic"].trouble == FAILURE


def timed(p50: float, p95: float, requests: int = 40, at: datetime | None = None) -> Bucket:
    return replace(seen(requests).total, at=at, request_latency=[p50, p95, p95])


def an_hour(*bands: tuple[float, float]) -> Overview:
    """Sixty steps of a minute, the newest last; those before have the first bands."""
    begins = [NOON - HOUR + n * timedelta(minutes=1) for n in range(60)]
    all_bands = [*[bands[0]] * (60 - len(bands)), *bands]
    series = [timed(*each, at=at) for at, each in zip(begins, all_bands, strict=True)]
    return replace(seen(2400, cost=2400), series=series)


def slow_now(p50: float, p95: float, requests: int = 40) -> Overview:
    return replace(seen(requests, cost=10 * requests), total=replace(timed(p50, p95, requests), request_cost=10 * requests))


def test_latency_that_grew_many_times_is_said_first_and_before_the_money() -> None:
    dear = JustNow(calls=40, cost=Cost(calls=40, calls_before=900, cost=400, usual=40.0))
    kind, words = said(an_hour((10.0, 90.0), (1010.0, 1200.0), (1010.0, 1200.0)), slow_now(1010.0, 1200.0), dear)
    assert (kind, words[0]) == (
        "warn",
        "A request of the last 2 min takes 1.01 s at the median, 101 times as long as before (10 ms).",
    )
    assert words[1].startswith("A call of the last 2 min costs $0.00001 on average")


def test_latency_is_compared_with_what_was_usual_and_only_where_callers_notice_it() -> None:
    whole = an_hour((10.0, 90.0))
    found = slower(whole, slow_now(12.0, 3000.0), NOON)
    assert found is not None
    assert found[:2] == (
        "warn", "The slowest 5 % of the requests of the last 2 min take 3.00 s or more, 33 times as long as before (90 ms)."
    )  # fmt: skip
    for p50, p95 in ((12.0, 95.0), (190.0, 900.0), (30.0, 360.0)):
        assert slower(whole, slow_now(p50, p95), NOON) is None, "not many times, or a wait that no caller notices"
    assert slower(whole, slow_now(9000.0, 9000.0, 8), NOON), "callers that wait send fewer"
    assert slower(whole, slow_now(9000.0, 9000.0, 7), NOON) is None, "of few nothing is said"
    assert slower(whole, slow_now(12.0, 9000.0, 19), NOON) is None, "their slowest is one request"
    assert slower(replace(whole, series=whole.series[-3:]), slow_now(9000.0, 9000.0), NOON), "two minutes and one before"
    assert slower(replace(whole, series=whole.series[-2:]), slow_now(9000.0, 9000.0), NOON) is None, "nothing is usual yet"
    peaks = an_hour((10.0, 90.0), *[(10.0, 2000.0)] * 12)
    assert slower(peaks, slow_now(12.0, 3000.0), NOON) is None, "every fifth step had such a peak"


def test_the_share_that_fell_back_of_the_last_minutes_stands_beside_that_of_the_range() -> None:
    """An hour hides that most calls of now are answered by another model."""
    whole, latest = seen(200), seen(40)
    whole, latest = (replace(one, total=replace(one.total, fallen_back=n)) for one, n in ((whole, 33), (latest, 28)))
    assert ", 33 by another model (16.5 %; 70 % in the last 2 min)." in said(whole, latest, JustNow(calls=40))[1][0]
    same = replace(latest, total=replace(latest.total, fallen_back=7))
    assert "(16.5 %)." in said(whole, same, JustNow(calls=40))[1][0]


def state(attempts: int, failed: int, cause: str, *, since: int = 0, failing: int = 0) -> ProviderState:
    if cause == "output_invalid":
        return ProviderState(attempts, 0, None, attempts - failed, 0, frozenset({"m"}), "", failed, frozenset({"m"}))
    return ProviderState(attempts, failed, None, since, failing, frozenset({"m"}), cause, 0, frozenset({"m"}), failing > 0)


def summed(states: Mapping[str, ProviderState], recent: JustNow | None = None, stopped: Sequence[Subject] = ()) -> Summary:
    """What is said of an hour whose 100 calls were answered, with the providers in these states."""
    whole, latest = (
        replace(seen(calls), providers={name: {NOON: (10, 5)} for name in states}, states=states) for calls in (100, 20)
    )
    return summary(whole, Range(NOON - HOUR, NOON, "1h"), latest, None, Stops(stopped), (), recent)


WELL = state(40, 0, "")


@pytest.mark.parametrize(
    ("cause", "words", "page"),
    [
        ("provider_failed", "anthropic is failing (", "A model provider is failing"),
        ("provider_unreachable", "anthropic is failing (", "A model provider is failing"),
        ("provider_garbled", "anthropic is failing (", "A model provider is failing"),
        ("provider_overloaded", "anthropic is failing (", "A model provider is failing"),
        ("provider_timeout", "anthropic is slow (", "Answers are slow"),
        ("provider_rate_limited", "anthropic limits us (", "A provider limits us"),
        ("provider_denied", "anthropic refuses our key, our quota or", "A model provider is failing: Our key or our quota"),
        ("output_invalid", "anthropic gives answers that do not fit their schema (", "Answers do not fit their schema"),
    ],
)  # fmt: skip
def test_what_goes_wrong_chooses_the_sentence_and_its_page(cause: str, words: str, page: str) -> None:
    """By attempts, and by the cause of an open circuit. Every fault of a provider leads to the page that contains it."""
    of_attempts = strips_of(
        replace(seen(100), providers={"anthropic": {NOON: (10, 9)}}, states={"anthropic": state(10, 9, cause, failing=5)}),
        Range(NOON - HOUR, NOON, "1h"), {},
    )  # fmt: skip
    circuit = Shared(Target("anthropic", "haiku"), 1, 5.0, 0.0, cause, "w")
    for [strip] in (of_attempts, strips_of(seen(100), Range(NOON - HOUR, NOON, "1h"), resting(circuit))):
        assert strip.clause.startswith(words)
        assert find(read(), strip.symptom, ("anthropic", "openai"))[0][1].title == page


REFUSES = replace(state(12, 0, ""), refused=(("m", 12),))


def test_a_model_that_refuses_every_request_is_named_and_leads_to_its_page() -> None:
    """A vendor says 400 of a model that it retired: to a caller it looks like a mistake of the request."""
    for states, kind in (({"anthropic": WELL, "openai": REFUSES}, "warn"), ({"openai": REFUSES}, "warn")):
        found = summed(states)
        assert (found.kind, found.said[0].partition(";")[0]) == (
            kind, "openai refuses every request as invalid (all 12 of m in 5 min)"
        )  # fmt: skip
        assert found.search(found.said[0]) == {"q": "a provider provider_rejected", "provider": "openai"}
    page = "A model provider is failing: A model refuses requests that another one answers"
    assert find(read(), "a provider provider_rejected", ("anthropic", "openai"))[0][1].title == page
    failed = replace(seen(12, failed=12), outcomes=[("invalid_request", 12)], states={"openai": REFUSES})
    failed = replace(failed, providers={"openai": {NOON: (12, 0)}})
    kind, words = said(failed, failed, JustNow(calls=12, failed=12, failed_at=NOON))
    assert (kind, words[0].partition(" (")[0]) == ("bad", "openai refuses every request as invalid")


def test_one_model_of_several_that_refuses_every_request_leaves_the_others() -> None:
    several = replace(REFUSES, tried=frozenset({"m", "n"}), attempts=40)
    [strip] = summed({"openai": several}).strips
    assert (strip.kind, strip.word, strip.away) == ("warn", "refuses requests", False)
    [strip] = summed({"openai": replace(several, failed=30, failing=30, cause="provider_failed", dead=True)}).strips
    assert strip.word == "failing", "an outage is worse"


def test_each_fault_of_a_provider_is_tried_above() -> None:
    marks = test_what_goes_wrong_chooses_the_sentence_and_its_page.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {cause for cause, _, _ in marks} == FAULTS


def test_the_first_sentence_leads_to_the_page_of_the_worst_provider() -> None:
    slow = replace(WELL, slow=(900.0, 90.0))
    found = summed({"a": slow, "b": state(10, 9, "provider_failed")})
    assert found.search(found.said[0]) == {"q": "a provider is failing", "provider": "b"}
    assert summed({"a": slow, "b": WELL}).symptom == "a provider is slow"
    assert summed({"a": WELL}).symptom == ""
    write = templates().from_string(
        "{% import 'parts/macros.html' as m %}{{ m.answers('bad', ['One.', 'Two.'], {'Two.': '/r'}) }}"
    )
    assert '<p>One.</p><p class="detail">Two. <a class="nowrap" href="/r">Open the runbook</a></p>' in write.render()


def test_a_callers_own_mistakes_are_no_fault_of_ours_though_no_other_call_came() -> None:
    wrong = replace(seen(5, failed=5), outcomes=[("invalid_request", 5)])
    kind, words = said(wrong, wrong, JustNow(calls=5, failed=5, failed_at=NOON))
    failed = "0 % of 5 calls in the last 1 h were answered; 5 failed, 5 of them for a mistake of the caller's own."
    assert (kind, words[0]) == ("warn", f"{failed} The most frequent error is invalid_request.")
    assert said(seen(5, failed=5), None, JustNow(calls=5, failed=5, failed_at=NOON))[0] == "bad", "by a provider"


def test_where_no_provider_is_well_the_page_is_the_one_that_stops_none() -> None:
    """Its first page would stop a provider, and the last one that a call can be sent to."""
    out = JustNow(calls=6, failed=6, failed_at=NOON, failing=6, failing_since=NOON - timedelta(minutes=1),
                  failures=[FailedKind("providers_unavailable", 6, 0, "r", NOON)])  # fmt: skip
    gone = state(10, 10, "provider_failed", failing=10)
    for states, stopped in (({"a": gone, "b": gone}, ()), ({"a": gone, "b": WELL}, [("provider", "b")])):
        found = summed(states, out, stopped)
        assert found.said[0].startswith("No provider answers since ")
        assert find(read(), found.symptom, ("a", "b"))[0][1].title == "A model provider is failing: No provider is well"


def test_a_provider_that_no_call_tries_now_may_be_well() -> None:
    """It is no proof that none is: the page that stops no provider is not for this."""
    untried = replace(WELL, untried=NOON)
    found = summed({"anthropic": state(40, 30, "provider_failed"), "openai": untried})
    assert [(one.word, one.why) for one in found.strips][1] == ("not tried", "since 12:00 UTC")
    assert not none_well(found.strips)


def test_where_every_provider_fails_in_part_none_is_stopped_either() -> None:
    few, most = state(2, 2, "provider_failed", failing=2), state(50, 44, "provider_failed", since=1)
    circuits = [Shared(Target(name, "m"), 1, 5.0, 0.0, "provider_failed", "w") for name in ("a", "b")]
    for one, open_ in ((few, resting(*circuits)), (most, {})):
        whole = replace(seen(100), providers={name: {NOON: (10, 5)} for name in ("a", "b")}, states={"a": one, "b": one})
        assert none_well(strips_of(whole, Range(NOON - HOUR, NOON, "1h"), open_))
    assert summed({"a": most, "b": most}).symptom == "no provider is well"
    assert not none_well(summed({"a": most, "b": WELL}).strips)


def test_answers_between_those_that_miss_their_schema_prove_nothing() -> None:
    """A chat needs no schema: with ten of them after the last failure the page said that all is well."""
    found = summed({"openai": state(40, 4, "output_invalid")})
    assert found.said[0].startswith("openai gives answers that do not fit their schema (10 % of attempts")
    assert "All is well" in summed({"openai": state(40, 2, "output_invalid")}).said[0], "a repair mends two"


def test_a_few_answers_that_miss_their_schema_say_nothing_of_an_outage_before_them() -> None:
    """The share of the outage stood in their sentence, and its provider was offered to be stopped."""
    again = replace(state(210, 110, "provider_failed", since=99), misshapen=1)
    [strip] = summed({"openai": again}).strips
    assert (strip.word, strip.kind, strip.away) == ("answering again", "good", False)
    [strip] = summed({"openai": replace(again, misshapen=3)}).strips
    assert strip.clause.startswith("openai gives answers that do not fit their schema (1.4 % of attempts")


def test_only_a_provider_that_answers_nothing_is_away() -> None:
    """One open circuit of one model, or a few failures of a thousand attempts: its other answers would be lost with it."""
    circuit = Shared(Target("a", "haiku"), 1, 5.0, 0.0, "provider_failed", "w")
    other_answers = replace(state(583, 5, "provider_failed", failing=5), tried=frozenset({"m", "n"}), dead=False)
    for one, away, rests in (
        (state(1000, 6, "provider_failed", since=900), False, False),
        (state(1000, 4, "provider_failed", failing=4), False, True),
        (state(1000, 5, "provider_failed", failing=5), True, True),
        (state(3, 3, "provider_failed", failing=3), True, True),
        (state(2, 2, "provider_failed", failing=2), False, True),
        (other_answers, False, False),
    ):
        whole = replace(seen(100), providers={"a": {NOON: (10, 5)}}, states={"a": one})
        [strip] = strips_of(whole, Range(NOON - HOUR, NOON, "1h"), {})
        [resting_strip] = strips_of(whole, Range(NOON - HOUR, NOON, "1h"), resting(circuit))
        assert (strip.away, resting_strip.away) == (away, rests), one
    [strip] = summed({"a": other_answers}).strips
    assert strip.kind == "warn", "one of its models answers"
    [strip] = strips_of(
        replace(seen(9), providers={"a": {NOON: (10, 5)}}, states={"a": state(1000, 6, "", since=900)}),
        Range(NOON - HOUR, NOON, "1h"), resting(circuit),
    )  # fmt: skip
    assert (strip.kind, strip.why) == ("warn", "the circuit of haiku is open; its other models answer")


def test_a_model_that_an_operator_stopped_is_no_news_and_leaves_its_provider_stopped() -> None:
    circuit = Shared(Target("a", "m"), 1, 5.0, 0.0, "provider_failed", "w")
    now = cast("Now", SimpleNamespace(circuits=[circuit]))
    assert (list(Now.resting(now)), list(Now.resting(now, [("model", "a/m")]))) == (["a"], [])
    [strip, other] = summed({"a": state(9, 9, "provider_failed", failing=9), "b": WELL}, stopped=[("model", "a/m")]).strips
    assert (strip.word, other.word) == ("stopped by an operator", "answering")


def test_a_provider_that_an_operator_stopped_is_not_failing() -> None:
    [stopped, _] = summed({"a": state(10, 10, "provider_failed", failing=10), "b": WELL}, stopped=[("provider", "a")]).strips
    assert (stopped.word, stopped.kind, stopped.symptom) == ("stopped by an operator", "warn", "")


def test_a_fault_that_is_over_stands_behind_all_that_goes_on() -> None:
    again = state(40, 20, "provider_failed", since=12)
    found = summed({"a": again, "b": WELL})
    assert (found.kind, found.said[-1][:21]) == ("warn", "a is answering again ")
    assert "All is well" not in " ".join(found.said)
    assert summed({"a": again, "b": state(10, 9, "provider_rate_limited")}).symptom == "a provider provider_rate_limited"


@pytest.mark.parametrize(
    "beside",
    [
        JustNow(refused=[RefusedTenant("globex", "rate_limit_exceeded", 35, 160, newest=(18, 20))]),
        JustNow(mistakes=Mistakes("", 401, "invalid_api_key", 28, "k", "r", 70)),
    ],
    ids=["its newest calls are refused", "its key was revoked"],
)
def test_nothing_is_over_while_callers_are_turned_away(beside: JustNow) -> None:
    fault = replace(beside, calls=70, failed=12, failed_at=NOON - timedelta(minutes=1), later=58)
    assert over(replace(fault, refused=(), mistakes=None)).startswith("Over: none failed since ")
    assert over(fault) == ""
    found = summed({"a": WELL}, fault)
    assert (found.said[0].startswith(("globex: 35 of 160", "28 requests")), found.symptom) == (
        True, "rate_limit_exceeded" if beside.refused else "invalid_api_key"
    )  # fmt: skip


def test_nothing_is_over_while_a_provider_is_slow() -> None:
    fault = JustNow(calls=70, failed=12, failed_at=NOON - timedelta(minutes=1), later=58)
    assert summed({"a": WELL}, fault).said[0].startswith("Over: ")
    assert not any(words.startswith("Over: ") for words in summed({"a": replace(WELL, slow=(900.0, 90.0))}, fault).said)


YOUNG = Busiest("acme", 390, 120, 40, "k", 300, known=timedelta(minutes=4))


@pytest.mark.parametrize(
    ("most", "words"),
    [
        (Busiest("acme", 2390, 1800, 3_640_000, "k1", 2390), "where 240 calls were usual, all of them with key k1, for $3.64."),
        (
            Busiest("acme", 900, 0, 5, "k", 900, "mallory", 400),
            "after none in the 15 min before, all of them with key k, for $0.000005.",
        ),
        (
            Busiest("acme", 900, 0, 5, "k", 900, "mallory", 800),
            "after none in the 15 min before, all of them with key k, 800 of user mallory, for $0.000005.",
        ),
        (Busiest("acme", 220, 0, 1_000, "k", 100), "after none in the 15 min before, 100 of them with key k, for $0.001."),
        (Busiest("acme", 1100, 1800, 0, "k", 1), ""),
        (Busiest("acme", 199, 0, 0, "k", 99), ""),
        (YOUNG, "where 60 calls were usual, 300 of them with key k, for $0.00004."),
        (replace(YOUNG, before=0), "after none in the 4 min before, 300 of them with key k, for $0.00004."),
        (replace(YOUNG, before=160), ""),
    ],
    ids=[
        "ten times as many", "many users", "one user", "from nothing", "less than five times as many", "a few",
        "of a young service", "from nothing there", "less than five times as many there",
    ],
)  # fmt: skip
def test_a_tenant_that_sends_many_times_its_usual_calls_is_named_with_its_key(most: Busiest, words: str) -> None:
    found = busier(JustNow(busiest=most), hurts=True)
    assert (found.words.partition(" in the last 2 min, ")[2] if found else "") == words
    assert found is None or found.words.startswith(f"acme has sent {most.calls:,} calls ")


@pytest.mark.parametrize(
    ("beside", "caps", "hurts"),
    [
        (JustNow(calls=220), (), False),
        (JustNow(calls=220, refused=[RefusedTenant("globex", "rate_limit_exceeded", 30, 100)]), (), True),
        (JustNow(calls=220, failed=9, failures=[FailedKind("provider_failed", 9, 0, "r", NOON)]), (), True),
        (JustNow(calls=220), (cap(990, 1_000, "acme"),), True),
    ],
    ids=["a batch", "others are refused", "calls fail", "a cap is near"],
)
def test_a_batch_that_hurts_none_is_a_fact_behind_that_all_is_well(
    beside: JustNow, caps: tuple[UsedCap, ...], *, hurts: bool
) -> None:
    batch = replace(beside, busiest=Busiest("acme", 220, 0, 1_000, "k", 220))
    kind, words = said(seen(1_000), seen(220), batch, caps=caps)
    [place] = [number for number, one in enumerate(words) if one.startswith("acme has sent 220 calls ")]
    assert (kind, place == len(words) - 1, words[0].startswith("All is well: ")) == (
        ("warn", False, False) if hurts else ("good", True, True)
    )


def test_answers_that_drift_are_named_and_lead_to_their_page() -> None:
    found = summed({"a": WELL}, JustNow(calls=20, drifted=[("support", NOON)]))
    assert found.said[0] == (
        "Answers of support have drifted, found at 2026-03-03 12:00 UTC: more of them fail than before (Evals)."
    )
    assert (found.kind, find(read(), found.symptom)[0][1].title) == ("warn", "Answers drift")


def test_valkey_that_is_away_comes_first_leads_to_its_page_and_nothing_is_over() -> None:
    past = JustNow(calls=70, failed=12, failed_at=NOON - timedelta(minutes=1), later=58)
    found = without_valkey(summed({"a": WELL}, past))
    assert (found.kind, found.said[0]) == ("bad", VALKEY_AWAY)
    assert find(read(), found.symptom)[0][1].title == "Valkey is away"
    assert not any(words.startswith("Over:") for words in found.said)
    slow = without_valkey(summed({"a": replace(WELL, slow=(900.0, 90.0))}))
    assert "a provider is slow" in slow.symptoms.values(), "the others keep theirs"


def test_facts_that_cannot_be_read_are_said_and_all_is_not_well() -> None:
    found = unread(summed({"a": WELL}))
    assert (found.kind, found.said[-1], "All is well" in found.said[0]) == ("warn", UNREAD, False)


def test_each_sentence_has_its_own_page_and_a_stop_leads_to_that_of_stops() -> None:
    limited = JustNow(refused=[RefusedTenant("globex", "rate_limit_exceeded", 35, 40)])
    found = summary(seen(100), Range(NOON - HOUR, NOON, "1h"), seen(20), None, Stops([("tenant", "x")], "A stop."), (), limited)
    assert [found.symptoms.get(words) for words in found.said[:2]] == ["stopped_by_operator", "rate_limit_exceeded"]
    assert find(read(), "stopped_by_operator")[0][1].title == "Stopping everything"


@pytest.mark.parametrize(
    ("one", "page", "names"),
    [
        (RefusedTenant("acme", "budget_exceeded", 35, 40, user="mallory", of_user=30), "A budget is used up: One user is refused",
         {"tenant": "acme", "user": "mallory"}),
        (RefusedTenant("acme", "budget_exceeded", 35, 40, user="mallory", of_user=9), "A budget is used up", {"tenant": "acme"}),
        (RefusedTenant("acme", "rate_limit_exceeded", 35, 40, user="mallory", of_user=35), "Cost caps and rate limits",
         {"tenant": "acme", "user": "mallory"}),
    ],
    ids=["a user", "many users", "a rate limit"],
)  # fmt: skip
def test_a_refused_users_sentence_leads_to_a_page_with_its_names(one: RefusedTenant, page: str, names: dict[str, str]) -> None:
    """A page that begins with raising the cap is not the one of a rogue user."""
    found = summary(seen(100), Range(NOON - HOUR, NOON, "1h"), seen(20), None, Stops(), (), JustNow(refused=[one]))
    assert found.search(found.said[0]) == {"q": found.symptom, **names}
    assert find(read(), found.symptom)[0][1].title == page
    assert without_valkey(found).search(found.said[0]) == found.search(found.said[0])


@pytest.mark.parametrize(("code", "page"), [("cancelled", ""), ("last_resort", "A model provider is failing")])
def test_an_outcome_of_callers_leads_to_no_page_that_is_another_faults(code: str, page: str) -> None:
    found = summed({"a": WELL}, JustNow(calls=100, failed=12, failures=[FailedKind(code, 12, 0, "r", NOON)]))
    assert (find(read(), found.symptom)[0][1].title if found.symptom else "") == page


def test_answers_of_5xx_are_named_whatever_calls_did_and_nothing_is_over_beside_them() -> None:
    past = JustNow(calls=70, failed=12, failed_at=NOON - timedelta(minutes=1), later=58)
    broken = Failed(tenant="acme", path="/v1/x", status=500, code="internal_error", answers=900, minute=NOON, request_id="r",
                    key_id="k", of_key=900, message="m")  # fmt: skip
    whole, latest = (replace(seen(calls, failed=12), failed_answers=[broken]) for calls in (1000, 100))
    said_of = summary(whole, Range(NOON - HOUR, NOON, "1h"), latest, None, Stops(), (), past).said
    assert not any(words.startswith("Over:") for words in said_of)
    assert "900 requests got an answer of 5xx (500 internal_error on /v1/x: 900) in the last 2 min." in said_of


@pytest.mark.parametrize(("age", "named"), [(60, True), (119, True), (120, False), (170, False)])
def test_answers_of_5xx_are_over_after_a_minute_without_one(age: int, named: bool) -> None:
    """They are counted by the minute: the last second of theirs was the last one."""
    broken = Failed(tenant="acme", path="/v1/x", status=500, code="internal_error", answers=9,
                    minute=NOON - timedelta(seconds=age), request_id="r", key_id="k", of_key=9, message="m")  # fmt: skip
    latest = replace(seen(100), failed_answers=[broken])
    kind, words = said(seen(10_000), latest, JustNow(calls=100))
    assert (kind, words[0].startswith("Just now: 9 requests got an answer of 5xx")) == (
        ("warn", True) if named else ("good", False)
    )


def test_what_an_operator_stops_on_purpose_is_no_fault_of_5xx() -> None:
    """A stop of one user had turned the first page yellow."""
    refused = Failed(tenant="acme", path="/v1/x", status=503, code="stopped_by_operator", answers=9, minute=NOON,
                     request_id="r", key_id="k", of_key=9, message="m")  # fmt: skip
    assert said(seen(10_000), replace(seen(100), failed_answers=[refused]), JustNow(calls=100))[0] == "good"
    broken = replace(refused, code="internal_error")
    assert said(seen(10_000), replace(seen(100), failed_answers=[broken]), JustNow(calls=100))[0] == "warn"


def test_calls_that_hang_lead_to_their_page() -> None:
    waits = [SimpleNamespace(began_at=NOON - timedelta(seconds=90))] * 5
    now = cast("Now", SimpleNamespace(under_way=(5, waits), resting=lambda _stopped: {}))
    past = JustNow(calls=70, failed=12, failed_at=NOON - timedelta(minutes=1), later=58)
    found = summary(seen(100), Range(NOON - HOUR, NOON, "1h"), seen(20), now, Stops(), (), past)
    assert found.said[0].startswith("5 calls under way for up to ")
    assert find(read(), found.symptom)[0][1].title == "Answers are slow: All providers are slow"
    assert not any(words.startswith("Over:") for words in found.said)


def test_five_failures_of_a_moment_are_no_outage() -> None:
    """One call may fail with all its retries beside hundreds that are answered."""
    moment = JustNow(calls=870, failed=5, failing=5, failing_since=NOON - timedelta(seconds=1))
    assert outage(moment, NOON, everywhere=False) == ""
    assert outage(replace(moment, failing_since=NOON - timedelta(seconds=6)), NOON, everywhere=False)


def strip_states(*names: str, failing: int) -> dict[str, ProviderState]:
    return {
        name: state(10, 10 if failing else 0, "provider_failed", since=0 if failing else 10, failing=failing) for name in names
    }


def outage_of(*names: str, failing: int, answers: int = 29) -> tuple[str, list[str]]:
    """The sentences where so many of the newest calls failed, with these providers failing and the others answering."""
    tried = {name: {NOON: (10, 5)} for name in ("anthropic", "openai")}
    states = strip_states("anthropic", "openai", failing=0) | strip_states(*names, failing=failing)
    whole, latest = (replace(seen(calls, failing), providers=tried, states=states) for calls in (369, answers + failing))
    kinds = [FailedKind("providers_unavailable", failing, 0, "req_last", NOON)]
    began = NOON - timedelta(minutes=7)
    return said(whole, latest, JustNow(calls=answers + failing, failed=failing, failed_at=NOON, failures=kinds,
                failing=failing, failing_since=began))  # fmt: skip


def test_a_total_outage_begins_with_one_short_sentence_and_says_no_clause_twice() -> None:
    kind, words = outage_of("anthropic", "openai", failing=11)
    assert (kind, words[0]) == ("bad", "No provider answers since 2026-03-03 11:53:00 UTC: 11 of the last 11 calls failed.")
    assert words[1:] == [
        "Failed in the last 2 min: 11 providers_unavailable; the last one is req_last.",
        "97 % of 369 calls in the last 1 h were answered; 11 failed.",
    ]
    assert "newest" not in " ".join(words), "the providers' own lines say it"


def test_one_provider_that_fails_is_no_outage_and_is_named_once() -> None:
    kind, words = outage_of("openai", failing=4)
    assert kind == "bad"
    assert words[0].startswith("Just now: openai is failing (")
    assert sum("openai is failing" in line for line in words) == 1
    assert outage_of("openai", failing=5)[1][0].startswith("No call is answered since ")


def test_a_call_that_ended_in_the_last_resort_says_so_once() -> None:
    call = defaultdict[str, Any](int, at=NOON, outcome="last_resort", degraded=["last_resort", "fewer"], ttft_ms=None)
    found = SimpleNamespace(rows=[call], total=SimpleNamespace(calls=1, failed=1, refused=0))
    known = SimpleNamespace(away="", value=None, at=NOON)
    shown = (
        templates()
        .get_template("parts/calls.html")
        .render(
            known=known, running=known, found=found, wanted=SimpleNamespace(sort="", ascending=False), sorts=False, words="",
            nothing="", more="", shown={}, range=Range(NOON - HOUR, NOON, "1h"),
        )
    )  # fmt: skip
    assert (shown.count("last_resort"), ">fewer<" in shown) == (1, True)
