"""A broken precondition turns the finding of the readiness review that names it (X1)."""

import ast
import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest

from app.audit.overview import Bucket
from app.budget import exposure
from app.console.readiness import evals, observability, recovery, rollback, runbook, spending
from app.console.readiness import sources as readiness_sources
from app.console.readiness.answers import Answer, Evidence, State
from app.console.readiness.sources import GAMEDAYS, Sources
from app.domain.errors import Misconfigured
from app.releases import eval_history
from app.releases.eval_gate import ModelScore, Score, SuiteResult
from app.releases.eval_history import OVERALL
from app.releases.eval_results import Proof
from app.releases.rehearsals import ROLLBACK, Rehearsal
from app.settings import DEVELOPMENT_SECRET

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _no_stored_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_history, "mended", lambda _: asyncio.sleep(0, []))


def sources(**more: object) -> Sources:
    nothing = cast(Any, SimpleNamespace())
    values: dict[str, Any] = dict.fromkeys(Sources.__dataclass_fields__, nothing)
    return Sources(**values | {"now": NOW, "root": ROOT, "kept": {}, "patience": 1.0} | more)


def named(answer: Answer, name: str) -> Evidence:
    return next(one for one in answer.evidence if one.name == name)


def result(*, simulated: tuple[str, ...] = ()) -> SuiteResult:
    model = ModelScore(prompt="support/answer", model="openai/m", passed=3, total=4, least=0.5)
    scores = {OVERALL: Score(passed=3, total=4, least=0.5)}
    return SuiteResult(suite="support", label="real", simulated=simulated, at=NOW, scores=scores, models=(model,), cases="c")


@pytest.mark.parametrize(
    ("proof", "name", "state", "words"),
    [
        (None, "Live release", "missing", "none"),
        (Proof("b", [result()], ("support is below its threshold",), ()), "Gate", "failing", "below its threshold"),
        (Proof("b", [], (), ()), "Eval runs", "missing", "no suite ran"),
        (Proof("b", [result(simulated=("openai",))], (), ()), "Real models", "gaps", "openai"),
    ],
)
async def test_a_live_release_without_proof_turns_the_finding(proof: Proof | None, name: str, state: State, words: str) -> None:
    releases = SimpleNamespace(live_proof=lambda: asyncio.sleep(0, proof))
    found = named(await evals.answer(sources(releases=releases)), name)
    assert found.state == state
    assert words in found.value


@pytest.mark.parametrize(("products", "gap"), [((), True), (("clauses",), False)])
async def test_a_fork_without_a_product_of_its_own_has_a_gap(products: tuple[str, ...], *, gap: bool) -> None:
    releases = SimpleNamespace(live_proof=lambda: asyncio.sleep(0, Proof("b", [result()], (), ())))
    found = await evals.answer(sources(releases=releases, own_products=products))
    assert [one.state for one in found.evidence if one.name == "Own product"] == (["gaps"] if gap else [])


def test_a_day_without_a_request_is_missing_and_a_simulator_is_a_gap() -> None:
    none = observability._records(cast(Bucket, SimpleNamespace(calls=0)))
    assert (none.state, none.value) == ("missing", "none in the last 24 h")
    some = observability._records(cast(Bucket, SimpleNamespace(calls=2, requests=1, failed=0)))
    assert some.state == "proved"
    simulated = observability._simulated(["openai"])
    assert (simulated.state, "the simulator answered for openai" in simulated.value) == ("gaps", True)


class Broken(Sources):
    """Its log of rehearsals cannot be read."""

    async def newest(self, *_: object, **__: object) -> NoReturn:
        raise Misconfigured("Line 3 is broken.")


async def test_a_log_of_outages_that_cannot_be_read_fails_with_its_words() -> None:
    here = sources()
    broken = Broken(**{name: getattr(here, name) for name in Sources.__dataclass_fields__})
    [found], own = await recovery._rehearsed(broken)
    assert (found.state, found.value, own) == ("failing", "Line 3 is broken.", True)


