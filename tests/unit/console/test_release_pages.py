"""Releases in the console: the difference of two, evidence over time, and what a stop does, in numbers (X1)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from conftest import ROOT

from app.budget.pricing import cost
from app.console import release_change
from app.console.evidence_chart import HALF, WIDTH, drawn
from app.console.known import LastKnown
from app.console.pages import releases as page
from app.console.pages.release_diff import SAME_ANSWERS, words_of
from app.console.readiness import sources as readiness_sources
from app.console.release_change import eval_words, judged_words, removal_words, removed, summary, value_words
from app.console.stop_actions import effect_of, harm_of, names_of
from app.domain.calls import Usage
from app.domain.routes import Target
from app.oncall.held import Stop
from app.oncall.scopes import Subject
from app.releases import eval_history
from app.releases.compared import compare, runs
from app.releases.difference import Traffic
from app.releases.eval_delta import deltas
from app.releases.eval_gate import Score
from app.releases.evidence import ALPHA
from app.releases.evidence_line import Counted, points
from app.releases.following import Followed
from app.releases.history import Activation
from app.releases.manifest import Places, Release, load
from app.releases.rehearsals import FILE, ROLLBACK, Rehearsal, append
from app.releases.reports import Report

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
NO_CALLS = "there are no answered calls of last week to price it by"
WEEK = {"smart": Traffic(10, Usage(input=10_000, output=2_000))}


@pytest.fixture(scope="module")
def release() -> Release:
    where = Places(
        directory=ROOT / "releases", prompts=ROOT / "app/features", indexes=ROOT, providers=frozenset({"openai", "anthropic"})
    )
    return load("1-start", where)


def test_the_words_of_a_difference_give_back_both_texts() -> None:
    old, new = "Answer in one sentence. Cite [1].", "Answer in two short sentences. Cite [1]!"
    pieces = runs(old, new)
    assert "".join(p.text for p in pieces if p.kind != "ins") == old
    assert "".join(p.text for p in pieces if p.kind != "del") == new
    assert [p.text for p in pieces if p.kind == "del"] == ["one sentence", "."]


def test_a_release_beside_itself_differs_in_nothing(release: Release) -> None:
    compared = compare(release, release, WEEK, cost)
    assert not compared.changed
    assert (compared.prompts, compared.routes, compared.prices) == ([], {}, [])
    assert words_of("a", "b", compared) == "Releases a and b pin the same."


def test_a_difference_names_each_pin_and_what_it_costs(release: Release) -> None:
    dear = replace(release.routes["smart"], targets=(Target("openai", "gpt-6-luna"),), max_output_tokens=9)
    prompts = {**release.prompts, "extract/facts": replace(release.prompts["extract/facts"], system="Never guess.")}
    compared = compare(release, replace(release, routes={**release.routes, "smart": dear}, prompts=prompts), WEEK, cost)
    assert "model smart" in {row.name for row in compared.changed}
    assert {row.name: (row.before, row.after) for row in compared.routes["smart"]}["max output tokens"] == ("2048", "9")
    [prompt] = compared.prompts
    assert [run.text for run in prompt.texts["system"] if run.kind == "ins"]
    [money] = compared.money
    assert money.calls == 10
    assert money.before != money.after
    assert words_of("a", "b", compared).endswith(("more if the answers were as long.", "less if the answers were as long."))
    priced = compare(release, replace(release, prices=replace(release.prices, version="later")), WEEK, cost)
    assert words_of("a", "b", priced).endswith(SAME_ANSWERS), "prices answer nothing"


def test_a_change_that_removes_an_alias_names_it_and_its_users(release: Release) -> None:
    """After a rollback, their calls get 404."""
    [embed] = list(release.embeddings) or ["embed"]
    more = replace(release, embeddings={embed: replace(release.routes["fast"], name=embed)})
    kept = {**release.prompts, "extract/facts": replace(release.prompts["extract/facts"], callable=True)}
    more = replace(more, prompts=kept)
    closed = {**kept, "extract/facts": replace(kept["extract/facts"], callable=False)}
    less = replace(more, embeddings={}, prompts=closed)
    assert f"removes 1 alias of embeddings; {NO_CALLS}." in summary(compare(more, less, {}, cost))
    assert removed(more, less) == [embed, "extract/facts"]
    users = [("acme", 120), ("b", 3), ("c", 2), ("d", 1)]
    first, second = removal_words(more, less, {embed: users})
    assert first.startswith(f"The alias of embeddings {embed} is removed: its calls will get 404. In the last 7 d it was used by")
    assert first.endswith(" used by acme (120 calls), b (3 calls), c (2 calls) and 1 more tenant.")
    assert (
        second == "Prompt extract/facts is closed to clients: calls that name it will get 404. No call of the last 7 d named it."
    )
    assert removal_words(less, more, {}) == []


async def test_what_no_user_misses_is_a_fact_and_no_harm(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alias that no call used, and evals that lose no case, are in no red (X1)."""
    filed, _ = eval_history.filed(ROOT / "releases")
    [was], now = [one.release for one in filed if one.below], max(one.release for one in filed)
    both = {name: replace(release.routes["fast"], name=name) for name in ("idle", "busy")}
    found = {was: replace(release, embeddings=both), now: replace(release, embeddings={})}
    releases = SimpleNamespace(find=lambda name: asyncio.sleep(0, SimpleNamespace(release=found[name])))
    parts = SimpleNamespace(releases=releases, engine=None, releases_dir=ROOT / "releases")
    monkeypatch.setattr(release_change, "used_by", lambda *_: asyncio.sleep(0, {"busy": [("acme", 3)]}))
    seen = await release_change.effects(cast(Any, SimpleNamespace(parts=parts)), was, now)
    assert [words.partition(" is ")[0].partition(":")[0] for words in seen.harm] == [
        "The alias of embeddings busy", "Evals of support",
    ]  # fmt: skip
    assert [words.partition(" is ")[0].partition(":")[0] for words in seen.facts] == [
        "The alias of embeddings idle", "Evals of extract",
    ]  # fmt: skip
    assert await release_change.effects(cast(Any, None), "", now) == release_change.Effects(), "nothing is live"


