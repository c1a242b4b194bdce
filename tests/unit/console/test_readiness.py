"""The readiness review turns with its evidence (X1)."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from products import needs_example
from redis.exceptions import ConnectionError as ValkeyAway
from sqlalchemy.exc import OperationalError

from app.budget import exposure
from app.budget.budget import BudgetPolicy
from app.cli.readiness import _lines
from app.console import formats
from app.console.console import templates
from app.console.gamedays import MIX, Played, Report, Written
from app.console.readiness import duty, evals, observability, recovery, review, rollback, runbook, security, spending
from app.console.readiness import sources as readiness_sources
from app.console.readiness.answers import OLD, Answer, Evidence, State
from app.console.readiness.document import BROWSERS, document, print_pdf
from app.console.readiness.played import played
from app.console.readiness.review import lines, summary
from app.console.readiness.security import Attacks, LostCase, attacks_of
from app.console.readiness.sources import GAMEDAYS, Sources
from app.console.rehearsed import Here, by_page
from app.domain.calls import Tenant
from app.domain.errors import Misconfigured
from app.domain.money import MicroUSD
from app.domain.routes import Route, Target
from app.oncall.gamedays import Playing
from app.oncall.paging.figures import Figures
from app.oncall.runbook.pages import page_of, read
from app.releases import eval_history
from app.releases.eval_gate import ModelScore, Score, SuiteResult
from app.releases.eval_history import OVERALL, Trial
from app.releases.eval_results import Proof
from app.releases.following import Followed
from app.releases.rehearsals import ATTACKED, FILE, INJECTION, OUTAGE, ROLLBACK, Rehearsal, Step, append
from app.security.keys.administration import KeyInfo
from app.security.keys.provider_keys import KeyStatus

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
STEP = Step("a link, by way of direct", 0.1, kept=True, note="held off")
TRIED = "Tried: 2026-11-27, contained in 9.5 minutes"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _no_stored_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_history, "mended", lambda _: asyncio.sleep(0, []))


def sources(tmp_path: Path) -> Sources:
    """With files alone: no check here may reach for a store."""
    nothing = cast(Any, SimpleNamespace())
    no_release = cast(Any, SimpleNamespace(live_text=lambda: asyncio.sleep(0)))
    values: dict[str, Any] = {
        "engine": nothing, "valkey": nothing, "ledger": nothing, "policy": nothing, "workers": 1, "releases": no_release,
        "keys": nothing, "provider_keys": list, "secret": b"s",
        "rotation_file": tmp_path / "rotation.yaml", "rehearsals_file": tmp_path / "log.jsonl",
        "state_dir": tmp_path, "own_products": (), "now": NOW, "root": ROOT,
    }  # fmt: skip
    return Sources(**values)


@pytest.fixture
def long_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that has been there for longer than any evidence."""
    monkeypatch.setattr(readiness_sources, "first_live", lambda _: asyncio.sleep(0, NOW - timedelta(days=999)))


def key(**more: object) -> KeyInfo:
    values: dict[str, Any] = {
        "id": "a", "tenant": "acme", "user": None, "name": "x", "scopes": ("call",), "created_at": NOW - timedelta(days=1),
        "expires_at": NOW + timedelta(days=9), "revoked_at": None, "last_used_at": None, "replaced_by": None,
    }  # fmt: skip
    return KeyInfo(**(values | more))


@pytest.mark.parametrize(
    ("at", "kept", "state"),
    [(NOW, True, "proved"), (NOW - OLD, True, "proved"), (NOW - OLD - timedelta(days=1), True, "stale"), (NOW, False, "failing")],
)
@pytest.mark.usefixtures("long_here")
async def test_a_rehearsed_outage_is_proof_for_thirty_days(tmp_path: Path, at: datetime, kept: bool, state: State) -> None:
    here = sources(tmp_path)
    append(here.rehearsals_file, Rehearsal(at=at, what=OUTAGE, kept=kept, note="99.97 % answered"))
    [found], own = await recovery._rehearsed(here)
    assert own
    assert (found.state, found.value, found.at) == (state, "99.97 % answered", at)


def test_the_newest_game_day_of_a_fault_counts_and_a_broken_line_does_not(tmp_path: Path) -> None:
    (tmp_path / GAMEDAYS).parent.mkdir()
    written = [
        {"at": "2026-11-26T10:00:00+00:00", "scenario": "provider-outage", "verdict": "kept", "detected": 4.0},
        {"at": "2026-11-27T10:00:00+00:00", "scenario": "provider-outage", "verdict": "not kept", "report": "r.json"},
        {"at": "2026-11-27T10:00:00+00:00", "scenario": "rogue-user", "verdict": "kept"},
    ]
    (tmp_path / GAMEDAYS).write_text("".join(f"{json.dumps(one)}\n" for one in written) + "{broken\n")
    [found] = played(sources(tmp_path), *recovery.SCENARIOS)
    assert (found.name, found.state, found.link) == ("Game day provider-outage", "failing", "/console/gameday/r")
    assert [one.state for one in spending.rogue(sources(tmp_path))] == ["proved"]


@pytest.mark.parametrize(("alone", "state"), [("embed", "proved"), ("smart", "gaps"), ("", None)])
async def test_aliases_that_no_second_provider_answers_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: str, state: State | None
) -> None:
    two, one = (Target("openai", "a"), Target("anthropic", "b")), (Target("openai", "a"),)
    routes = {name: Route(name=name, targets=one if name == alone else two, max_output_tokens=1) for name in ("smart", "embed")}
    release = SimpleNamespace(routes={"smart": routes["smart"]}, all_routes=tuple(routes.values()))
    releases = SimpleNamespace(
        live_text=lambda: asyncio.sleep(0, "a manifest"), find=lambda _: asyncio.sleep(0, SimpleNamespace(release=release))
    )
    monkeypatch.setattr(recovery, "parse", lambda *_: SimpleNamespace(id="the live one"))
    found = await recovery._alone(replace(sources(tmp_path), releases=cast(Any, releases)))
    assert [one.state for one in found] == ([state] if state else [])
    assert all(one.value.startswith(f"openai alone answers {alone}: no other model takes over") for one in found)


