"""Chaos cases: one fault for one request, with a stated end (E7)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError
from unit.evals.tiny import THRESHOLDS, TinyCase, TinySuite, case, fields, result, suite

from app.stack.embedded import free_port
from evals.baseline import Baseline, Pinned, PinnedRun, accept, beside, pinned_shares
from evals.cases import InvalidSuite, load_cases
from evals.chaos import MODE
from evals.client import Service, Unreachable
from evals.evaluation import whole
from evals.gate import BELOW, PASS, Limits, Threshold, judge, shares
from evals.harness import Plan, Result, run
from evals.options import Source
from evals.runs import Head, read, writer
from evals.session import why_unbroken

SUITE = TinySuite(Path("tiny"))
TODAY = date(2026, 11, 24)
MODELS = {"tiny": ("anthropic/first", "openai/second")}
FIRST = {"fault": {"kind": "hang"}, "strikes": "first", "fallback": True}
ALL = {"fault": {"kind": "status", "status": 503}, "strikes": "all", "status": 503, "code": "providers_unavailable"}


def chaotic(name: str, chaos: dict[str, Any], **changes: Any) -> TinyCase:  # noqa: ANN401 - any field
    return TinyCase.model_validate({**fields(name, MODE), "chaos": chaos, **changes})


class Environment:
    """A service and its simulator; ``seen`` lists the requests that reached them, in order."""

    def __init__(self, status: int = 200, body: object = None, fallbacks: int = 0) -> None:
        self.seen: list[Any] = []
        self._answer = status, body or {"outcome": "answered"}, {"octant-fallbacks": str(fallbacks)}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/tiny", self._ask)
        app.router.add_route("*", "/faults", self._faults)
        runner, port = web.AppRunner(app), free_port()
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield Service(f"http://127.0.0.1:{port}", "key", control=f"http://127.0.0.1:{port}")
        finally:
            await runner.cleanup()

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _ask(self, request: web.Request) -> web.Response:
        self.seen.append("request")
        status, body, headers = self._answer
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(body, status=status or 200, headers=headers)

    async def _faults(self, request: web.Request) -> web.Response:
        self.seen.append(await request.json() if request.method == "PUT" else "cleared")
        assert "authorization" not in request.headers
        return web.json_response({})


async def results_of(environment: Environment, *cases: TinyCase) -> list[Result]:
    async with environment.running() as there:
        return await run(SUITE, cases, there, plan=Plan(models=MODELS))


async def test_a_fault_strikes_the_models_of_its_case_for_one_request_at_a_time() -> None:
    environment = Environment(fallbacks=1)
    first, other = await results_of(environment, chaotic("one", FIRST), chaotic("two", {**FIRST, "strikes": "all"}))
    assert first.passed
    assert other.passed
    hang = {"kind": "hang", "provider": "anthropic", "model": "first"}
    both = [hang, {"kind": "hang", "provider": "openai", "model": "second"}]
    assert environment.seen == [[hang], "request", "cleared", both, "request", "cleared"]


async def test_a_fault_is_removed_after_a_request_that_broke() -> None:
    environment = Environment(status=0)
    (broken,) = await results_of(environment, chaotic("one", FIRST))
    assert (broken.broken, environment.seen[-1]) == ("ServerDisconnectedError", "cleared")


@pytest.mark.parametrize(
    ("environment", "chaos", "finding"),
    [
        (Environment(), FIRST, "chaos: no fallback answered"),
        (Environment(fallbacks=1), {**FIRST, "fallback": False}, "chaos: a fallback answered"),
        (Environment(), ALL, "chaos: HTTP 200, not HTTP 503 providers_unavailable"),
        (
            Environment(503, {"error": {"code": "providers_unavailable"}}),
            FIRST,
            "chaos: HTTP 503 providers_unavailable, not HTTP 200",
        ),
        (Environment(503, {"error": {"code": "internal"}}), ALL, "chaos: HTTP 503 internal, not HTTP 503 providers_unavailable"),
        (Environment(body={"outcome": "refused"}, fallbacks=1), FIRST, "outcome: is refused"),
    ],
    ids=["no fallback", "fallback", "a guess", "an error", "another error", "a wrong answer"],
)
async def test_another_end_than_the_stated_one_fails(environment: Environment, chaos: dict[str, Any], finding: str) -> None:
    """A wrong answer of the fallback fails like one of the first model."""
    (failed,) = await results_of(environment, chaotic("one", chaos))
    assert (failed.broken, [str(found) for found in failed.findings]) == (None, [finding])


async def test_a_stated_error_passes_without_an_answer_to_score() -> None:
    environment = Environment(503, {"error": {"code": "providers_unavailable"}})
    (passed,) = await results_of(environment, chaotic("one", ALL, expect={}))
    assert passed.passed
    assert passed.measures == {}


async def test_without_a_simulator_a_chaos_case_is_no_result() -> None:
    """E3: a fault that was not injected proves nothing."""
    async with Environment().running() as there:
        with pytest.raises(Unreachable, match="the simulator cannot be reached"):
            await run(SUITE, [chaotic("one", FIRST)], Service(there.url, there.key), plan=Plan(models=MODELS))


def test_chaos_cases_count_in_no_share_of_answers_and_each_of_them_must_pass() -> None:
    """E2: an outage that ends well makes no answer better."""
    answers = [case(f"c{n}") for n in range(4)]
    faults = [chaotic(f"f{n}", FIRST) for n in range(4)]
    bar = Threshold(least=1.0, goal=1.0, metric="Availability during an outage.")
    limits = Limits(usd_per_case=0.01, p95_seconds=1.0, metric="Cost and patience, for instance.")
    thresholds = THRESHOLDS.model_copy(update={"modes": {**THRESHOLDS.modes, MODE: bar}, "limits": limits})
    half = [result(one, passed=n < 2) for n, one in enumerate(answers)]
    dear = [Result(one, (), None, result(one).trail, 0, {"private": 0.0}) for one in faults]
    verdict = judge([*answers, *faults], [*half, *dear], thresholds)
    assert (verdict.code, verdict.overall.passed, verdict.overall.total) == (PASS, 2, 4)
    assert (verdict.modes[MODE].total, verdict.measures["private"].share) == (4, 1.0)
    one_failed = [*half, *dear[1:], result(faults[0], passed=False)]
    failed = judge([*answers, *faults], one_failed, thresholds)
    assert failed.code == BELOW
    assert failed.reasons[0].startswith("provider_fault: 75.0% passed, at least 100% must.")


def test_a_chaos_case_that_flipped_is_named_and_in_no_test_of_significance() -> None:
    """E5: their threshold holds each of them; the chance of a false alarm stays that of the answers."""
    cases = [*(case(f"c{n}") for n in range(3)), *(chaotic(f"f{n}", FIRST) for n in range(8))]
    pins = {one.id: Pinned(digest=one.digest, passed=1, trials=1) for one in cases}
    before = PinnedRun.model_validate({"accepted": "2026-11-24", "release": "r1", "cases": pins})
    after = [result(one, passed=one.chaos is None) for one in cases]
    compared = beside(pinned_shares(before), shares(after))
    assert (len(compared.lost), compared.overall.cases, list(compared.modes)) == (8, 3, ["wrong_tool"])
    assert compared.overall.verdict == "not shown worse"


@pytest.mark.parametrize("wrong", [case("c", MODE), chaotic("f", FIRST, failure_mode="wrong_tool")], ids=["calm", "chaotic"])
def test_cases_with_a_fault_and_no_others_have_its_failure_mode(tmp_path: Path, wrong: TinyCase) -> None:
    with pytest.raises(InvalidSuite, match="belong to provider_fault"):
        whole(suite(tmp_path / "tiny", [wrong]))


def test_a_chaos_case_expects_an_answer_or_states_an_error(tmp_path: Path) -> None:
    """E3: a case that could not fail is none."""
    folder = tmp_path / MODE
    folder.mkdir()
    chaos = [chaotic("one", FIRST, expect={}).model_dump(mode="json", exclude_unset=True)]
    (folder / "cases.yaml").write_text(json.dumps(chaos))
    with pytest.raises(InvalidSuite, match="one: expects nothing"):
        load_cases(tmp_path, (TinyCase,))
    with pytest.raises(ValidationError):
        chaotic("one", {**FIRST, "strikes": "second"})


def test_a_run_of_real_models_is_pinned_without_chaos_cases(tmp_path: Path) -> None:
    """No fault can be injected into real models; none of the other cases may be missing."""
    cases = [case("c0"), chaotic("f0", FIRST), chaotic("f1", FIRST)]
    keep = writer(tmp_path / "run.jsonl", Head(label="a model"), "tiny")
    keep(result(cases[0]))
    pinned = accept(Baseline(cases={}), cases, read(tmp_path / "run.jsonl"), TODAY)
    assert (list(pinned.runs["a model"].cases), pinned.cases[MODE]) == (["c0"], ("f0", "f1"))
    keep(result(cases[1]))
    with pytest.raises(InvalidSuite, match="f1: not run"):
        accept(Baseline(cases={}), cases, read(tmp_path / "run.jsonl"), TODAY)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (Source(base_url="http://127.0.0.1:9", label="x"), "not started for the run"),
        (Source(replay=Path("r.jsonl")), "recording"),
        (Source(position=1), "cut down"),
        (Source(provider="openai"), "cut down"),
    ],
)
def test_a_report_says_why_chaos_cases_were_not_run(source: Source, why: str) -> None:
    assert why in why_unbroken(source)


def test_real_models_have_no_faults_to_inject(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # a developer's .env is in the working directory
    for vendor in ("OPENAI", "ANTHROPIC"):
        monkeypatch.delenv(f"{vendor}_API_KEY", raising=False)
        monkeypatch.delenv(f"OCTANT_{vendor}__BASE_URL", raising=False)
        monkeypatch.delenv(f"OCTANT_{vendor}__API_KEY", raising=False)
    assert why_unbroken(Source()) == ""
    monkeypatch.setenv("OCTANT_OPENAI__API_KEY", "a real one")
    assert why_unbroken(Source()) == "real models answer for openai"