def test_a_change_names_the_values_that_differ_and_the_worst_mode(release: Release) -> None:
    short = replace(release, routes={**release.routes, "smart": replace(release.routes["smart"], max_output_tokens=40)})
    assert value_words(compare(release, short, WEEK, cost)) == "model smart: max output tokens 2048 → 40"
    assert value_words(compare(release, release, WEEK, cost)) == ""
    filed, _ = eval_history.filed(ROOT / "releases")
    [was] = [one.release for one in filed if one.below]
    extract, support = map(eval_words, deltas(filed, was, max(one.release for one in filed)))
    assert extract == "Evals of extract: not compared, as the first release has no result of it."
    assert support == (
        "Evals of support: +24.2 points: 68 cases won, 10 lost; worst failure mode: answer that should be refusal,"
        " 8 of 19 passed where 18 did (-52.6 points): allowed, as its threshold is 36 % on the simulator;"
        f" the gate refuses release {was}."
    )
    low = Score(passed=1, total=4, least=0.5)
    assert judged_words(low, simulated=False) == "refused, as it is below its threshold of 50 %"


def counted(*, bad_of_canary: int, bad_of_others: int) -> list[Counted]:
    rows = [(1, 0)] * bad_of_others + [(1, 1)] * bad_of_canary
    return [Counted(NOW + timedelta(seconds=n), "failed", 0, canary, users) for n, (users, canary) in enumerate(rows)]


def test_evidence_climbs_to_a_rollback_exactly_when_the_verdict_is_one() -> None:
    end = NOW + timedelta(minutes=1)
    weak = points(counted(bad_of_canary=2, bad_of_others=0), ["failed"], [0.1], NOW, end)
    strong = points(counted(bad_of_canary=4, bad_of_others=0), ["failed"], [0.1], NOW, end)
    assert weak[0].stop == weak[0].promote == 0
    assert 0 < weak[-1].stop < 1
    assert strong[-1].stop == 1
    assert [p.stop for p in strong] == sorted(p.stop for p in strong)
    assert pytest.approx(0.01) == ALPHA


def test_evidence_climbs_to_a_promotion_while_other_users_alone_are_bad() -> None:
    line = points(counted(bad_of_canary=0, bad_of_others=60), ["failed"], [0.1], NOW, NOW + timedelta(minutes=2))
    assert line[-1].promote == 1
    assert line[-1].stop == 0
    lacking = points(counted(bad_of_canary=0, bad_of_others=60), ["failed", "slow"], [0.1], NOW, NOW + timedelta(minutes=2))
    assert (lacking[-1].promote, lacking[-1].least) == (0, "slow")


def test_the_drawing_ends_at_the_edge_that_the_verdict_reaches() -> None:
    line = drawn(points(counted(bad_of_canary=4, bad_of_others=0), ["failed"], [0.1], NOW, NOW + timedelta(minutes=1)))
    assert line.stop.endswith(f"{WIDTH:.1f},{2 * HALF:.1f}")
    assert line.promote.endswith(f"{WIDTH:.1f},{HALF:.1f}")


@pytest.mark.parametrize(
    ("scope", "name", "words"),
    [
        ("all", "", "all 2 routes and all"),
        ("provider", "anthropic", "fall back to the next model"),
        ("provider", "unknown", "No route of the live release uses it."),
        ("prompt", "extract/facts", "It stops 1 of"),
        ("feature", "extract", "has 1 prompt"),
        ("tool", "nothing", "for 0 prompts"),
    ],
)
def test_a_stop_says_in_numbers_what_it_stops(release: Release, scope: str, name: str, words: str) -> None:
    assert words in effect_of(scope, name, release)