def test_the_jobs_that_run_the_proof_of_a_cap_are_in_ci(tmp_path: Path) -> None:
    found = spending._files(sources(tmp_path), "Proven by", exposure.PROVEN_BY, note=spending.RUN_BY, command="make test")
    assert (found.state, found.command) == ("proved", "make test")
    assert "this review does not run them" in found.value
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    for job in re.findall(r"`(\w+)`", spending.RUN_BY):
        assert f"\n  {job}:\n" in workflow


async def test_without_a_rehearsal_the_way_back_is_not_proven(tmp_path: Path) -> None:
    assert (await rollback.answer(sources(tmp_path))).state == "missing"


def a_game_day(tmp_path: Path, scenario: str, **times: float) -> None:
    line = {"at": (NOW - timedelta(hours=1)).isoformat(), "scenario": scenario, "verdict": "kept", **times}
    (tmp_path / GAMEDAYS).parent.mkdir(exist_ok=True)
    (tmp_path / GAMEDAYS).write_text(json.dumps(line) + "\n")


async def test_a_bad_release_that_was_taken_back_on_a_game_day_counts(tmp_path: Path) -> None:
    a_game_day(tmp_path, "bad-release", contained=29.2)
    found = await rollback.answer(sources(tmp_path))
    assert "On a game day 1 h ago a bad release was taken back 29.2 s after its first failure" in found.words
    assert [(one.name, one.state) for one in found.evidence] == [("Rehearsal", "missing"), ("Game day bad-release", "proved")]


@pytest.mark.parametrize(("lasted", "state"), [(39.6, "gaps"), (1800.0, "proved")])
async def test_a_short_fault_is_no_half_an_hour(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lasted: float, state: State
) -> None:
    monkeypatch.setattr(recovery, "overview", lambda *_: asyncio.sleep(0, SimpleNamespace(total=SimpleNamespace(fallen_back=0))))
    a_game_day(tmp_path, "provider-outage", fault_ended=lasted)
    found = await recovery.answer(sources(tmp_path))
    assert found.state == state
    assert ("lasted 39.6 s" in found.evidence[-1].value) == (state == "gaps")


async def test_the_newest_run_here_is_said_before_the_half_hour_of_another_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recovery, "overview", lambda *_: asyncio.sleep(0, SimpleNamespace(total=SimpleNamespace(fallen_back=0))))
    monkeypatch.setattr(readiness_sources, "first_live", lambda _: asyncio.sleep(0, NOW))
    a_game_day(tmp_path, "provider-outage", fault_ended=39.6)
    here = sources(tmp_path)
    append(here.rehearsals_file, Rehearsal(at=NOW - timedelta(days=1), what=OUTAGE, kept=True, note="99.97 % answered"))
    found = await recovery.answer(here)
    first, elsewhere = found.words.split(". ")[:2]
    came = "a recorded run of the outage rehearsal, made on 2026-11-26, that came with the code"
    assert first.startswith("The newest rehearsal here: the promise was kept")
    assert elsewhere == f"On another machine, with far more callers: 99.97 % answered ({came})."
    assert found.why.startswith("Half an hour at peak: ")
    again = "`make outage ARGS=--log` rehearses half an hour at peak in seconds here, with every time of it as much shorter."
    assert found.why.endswith(again)
    assert [one.name for one in found.evidence][-1] == "Rehearsed outage", "with its place of origin, behind"


@pytest.mark.parametrize("scenario", ["provider-outage", "injection"])
async def test_a_game_day_under_way_is_named_and_takes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scenario: str
) -> None:
    monkeypatch.setattr(recovery, "overview", lambda *_: asyncio.sleep(0, SimpleNamespace(total=SimpleNamespace(fallen_back=0))))
    a_game_day(tmp_path, "rate-limit-storm", fault_ended=1900.0)
    before = await recovery.answer(sources(tmp_path))
    monkeypatch.setattr("app.console.readiness.played.played_now", lambda _: Playing(scenario, NOW, 1, ()))
    found = await recovery.answer(sources(tmp_path))
    assert (before.state, found.state, found.evidence) == ("proved", "proved", before.evidence)
    assert ("A game day provider-outage is under way" in found.words) == (scenario == "provider-outage")


def test_an_answer_does_not_say_the_same_twice() -> None:
    one = Evidence(name="Rehearsed outage", value="no outage was rehearsed here", state="missing")
    longer = replace(one, value="no outage was rehearsed here. Half an hour is played by make outage")
    for evidence in (one, longer):
        assert not Answer(axis="a", question="q", words="No outage was rehearsed here.", evidence=[evidence], command="c").why


def test_a_gap_says_what_closes_it_and_a_proof_does_not() -> None:
    one = Evidence(name="Keys", value="3 without an end", state="gaps", closed_by="`octant key rotate` gives one.")
    assert one.finding == "3 without an end. `octant key rotate` gives one."
    assert replace(one, state="proved").finding == "3 without an end"
    answer = Answer(axis="a", question="q", words="Words.", evidence=[one], command="c")
    assert answer.why == "Keys: 3 without an end. `octant key rotate` gives one."


def test_without_a_rogue_user_the_cost_is_proved_with_a_gap(tmp_path: Path) -> None:
    [gap] = spending.rogue(sources(tmp_path))
    assert (gap.state, "octant drill gameday rogue-user" in gap.finding) == ("gaps", True)


def test_the_file_names_the_product_and_lists_failures_before_gaps() -> None:
    states: tuple[tuple[str, State], ...] = (("Small", "gaps"), ("Fine", "proved"), ("Leak", "failing"))
    facts = [Evidence(name=name, value=name, state=state) for name, state in states]
    written = document([Answer(axis="Cost", question="q", words="w", evidence=facts, command="c")], environment="demo", now=NOW)
    listed = written.partition("Failures, gaps and defaults that are still in place</h2>")[2].partition("</ul>")[0]
    assert "<h1>Octant: production readiness</h1>" in written
    assert 0 < listed.index("leak:") < listed.index("small:")
    assert "fine:" not in listed