@pytest.mark.parametrize(
    ("signed", "began", "state", "words"),
    [
        ({}, -1, "proved", "each of 3 results"),
        (
            {"foreign": 1},
            1,
            "gaps",
            "1 of 4 results in the logs of rehearsals came with the code. This service did not sign 1 of 4",
        ),
        ({}, 1, "gaps", "1 of 3 results in the logs of rehearsals came with the code"),
        ({"unsigned": 1}, -1, "gaps", "This service did not sign 1 of 4 results"),
        ({"problems": ["Line 2: the signature is broken."]}, -1, "failing", "the signature is broken"),
    ],
)
async def test_a_signature_that_is_broken_fails_and_one_of_elsewhere_is_a_gap(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, signed: dict[str, object], began: int, state: State, words: str
) -> None:
    """``began``: hours from the one result in the log to this installation's begin: what was before it came with the code."""
    run = Rehearsal(at=NOW, what=ROLLBACK, kept=True, note="10 of 10 steps")
    counted = SimpleNamespace(rehearsal=run, own=True, attempt=None, mark="")
    monkeypatch.setattr(Sources, "newest", lambda *_, **__: asyncio.sleep(0, counted))
    seen = SimpleNamespace(**{"signed": 3, "foreign": 0, "unsigned": 0, "problems": [], **signed})
    monkeypatch.setattr(rollback, "_verified", lambda _: seen)
    monkeypatch.setattr(rollback, "every", lambda *_: [run])
    monkeypatch.setattr(readiness_sources, "first_live", lambda _: asyncio.sleep(0, NOW + timedelta(hours=began)))
    monkeypatch.setattr(rollback, "played", lambda *_: [])
    releases = SimpleNamespace(history=lambda _: asyncio.sleep(0, []))
    found = named(await rollback.answer(sources(releases=releases, state_dir=tmp_path)), "Signed results")
    assert found.state == state
    assert words in found.value
    assert "forgery" not in found.value
    known = sources(releases=releases, state_dir=tmp_path, secret=DEVELOPMENT_SECRET.encode())
    said = named(await rollback.answer(known), "Signed results").value
    assert ("everyone knows" in said) is (state != "failing"), "as `octant rehearse verify` prints"


def test_a_rogue_user_that_was_never_played_is_a_gap(tmp_path: Path) -> None:
    """The tests that the review names run elsewhere: they alone are no proof here."""
    [found] = spending.rogue(sources(state_dir=tmp_path))
    assert (found.state, found.command) == ("gaps", "octant drill gameday rogue-user")
    (tmp_path / GAMEDAYS).parent.mkdir()
    (tmp_path / GAMEDAYS).write_text(json.dumps({"at": NOW.isoformat(), "scenario": "rogue-user", "verdict": "kept"}) + "\n")
    assert [one.state for one in spending.rogue(sources(state_dir=tmp_path))] == ["proved"]


async def test_no_tenant_leaves_the_worst_day_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposure, "highest_own_caps", lambda _: asyncio.sleep(0, {}))
    keys = SimpleNamespace(list_tenants=lambda: asyncio.sleep(0, []))
    found = named(await spending.answer(sources(keys=keys)), "Worst day")
    assert (found.state, "there is no tenant" in found.value) == ("missing", True)


def test_a_machine_without_the_tests_leaves_a_gap(tmp_path: Path) -> None:
    found = spending._files(sources(root=tmp_path), "Proven by", ("tests/gone.py::test_it",))
    assert (found.state, "this machine has no tests" in found.value) == ("gaps", True)


@pytest.mark.parametrize(
    ("differing", "state", "words"), [(0, "proved", "every counter agrees"), (2, "failing", "2 counters differ from the ledger")]
)
async def test_a_counter_that_differs_from_the_ledger_fails(
    monkeypatch: pytest.MonkeyPatch, differing: int, state: State, words: str
) -> None:
    monkeypatch.setattr(spending, "differences", lambda *_: asyncio.sleep(0, [object()] * differing))
    found = await spending._ledger(sources())
    assert found.state == state
    assert words in found.value


async def test_a_ledger_that_is_too_long_to_compare_leaves_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "differences", lambda *_: asyncio.sleep(30, []))
    found = await spending._ledger(replace(sources(), patience=0.01))
    assert (found.state, "too long to compare" in found.value) == ("gaps", True)


def test_pages_without_any_review_are_missing() -> None:
    [found] = runbook._reviewed([], NOW)
    assert (found.state, found.value) == ("missing", "no page has a date of review")


def gaps(folder: Path) -> list[str]:
    """What closes each gap, as the readiness review's modules write it."""
    found = []
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text())
        named = {
            target.id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "closed_by":
                value = named.get(node.value.id, node.value) if isinstance(node.value, ast.Name) else node.value
                found.append(f"{path.name}: {ast.unparse(value)}")
    return found


def test_what_closes_a_gap_is_a_sentence_with_a_command_or_a_page() -> None:
    """A buyer reads it: it names what to run or to read."""
    shown = [one for one in gaps(Path(runbook.__file__).parent) if "closed_by" not in one]
    assert len(shown) > 15
    assert [one for one in shown if "`" not in one and "runbook/" not in one] == []