def test_a_provider_whose_routes_have_no_other_model_stops_them_by_name(release: Release) -> None:
    alone = replace(release.routes["smart"], targets=(Target("anthropic", "claude-sonnet-5-5"),))
    without = replace(release, routes={"smart": alone}, embeddings={})
    assert "It stops 1 route (smart), which no other model answers" in effect_of("provider", "anthropic", without)
    assert names_of("provider", without, providers=["b", "a"], products=[]) == ["a", "b"]


BOTH = {("provider", "openai")}


@pytest.mark.parametrize(
    ("stopped", "words"),
    [
        (set(), "fall back to the next model"),
        (BOTH, ": the other models are stopped already"),
        ({("all", "")}, "No route stops; no model answers"),
    ],
)
def test_a_stop_reckons_with_the_stops_in_force(release: Release, stopped: set[Subject], words: str) -> None:
    routes = replace(release, embeddings={})
    said = effect_of("provider", "anthropic", routes, stopped)
    assert words in said, said
    lost = harm_of("provider", "anthropic", routes, stopped)
    assert bool(lost) == (stopped == BOTH)
    assert all(all(name in sentence for name in routes.routes) for sentence in lost)
    assert all("every call to them will be refused" in sentence for sentence in lost), "before it is done, and of several routes"


REFUSED = (
    "The eval gate refuses the live release r2: 2 of its eval results are missing or below their threshold, the worst: support:"
    " overall: 20 points below the threshold of 50%."
)


def activation(**more: object) -> Activation:
    return Activation(1, "r2", "r1", "activate", "ada", "why", NOW - timedelta(hours=2, seconds=20), **more)  # type: ignore[arg-type]


def state(*workers: str, unproven: Sequence[str] = ()) -> page.State:
    reports = [Report(worker=str(n), release=release) for n, release in enumerate(workers)]
    return page.State(past=[activation()], reports=reports, canary=None, shadow=None, listed=[], unproven=unproven)


def test_a_change_that_is_live_says_its_seconds_at_once() -> None:
    back = replace(state("r2", "r2"), followed={activation().number: Followed("r2", 2, 1.24)})
    said = " The last of 2 workers served it 1.24 s after the {} began."
    assert said.format("activation") in page.answer(back, [], activation().at)[1]
    back = replace(back, past=[replace(activation(), kind="rollback")])
    assert said.format("rollback") in page.answer(back, [], activation().at)[1]
    assert "rollback began" not in page.answer(state("r2", "r2"), [], activation().at)[1]


@pytest.mark.parametrize(
    ("workers", "unproven", "stops", "kind", "words"),
    [
        (("r2", "r2"), [], [], "good", "Release r2 has been live on all 2 workers for 2 h."),
        (("r2", "r1"), [], [], "bad", "Release r2 has been live on 1 of 2 workers for 2 h."),
        (
            ("r2",),
            ["support: overall: 20 points below the threshold of 50%.", "x"],
            [],
            "bad",
            f"{REFUSED} Release r2 has been live on its one worker for 2 h.",
        ),
        (
            ("r2",),
            [],
            [Stop("tenant", "acme", "ada", "x", "")],
            "bad",
            "Stopped: tenant acme. Release r2 has been live on its one worker for 2 h.",
        ),
    ],
)
def test_the_first_sentence_says_the_worst_first(
    workers: tuple[str, ...], unproven: Sequence[str], stops: list[Stop], kind: str, words: str
) -> None:
    assert page.answer(state(*workers, unproven=unproven), stops, NOW) == (kind, words)


@pytest.mark.parametrize("away", [False, True])
async def test_rehearsals_are_marked_as_the_readiness_review_marks_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, away: bool
) -> None:
    """While Postgres is away, whether a line is from before this installation began is not known, and the page says so."""

    async def began(_: object) -> datetime:
        if away:
            raise OSError
        return NOW - timedelta(days=1)

    monkeypatch.setattr(readiness_sources, "first_live", began)
    unused = (
        "engine",
        "valkey",
        "ledger",
        "policy",
        "workers",
        "releases",
        "keys",
        "provider_keys",
        "rotation_file",
        "own_products",
    )
    parts = dict.fromkeys(unused) | {"secret": b"s", "rehearsals_file": tmp_path / "log.jsonl", "state_dir": tmp_path}
    for log, note, at, secret in (
        ("log.jsonl", "before", NOW - timedelta(days=2), b"s"), ("log.jsonl", "theirs", NOW - timedelta(hours=2), b"x"),
        (FILE, "ours", NOW, b"s"),
    ):  # fmt: skip
        append(tmp_path / log, Rehearsal(at=at, what=ROLLBACK, kept=True, note=note), secret=secret)
    console = cast(Any, SimpleNamespace(parts=SimpleNamespace(**parts), known=LastKnown()))
    found, problem = await page._rehearsed(console)
    assert [one.rehearsal.note for one in found] == ["ours", "theirs", "before"], "newest first"
    assert [one.rehearsal.note for one in found if "that came with the code" in one.mark] == ["theirs"] + ["before"] * (not away)
    assert ("Postgres does not answer" in problem) is away