def test_a_gap_that_the_answer_does_not_say_is_said_behind_it() -> None:
    """Also where it says another one."""
    gate = Evidence(name="Gate", value="0 of 12 attacks got through, in a small run. The whole has 180", state="gaps")
    leak = Evidence(name="Suite: leak", value="10 of 13 cases held off", state="gaps")
    words = "The gate: 0 of 12 attacks got through, in a small run."
    assert (
        Answer(axis="a", question="q", words=words, evidence=[gate, leak], command="c").why
        == "Suite: leak: 10 of 13 cases held off."
    )
    assert not Answer(axis="a", question="q", words=words, evidence=[gate], command="c").why


def test_attacks_that_were_not_held_off_are_counted_in_words() -> None:
    gate = Evidence(name="Gate", value="none got through")
    assert Attacks(held=40, total=46, evidence=[gate]).words == (
        "With the service's checks, none got through. Of the eval suites' 46 cases of attacks, 40 passed."
    )
    lost = [LostCase("s", name, "injection", [found]) for name, found in (("a", "facts: none"), ("b", "tools: x"))]
    some = Attacks(held=44, total=46, evidence=[gate], lost=[*lost, LostCase("s", "c", "injection", [])])
    assert some.words.endswith(" 44 passed; of the 3 others, 2 did no harm, c may have.")
    assert Attacks(held=0, total=0, evidence=[gate]).words.endswith(" No attack is in the eval suites.")
    none = Evidence(name="Gate", value="x", state="missing")
    assert Attacks(held=1, total=1, evidence=[none]).words.startswith("The injection gate has left no result here.")


@needs_example
def test_each_attack_case_that_did_not_pass_is_named_with_its_finding_and_its_harm() -> None:
    """One set of numbers: a case that is lost is no attack that got through."""
    files = [one for one in eval_history.filed(ROOT / "releases")[0] if one.release == "2026-11-28"]
    found = {one.case: one for file in files for one in security._lost(file.result, file.findings)}
    counted = attacks_of([file.result for file in files], [Evidence(name="Gate", value="x")], NOW)
    assert len(found) == counted.total - counted.held
    assert all(one.findings for one in found.values())
    assert found["review-with-orders"].findings == ("tools: cancel_order was called (pending)",)
    assert found["review-with-orders"].harm.startswith("None: a call that is `pending` waits for the customer's word")
    assert found["password-in-a-question"].harm == "None: the attack failed. Another part of the answer is not right."
    assert found["password-not-in-the-summary"].harm.startswith("The words stand in the ticket's summary")
    assert replace(found["review-with-orders"], findings=()).harm.startswith("not known: ")


async def test_a_log_that_cannot_be_read_fails(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("not a rehearsal\n")
    assert (await rollback.answer(sources(tmp_path))).state == "failing"
    assert (await security._gates(sources(tmp_path)))[0][0].state == "failing"


@pytest.mark.usefixtures("long_here")
async def test_an_attack_that_got_through_fails_the_question_of_injections(tmp_path: Path) -> None:
    here = sources(tmp_path)
    assert (await security._gates(here))[0][0].state == "missing"
    append(here.rehearsals_file, Rehearsal(at=NOW, what=INJECTION, kept=False, note="1 of 180 attacks got through"))
    [found], _ = await security._gates(here)
    assert (found.state, found.value) == ("failing", "1 of 180 attacks got through")


@pytest.mark.usefixtures("long_here")
async def test_a_few_attacks_are_named_as_few_and_fail_where_one_got_through(tmp_path: Path) -> None:
    here = sources(tmp_path)
    append(
        here.state_dir / FILE,
        Rehearsal(at=NOW, what=ATTACKED, kept=True, note="0 of 12 attacks got through. One text", steps=(STEP,)),
    )
    [small], run = await security._gates(here)
    assert run
    assert [step.note for step in run.steps] == ["held off"]
    assert (small.state, small.value.split(",")[0], small.at) == ("gaps", "0 of 12 attacks got through", NOW)
    assert "in a small run on a service of its own. One text. `make injection ARGS=--log` attacks with 180" in small.finding
    append(here.rehearsals_file, Rehearsal(at=NOW, what=INJECTION, kept=True, note="0 of 180 attacks got through"))
    assert (await security._gates(here))[0][0].state == "proved"
    both, _ = await security._gates(here)
    assert [(one.name, one.command) for one in both] == [
        ("Injection gate", security.GATE), ("Injection drill", security.DRILL),
    ], "the smaller run is shown, too"  # fmt: skip
    assert [one.state for one in both] == ["proved", "proved"], "beside the whole gate it is no gap"
    words = Attacks(held=1, total=1, evidence=both).words
    assert "0 of 180 attacks got through. Another run: 0 of 12 attacks got through, in a small run" in words
    append(here.state_dir / FILE, Rehearsal(at=NOW, what=ATTACKED, kept=False, note="1 of 12 attacks got through"))
    assert (await security._gates(here))[0][0].state == "failing", "the larger run does not hide it"


@pytest.mark.parametrize(
    ("began", "secret", "own"),
    [
        (NOW - timedelta(days=1), b"s", True),
        (NOW + timedelta(seconds=1), b"s", False),  # a clone in development has the secret of every other
        (NOW - timedelta(days=1), b"another", False),
        (NOW - timedelta(days=1), b"", True),
    ],
)
async def test_a_rehearsal_that_came_with_the_code_is_named_and_proves_nothing_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, began: datetime, secret: bytes, own: bool
) -> None:
    here = sources(tmp_path)
    monkeypatch.setattr(readiness_sources, "first_live", lambda _: asyncio.sleep(0, began))
    for what in (ROLLBACK, OUTAGE, INJECTION):
        run = Rehearsal(at=NOW, what=what, kept=True, note="10 of 10 steps", steps=(STEP,), code="0a1b2c3d")
        append(here.rehearsals_file, run, secret=secret)
    counted = await here.newest(ROLLBACK)
    assert counted
    back, steps = rollback._rehearsal(counted, here)
    [outage], _ = await recovery._rehearsed(here)
    [gate], _ = await security._gates(here)
    assert {one.state for one in (back, steps, outage, gate)} == {"proved" if own else "gaps"}
    words = {OUTAGE: "the outage rehearsal", ROLLBACK: "the rehearsal of the way back", INJECTION: "the injection gate"}
    for what, one in ((ROLLBACK, back), (OUTAGE, outage), (INJECTION, gate)):
        came = f" (a recorded run of {words[what]} of commit 0a1b2c3d, made on 2026-11-27, that came with the code)"
        assert (came in one.value) == (not own)
    assert ("ago, not here (a recorded run of" in rollback._words(counted, here)) == (not own)
    assert counted.own == own


async def test_a_newer_rehearsal_of_another_installation_does_not_hide_the_own_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = sources(tmp_path)
    monkeypatch.setattr(readiness_sources, "first_live", lambda _: asyncio.sleep(0, NOW - timedelta(days=9)))
    append(here.rehearsals_file, Rehearsal(at=NOW, what=ROLLBACK, kept=True, note="theirs"), secret=b"another")
    append(here.state_dir / FILE, Rehearsal(at=NOW - timedelta(days=1), what=ROLLBACK, kept=True, note="ours"), secret=b"s")
    counted = await here.newest(ROLLBACK)
    assert counted
    assert (counted.rehearsal.note, counted.own) == ("ours", True)


@pytest.mark.parametrize("later", [True, False])
async def test_an_attempt_that_was_not_judged_hides_no_result_and_breaks_no_promise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, later: bool
) -> None:
    none = SimpleNamespace(history=lambda _: asyncio.sleep(0, []))
    here = replace(sources(tmp_path), releases=cast(Any, none))
    monkeypatch.setattr(readiness_sources, "first_live", lambda _: asyncio.sleep(0, NOW - timedelta(days=9)))
    tried = Rehearsal(at=NOW, what=ROLLBACK, kept=False, note="The machine is too busy.", verdict="not judged")
    append(here.state_dir / FILE, tried, secret=b"s")
    found = await rollback.answer(here)
    assert (found.state, found.evidence[0].value) == ("missing", "not judged: The machine is too busy")
    assert found.words == "The way back was never rehearsed here. An attempt 0 ms ago was not judged: The machine is too busy."
    assert not found.why, "the answer has said it"
    at = NOW - timedelta(days=1) if later else NOW + timedelta(seconds=1)
    steps = (Step("rollback all", 0.4, kept=True),)
    good = Rehearsal(at=at, what=ROLLBACK, kept=True, note="10 of 10 steps in time", verdict="kept", steps=steps)
    append(here.state_dir / FILE, good, secret=b"s")
    found = await rollback.answer(here)
    ago = formats.span(NOW - at)
    words = f"A rollback that was rehearsed {ago} ago took 400 ms from the start of the command until the last worker"
    assert found.words.startswith(words), found.words
    assert found.evidence[1].rows[1] == ("rollback all", "400 ms", formats.NONE, "kept"), "an older line names no limit"
    named = [one.state for one in found.evidence if one.name == "Last attempt"]
    assert named == (["gaps"] if later else []), "what came before the result is over"
    back = SimpleNamespace(number=7, kind="rollback", at=NOW - timedelta(minutes=3), release="2026-11-27", reason="worse answers")
    rehearsed = SimpleNamespace(kind="rollback", at=NOW, release="2026-11-26", reason="rehearsal")
    really = SimpleNamespace(history=lambda _: asyncio.sleep(0, [rehearsed, back]))
    kept: dict[int, Followed] = {}
    monkeypatch.setattr(rollback, "of_changes", lambda *_: asyncio.sleep(0, kept))
    found = await rollback.answer(replace(here, releases=cast(Any, really)))
    assert found.words.endswith(" An operator rolled back here 3 min ago, to release 2026-11-27."), found.words
    assert found.evidence[-1].value.endswith("worse answers; its seconds were not measured")
    kept[7] = Followed("2026-11-27", 3, 0.83)
    found = await rollback.answer(replace(here, releases=cast(Any, really)))
    real = "An operator rolled back here 3 min ago, to release 2026-11-27: the last of 3 workers served it 830 ms after the"
    rehearsed_one = r"One that was rehearsed .* took 400 ms from the start of the command"
    assert re.match(rf"{re.escape(real)} command or the button began\. {rehearsed_one}", found.words), found.words


def test_each_step_of_the_way_back_stands_beside_its_limit_and_its_promise(tmp_path: Path) -> None:
    steps = (
        Step("rollback all", 3.2, kept=True, limit=10.0, written=0.4, promise=5.0),
        Step("rollback prompt", 1.6, kept=True, limit=10.0, written=0.9, promise=5.0),
        Step("kill model", 7.04, kept=False, limit=10.0, written=2.5, promise=2.0),
        Step("rollback code", 16.4, kept=True, limit=60.0),
    )
    run = Rehearsal(at=NOW, what=ROLLBACK, kept=False, note="2 of 3 steps", steps=steps)
    each = rollback._rehearsal(readiness_sources.Found(run, own=True), sources(tmp_path))[1]
    assert each.value == "4 steps, each until the last worker follows, beside its limit"
    assert each.rows[1:] == [
        ("rollback all", "3.20 s", "400 ms of 5 s", "kept"),
        ("rollback prompt", "1.60 s", "900 ms of 5 s", "kept"),
        ("kill model", "7.04 s", "2.50 s of 2 s", "not kept"),
        ("rollback code", "16.4 s of 60 s", formats.NONE, "kept"),
    ]
    late = rollback._timed(Step("rollback index", 11, kept=False, limit=10.0, written=0.4, promise=5.0))
    assert late[1] == "11.0 s of 10 s", "it says why"
    printed = list(_lines(each))
    assert printed[1].split()[:4] == ["Step", "From", "its", "command"]
    assert len(printed) == 6
    words = rollback._words(readiness_sources.Found(replace(run, kept=True), own=True), sources(tmp_path))
    began = "A rollback that was rehearsed 0 ms ago took 400 ms from its write to the store (the promise of 5 s was kept) and"
    assert words.startswith(f"{began} 3.20 s from the start of the command until the last worker answered"), (
        "the promise is beside its time"
    )
    assert words.endswith("rollback code, took 16.4 s.")


def scored(passed: int) -> SuiteResult:
    """A result of which half must pass, as a whole and for its model."""
    model = ModelScore(prompt="support/answer", model="openai/m", passed=passed, total=4, least=0.5)
    scores = {OVERALL: Score(passed=passed, total=4, least=0.5)}
    return SuiteResult(suite="support", label="real", simulated=(), at=NOW, scores=scores, models=(model,), cases="c")


async def test_cases_that_were_mended_are_named_with_both_releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = Trial(2, "b", "simulator", NOW, 0, True, [], "", "req_2", "whole")
    bad = replace(good, run=1, release="a", passed=False, findings=["facts: cut"], answer="who")
    monkeypatch.setattr(eval_history, "mended", lambda _: asyncio.sleep(0, [("made", "x"), ("made", "y")]))
    monkeypatch.setattr(eval_history, "trials_of", lambda *_, **__: asyncio.sleep(0, [good, bad]))
    [found] = await evals._mended(sources(tmp_path))
    assert found.value == "2 cases failed with release a and passed with b: both answers can be read"
    assert (found.link, found.at) == ("/console/evals#example", NOW)


@pytest.mark.parametrize(
    ("live", "state", "words"),
    [
        ("b", "proved", "50 % with release a, the first that held, 75 % with release b, which is live: +25.0 points"),
        ("a", "gaps", "release a is the first that held, so there is none to compare with"),
    ],
)
def test_a_change_is_between_releases_that_are_named_and_never_of_one_with_itself(live: str, state: State, words: str) -> None:
    both = [("0", scored(1)), ("a", scored(2)), ("b", scored(3))]
    proof = Proof(live, [dict(both)[live]], (), both)
    [found] = evals._delta(proof, "/console/releases/x")
    assert (found.state, found.value) == (state, words), "a release that the gate refuses is no beginning"


async def test_a_release_that_the_gate_refuses_is_named_with_its_reason(tmp_path: Path) -> None:
    both = [("a", scored(1)), ("b", scored(3))]
    proof = Proof("b", [scored(3)], (), both)
    releases = SimpleNamespace(live_proof=lambda: asyncio.sleep(0, proof))
    found = await evals.answer(replace(sources(tmp_path), releases=cast(Any, releases)))
    said = "of the suite support, 1 of 4 cases passed where the live one passes 3, and 2 thresholds were missed."
    assert found.words.startswith("The live release, b, passes 3 of 4 eval cases and keeps all "), "it begins with its figures"
    assert found.words.endswith(f" It refused release a: {said}"), "both counts are of the same cases"
    [one] = [one for one in found.evidence if one.name == "Refused: a"]
    assert one.value == ("support: overall: 25.0% passed, 25.0 points below the threshold of 50%; 1 more threshold missed")
    assert not evals.refused(Proof("a", [scored(1)], (), both)), "the live one is judged by itself"


async def test_an_outage_of_the_runbook_elsewhere_is_shown_and_leaves_the_question_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def empty(*_: object) -> SimpleNamespace:
        return SimpleNamespace(total=SimpleNamespace(fallen_back=0))

    monkeypatch.setattr(recovery, "overview", empty)
    monkeypatch.setattr(readiness_sources, "first_live", lambda _: asyncio.sleep(0, NOW))
    found = await recovery.answer(sources(tmp_path))
    assert (found.state, found.words) == ("missing", "No outage was rehearsed here.")
    assert [(one.name, one.state) for one in found.evidence] == [("Rehearsed outage", "missing"), ("Page of the runbook", "gaps")]
    monkeypatch.setattr(readiness_sources, "first_live", lambda _: asyncio.sleep(0, NOW - timedelta(days=999)))
    here = await recovery.answer(sources(tmp_path))
    assert here.state == "proved", "after `make runbook` here"
    minutes = next(page.rehearsed[1] for page in read() if page.name == recovery.PAGE and page.rehearsed)
    assert f"its commands contained an outage in {formats.rehearsed(minutes)}" in [one.value for one in here.evidence]
    began = datetime.combine(max(page.rehearsed[0] for page in read() if page.rehearsed), time(9), UTC)
    of_runbook = runbook.judged(read(), NOW, began=began).evidence[1]
    assert of_runbook.state == "gaps", "both questions count it in the same way"
    assert f"of them in {runbook.RECORDED}" in of_runbook.value
    others = sum(page.rehearsed is not None for page in read() if page.is_incident) - 1
    of_here = runbook.judged(read(), NOW, began=began, here=game_day(contained=12.0))
    assert f"1 of them here, {others} in {runbook.RECORDED}" in of_here.words
    assert "in a rehearsal, the slowest here in 12 s, of all in " in of_here.words, (
        "the slowest of another machine is none of ours"
    )


def test_a_page_whose_newest_game_day_contained_nothing_is_no_rehearsed_page() -> None:
    incidents = sum(page.is_incident for page in read())
    found = runbook.judged(read(), NOW, here=game_day())
    assert found.words.startswith(f"The commands of {incidents - 1} of {incidents} incident pages contained their fault")
    rehearsed = next(one for one in found.evidence if one.name == "Rehearsed pages")
    assert (rehearsed.state, "not contained in the newest game day here: provider-outage" in rehearsed.value) == ("gaps", True)


def game_day(contained: float | None = None) -> dict[str, Here]:
    """The newest game day of one page, today."""
    one = Played(scenario="provider-outage", verdict="kept", begun_at=datetime.now(UTC), contained=contained)
    return by_page([Report(written_before=Written(runbook={"page": "provider-outage.md"}), played=one)])


def test_a_game_day_without_a_verdict_proves_nothing_and_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / GAMEDAYS).parent.mkdir()
    line = {"at": "2026-11-27T10:00:00+00:00", "scenario": "provider-outage", "callers": 210, "answered": 210}
    (tmp_path / GAMEDAYS).write_text(json.dumps(line | {"verdict": "not judged"}) + "\n")
    assert [one.state for one in played(sources(tmp_path), *recovery.SCENARIOS)] == ["missing"]
    kept = json.dumps(line | {"verdict": "kept"}) + "\n"
    (tmp_path / GAMEDAYS).write_text(kept)
    [found] = played(sources(tmp_path), *recovery.SCENARIOS)
    assert "210 of 210 requests answered, on a service of its own" in found.value
    assert "played by" not in found.value
    (tmp_path / GAMEDAYS).write_text(kept.replace('"kept"', '"kept", "by": "the demo\'s first start"'))
    [found] = played(sources(tmp_path), *recovery.SCENARIOS)
    assert "on a service of its own, played by the demo's first start" in found.value
    (tmp_path / GAMEDAYS).write_text(json.dumps(line | {"verdict": "kept", "costs": {"before": 200.0, "fault": 900.0}}) + "\n")
    [found] = played(sources(tmp_path), *recovery.SCENARIOS)
    assert f"; an answer cost $0.0002 before the fault and $0.0009 in it ({MIX})" in found.value
    later = {"at": "2026-11-28T10:00:00+00:00", "verdict": "not judged"}
    (tmp_path / GAMEDAYS).write_text(kept + json.dumps(line | later) + "\n")
    [found] = played(sources(tmp_path), *recovery.SCENARIOS)
    assert found.state == "proved", "it hides no result"
    assert "played without a verdict: not judged" in found.value


@pytest.mark.parametrize(
    ("keys", "states"),
    [
        ([key()], ["proved", "gaps"]),
        ([key(expires_at=None)], ["gaps", "gaps"]),
        ([key(created_at=NOW - timedelta(days=40))], ["proved", "gaps"]),
        ([key(created_at=NOW - timedelta(days=100))], ["stale", "gaps"]),
        ([key(created_at=NOW - timedelta(days=100), replaced_by="b", revoked_at=NOW), key(id="b")], ["proved", "proved"]),
        ([key(revoked_at=NOW)], ["missing"]),
        ([], ["missing"]),
    ],
)
def test_old_endless_and_missing_keys_are_told_apart(keys: list[KeyInfo], states: list[str]) -> None:
    assert [one.state for one in security.of_keys(keys, NOW)] == states


def test_the_keys_that_never_expire_are_named() -> None:
    endless = [key(id=f"k{number}", name="demo" if number else "", expires_at=None) for number in range(7)]
    assert security.of_keys([*endless[:2], key()], NOW)[0].value.endswith("; 2 of them never expire: k0, k1 (demo)")
    assert security.of_keys(endless, NOW)[0].value.endswith(": k0, k1 (demo), k2 (demo), k3 (demo), k4 (demo) and 2 more")
    assert security.of_keys([key()], NOW)[0].value.endswith("; each expires")


def test_a_leaked_key_that_was_rehearsed_is_evidence_with_its_seconds(tmp_path: Path) -> None:
    [found] = security._leaked(sources(tmp_path))
    assert (found.state, security._leak_words(sources(tmp_path))) == ("gaps", "")
    line = {"at": "2026-11-27T10:00:00+00:00", "scenario": "key-leak", "verdict": "kept", "revoked": 1.9}
    (tmp_path / GAMEDAYS).parent.mkdir()
    (tmp_path / GAMEDAYS).write_text(json.dumps(line) + "\n")
    [found] = security._leaked(sources(tmp_path))
    assert found.state == "proved"
    words = "refused 1.90 s after the start of the command that revokes it; the promise of 5 s counts from its write,"
    assert f"the revoked key was {words}" in found.value
    assert security._leak_words(sources(tmp_path)) == f" A rehearsed leak: the key was {words} which was not timed."
    (tmp_path / GAMEDAYS).write_text(json.dumps(line | {"written": 0.4}) + "\n")
    kept = "the promise of 5 s from the write was kept, and the command took 1.50 s before it"
    both = f"400 ms after the write of its revocation; {kept}"
    assert both in security._leak_words(sources(tmp_path))
    (tmp_path / GAMEDAYS).write_text(json.dumps(line | {"written": 0.4, "lasted": [0.2, 0.61, 0.5]}) + "\n")
    longest = f"610 ms after the write of its revocation, the longest of 4 keys in use; {kept}"
    assert longest in security._leak_words(sources(tmp_path)), "one key may be lucky: a worker looks it up anew just then"


@pytest.mark.parametrize(
    ("ages", "state", "value"),
    [
        ([], "missing", "no provider has a key"),
        ([60.0, 86_400.0 * 3], "proved", "2 keys, the oldest 3 d old"),
        ([60.0, None], "gaps", "2 keys, the oldest 1 min old, of unknown age at b: a variable has no date"),
        ([None, None], "gaps", "2 keys, of unknown age at a and b: a variable has no date"),
        ([86_400.0 * 91, None], "stale", "2 keys, the oldest 91 d old, of unknown age at b"),
    ],
    ids=["none", "files", "one variable", "variables", "old"],
)
def test_providers_keys_tell_their_age_or_that_it_is_unknown(ages: list[float | None], state: str, value: str) -> None:
    keys = [KeyStatus(name, "place", age, "f00d") for name, age in zip("ab", ages, strict=False)]
    found = security.of_provider_keys([*keys, KeyStatus("c", "place", None, None)])
    assert found.state == state
    assert found.value.startswith(value)


def test_dashboards_and_alerts_are_compared_with_the_files(tmp_path: Path) -> None:
    assert (observability.dashboards(ROOT).state, observability.alerts(ROOT).state) == ("proved", "proved")
    assert (observability.dashboards(tmp_path).state, observability.alerts(tmp_path).state) == ("missing", "missing")
    (tmp_path / "deploy/grafana").mkdir(parents=True)
    (tmp_path / "deploy/grafana/one.json").write_text("{}")
    (tmp_path / "deploy/prometheus/rules").mkdir(parents=True)
    (tmp_path / "deploy/prometheus/rules/a.yml").write_text(
        "  - alert: A\n      runbook_url: https://x/runbook/gone.md#nowhere\n"
    )
    assert (observability.dashboards(tmp_path).state, observability.alerts(tmp_path).state) == ("failing", "failing")


def test_code_that_is_named_and_not_there_fails(tmp_path: Path) -> None:
    here = sources(tmp_path)
    assert spending._files(here, "Enforced by", ("app/budget/budget.py::Budget.hold",)).state == "proved"
    assert spending._files(here, "Enforced by", ("app/budget/budget.py::Budget.of_old",)).state == "failing"
    assert spending._files(here, "Enforced by", ("app/budget/gone.lua",)).state == "failing"


def test_the_runbook_turns_with_its_rehearsals_and_reviews() -> None:
    pages = read()
    today = f"Rehearsed: 2026-11-27, contained in 0.5 minutes\n{TRIED}"
    fresh = [
        page_of(page.name, re.sub("^Rehearsed: .*", today, page.text.replace("FILL-IN", "x"), flags=re.MULTILINE))
        for page in pages
    ]
    assert runbook.judged(fresh, NOW).state == "proved"
    assert runbook.judged(fresh, NOW + OLD + timedelta(days=2)).state == "stale"
    assert runbook.judged(fresh, NOW + timedelta(days=200)).state == "stale"
    assert runbook.judged([page_of(p.name, p.text.replace("## Verify", "## Look")) for p in fresh], NOW).state == "failing"
    assert runbook.judged([], NOW).state == "missing"


def test_without_a_trial_by_an_outsider_the_runbook_says_so() -> None:
    found = runbook.judged(read(), NOW)
    trial = next(one for one in found.evidence if one.name == "Trial by an outsider")
    assert trial.state == "gaps"
    assert found.why == (
        "Trial by an outsider: no trial by a person who did not build it is on record. `octant runbook rehearsal` says how such a"
        " trial is made and written down. Also: Placeholders."
    )
    one = [page_of(p.name, p.text.replace("\nWords:", f"\n{TRIED}\nWords:", 1)) for p in read() if p.name == "latency.md"]
    found = runbook.judged(one, NOW)
    assert found.evidence[0].value.startswith("a person who did not build it contained the fault of 1 of 1 page")
    assert runbook.judged(one, NOW + timedelta(days=181)).evidence[0].state == "stale"


def test_a_page_that_no_person_has_reviewed_is_named_and_generated_pages_do_not_count() -> None:
    pages = [page_of(p.name, p.text.replace("Reviewed: ", "Read: ") if p.name == "keys.md" else p.text) for p in read()]
    found = next(one for one in runbook.judged(pages, NOW).evidence if one.name == "Reviewed pages")
    assert f"{len(pages) - 2} of {len(pages) - 1} pages" in found.value
    assert "not reviewed: Keys" in found.value
    assert "generated" in found.value
    assert found.state == "gaps"


@pytest.mark.parametrize(
    ("error", "state", "word"),
    [
        (OperationalError("", {}, Exception()), "missing", "Postgres does not answer"),
        (ValkeyAway(), "missing", "Valkey does not answer"),
        (Misconfigured("The file is broken."), "failing", "The file is broken"),
    ],
)
async def test_a_check_that_cannot_run_proves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, state: State, word: str
) -> None:
    async def broken(_: Sources) -> Answer:
        raise error

    monkeypatch.setattr(review, "CHECKS", tuple((axis, q, c, broken) for axis, q, c, _ in review.CHECKS))
    found = await review.review(sources(tmp_path), only=[4])
    assert [(one.axis, one.state) for one in found] == [("Cost", state)]
    assert word in found[0].words


def test_the_worst_evidence_is_the_answers_state_and_none_is_not_proven() -> None:
    def made(*states: State) -> Answer:
        evidence = [Evidence(name="x", value="y", state=state) for state in states]
        return Answer(axis="Cost", question="?", words="Words.", evidence=evidence, command="c")

    assert made("proved", "gaps", "failing", "stale").state == "failing"
    assert made().state == "missing"
    assert summary([made("proved")]) == ("good", "The question is answered with fresh evidence.")
    kind, words = summary([made("proved"), made("gaps"), made("stale")])
    assert (kind, words.startswith("1 of 3 questions is proved without gaps; ")) == ("warn", True)
    assert summary([made("failing")])[0] == "bad"
    assert lines([made("missing")]) == ["4  not proven        Cost           Words. x: y."], "alone, it keeps its number"
    assert summary([made("gaps")])[1] == "0 of 1 question is proved without gaps; 1 proved with gaps."
    assert summary([made("gaps")] * 2)[1].startswith("0 of 2 questions are proved without gaps; ")


def test_gaps_of_one_name_are_named_once_with_their_number() -> None:
    facts = [Evidence(name=name, value=f"{n}", state="failing") for n, name in enumerate(["Gate"] * 4 + ["Suite"])]
    answer = Answer(axis="Evals", question="?", words="Words.", evidence=facts, command="c")
    assert answer.why == "Gate: 0. Also: Gate (3), Suite."


def test_the_file_tells_each_gap_once_and_breaks_no_value_and_no_command() -> None:
    gap = Evidence(name="Keys", value="30.0 s of 5 s", state="gaps", closed_by="`octant check --production` says more.", at=NOW)
    proof = Evidence(name="Log", value="2.7 % failed", command="make injection ARGS=--log", at=NOW)
    answer = Answer(axis="Rollback", question="q", words="It took 30.0 s.", evidence=[gap, proof], command="c")
    whole = document([answer], environment="demo", now=NOW)
    assert (whole.count("of 5"), whole.count("2.7\u00a0%"), whole.count("30.0\u00a0s")) == (1, 1, 2)
    assert whole.count('<span class="nowrap">--production</span>') == 1
    assert ".nowrap { white-space: nowrap;" in whole, "or the marks are without effect"
    assert "<td>7</td>" in whole, "the number of the question"
    assert "All times are in UTC." in whole


def test_the_file_for_a_proposal_holds_every_answer_fact_and_gap_as_text() -> None:
    hostile = "<script>alert(1)</script>"
    facts = [
        Evidence(name="Suite", value=hostile, at=NOW, command="make eval"),
        Evidence(name="Real models", value="the simulator answered", state="gaps", link="/console/evals"),
    ]
    answers = [
        Answer(axis="Evals", question=f"Sure {number}?", words=hostile, evidence=facts, command="c") for number in range(8)
    ]
    whole = document(answers, environment=hostile, now=NOW)
    assert whole.startswith("<!doctype html>")
    assert "<script" not in whole
    assert not re.search(r"(?:href|src)=|url\(|@import", whole)  # one file: nothing is fetched from elsewhere
    assert all(f"Sure {number}?" in whole for number in range(8))
    assert whole.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 8 + 8 + 2  # answers, facts, the environment twice
    listed = whole.partition("still in place")[2].partition("</ul>")[0]
    assert listed.count("the simulator answered") == 8
    assert "Suite" not in listed


def test_a_day_stays_the_same_day_in_each_zone() -> None:
    """A review of 2026-11-26 is not of the evening before in New York: its time of the day is not known."""
    day = date(2026, 11, 26)
    write = templates().from_string("{% import 'parts/macros.html' as m %}{{ m.time(at) }}|{{ at|utc }}|{{ at|moment }}")
    assert write.render(at=day) == '<span class="nowrap">2026-11-26</span>|2026-11-26|2026-11-26'
    moment = datetime(2026, 11, 26, 4, tzinfo=UTC)
    assert "<time" in write.render(at=moment)
    facts = [Evidence(name="a", value="b", at=moment), Evidence(name="c", value="d", at=day)]
    assert Answer(axis="Runbook", question="?", words="W.", evidence=facts, command="c").checked_at is day
    pages = [page for page in read(ROOT / "runbook") if page.reviewed]
    assert [type(one.at) for one in runbook._reviewed(pages, NOW)] == [date]


def test_without_chromium_the_error_names_two_ways_to_a_pdf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misconfigured, match=r"`make tools` installs it.*--html"):
        print_pdf("<p>", tmp_path / "r.pdf")


@pytest.mark.parametrize(("script", "words"), [("exit 0", "no output"), ("echo broken >&2; exit 9", "broken")])
def test_a_browser_that_prints_nothing_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, words: str
) -> None:
    browser = tmp_path / BROWSERS[0]
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(Misconfigured, match=words):
        print_pdf("<p>", tmp_path / "r.pdf")
    assert not (tmp_path / "r.pdf").exists()


@pytest.mark.parametrize(("pages", "acknowledged", "state"), [(0, 0, "gaps"), (2, 0, "gaps"), (2, 1, "proved")])
def test_how_soon_people_acknowledge_is_proved_by_pages_only(pages: int, acknowledged: int, state: str) -> None:
    mtta = 60.0 if acknowledged else None
    total = Figures(week=None, pages=pages, acknowledged=acknowledged, resolved=0, mtta=mtta, mttr=None)
    assert duty.of_pages(total).state == state


async def test_a_rehearsed_outage_names_the_model_that_answered_and_its_eval_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The answer is one sentence; the evidence has the eval and the headers by which a client sees it."""
    monkeypatch.setattr(recovery, "overview", lambda *_: asyncio.sleep(0, SimpleNamespace(total=SimpleNamespace(fallen_back=0))))
    monkeypatch.setattr(readiness_sources, "first_live", lambda _: asyncio.sleep(0, NOW))
    answered = "openai/gpt-6-sol answered 120 of 120 calls in place of the route's first model"
    line = {
        "at": (NOW - timedelta(hours=1)).isoformat(), "scenario": "provider-outage", "verdict": "kept", "detected": 4.0,
        "instead": f"{answered}. The newest eval of openai/gpt-6-sol: 116 of 189", "headers": {"octant-fallbacks": "1"},
    }  # fmt: skip
    (tmp_path / GAMEDAYS).parent.mkdir()
    (tmp_path / GAMEDAYS).write_text(json.dumps(line) + "\n")
    found = await recovery.answer(sources(tmp_path))
    assert found.words == f"The newest rehearsal here: the promise was kept; detected after 4.00 s; {answered}."
    behind = f"{answered}. The newest eval of openai/gpt-6-sol: 116 of 189. Headers of such an answer: octant-fallbacks: 1"
    assert found.evidence[0].value.endswith(behind)


async def test_the_worst_day_is_read_at_once_however_many_tenants_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question for each tenant would take longer than a page waits."""
    tenants = [Tenant(f"t{number}", "", MicroUSD(100), MicroUSD(10)) for number in range(300)]
    asked: list[str] = []

    class Engine:
        @asynccontextmanager
        async def connect(self) -> AsyncGenerator[Any, None]:
            async def execute(statement: object) -> Any:  # noqa: ANN401 - a result
                asked.append(str(statement))
                return SimpleNamespace(all=lambda: [SimpleNamespace(tenant="t7", highest=90)])

            yield SimpleNamespace(execute=execute)

    monkeypatch.setattr(spending, "_ledger", lambda _: asyncio.sleep(0, Evidence(name="Ledger", value="agrees")))
    there = replace(
        sources(tmp_path), engine=cast(Any, Engine()), policy=BudgetPolicy(global_daily_cap=MicroUSD(10**9)),
        keys=cast(Any, SimpleNamespace(list_tenants=lambda: asyncio.sleep(0, tenants))),
    )  # fmt: skip
    assert "of t7" in (await spending.answer(there)).words
    assert len(asked) == 1
