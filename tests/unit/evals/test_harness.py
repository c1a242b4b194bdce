"""The harness over real HTTP tells wrong answers from broken ones."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from unit.evals.tiny import TinyCase, TinySuite, case

from app.stack.embedded import free_port
from evals.cases import Case
from evals.client import Service, Unreachable
from evals.harness import CONCURRENCY, LONGEST_ANSWER, MOST_BROKEN, Result, run
from evals.scoring import Finding

SUITE = TinySuite(Path("tiny"))
CASE = case("derby")
GOOD = {"outcome": "answered"}
Answer = Callable[[web.Request], Any]


@asynccontextmanager
async def service(answer: Answer, *, models_status: int = 200) -> AsyncIterator[Service]:
    """A service whose answers are ``answer``'s."""

    async def models(request: web.Request) -> web.Response:
        known = request.headers.get("authorization") == "Bearer key"
        return web.json_response({}, status=models_status if known else 401)

    async def post(request: web.Request) -> web.StreamResponse:
        found = answer(request)
        return await found if asyncio.iscoroutine(found) else found  # type: ignore[no-any-return]

    app = web.Application()
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/tiny", post)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield Service(f"http://127.0.0.1:{port}", "key")
    finally:
        await runner.cleanup()


async def results_of(answer: Answer, cases: tuple[TinyCase, ...] = (CASE,)) -> list[Result]:
    async with service(answer) as there:
        return await run(SUITE, cases, there)


def copies(count: int) -> tuple[TinyCase, ...]:
    return tuple(CASE.model_copy(update={"id": f"copy-{n}"}) for n in range(count))


async def test_an_answer_is_scored_and_its_trail_kept() -> None:
    headers = {"octant-provider": "openai", "octant-model": "gpt-6-luna", "octant-cost-usd": "0.000125", "octant-fallbacks": "1"}
    headers |= {"octant-release": "2026-11-22", "x-request-id": "req_7"}
    (result,) = await results_of(lambda _: web.json_response(GOOD, headers=headers))
    assert result.passed
    trail = result.trail
    assert (trail.provider, trail.model, trail.cost_usd, trail.fallbacks) == ("openai", "gpt-6-luna", 0.000125, 1)
    assert (trail.release, trail.request_id) == ("2026-11-22", "req_7")
    assert trail.seconds > 0


async def test_a_wrong_answer_fails_and_is_not_broken() -> None:
    (result,) = await results_of(lambda _: web.json_response({**GOOD, "outcome": "refused"}))
    assert (result.passed, result.broken) == (False, None)


async def test_an_answer_is_kept_redacted_and_cut() -> None:
    class Spoken(TinySuite):
        text_fields = ("words",)

        def score(self, case: Case, body: object) -> tuple[Finding, ...]:
            return super().score(case, {"outcome": dict(cast(Any, body))["outcome"]})

    body = {**GOOD, "words": f"Write to ada@trailmail.net. {'So. ' * LONGEST_ANSWER}"}
    async with service(lambda _: web.json_response(body)) as there:
        (result,) = await run(Spoken(Path("tiny")), (CASE,), there)
    assert result.passed
    assert re.match(r"Write to <email:\w{8}>\. So\. ", result.answer), result.answer[:60]
    assert len(result.answer) == LONGEST_ANSWER + 1
    (result,) = await results_of(
        lambda _: web.json_response({"error": {"code": "content_refused", "message": "No."}}, status=400)
    )
    assert result.answer == "No."


@pytest.mark.parametrize("code", ["output_invalid", "content_refused"])
async def test_the_products_own_failure_is_a_failed_case(code: str) -> None:
    """R4: no valid output is what the product gave."""
    (result,) = await results_of(lambda _: web.json_response({"error": {"code": code}}, status=502))
    assert (result.broken, [f.scorer for f in result.findings]) == (None, ["service"])


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (web.json_response({"error": {"code": "providers_unavailable"}}, status=503), "HTTP 503 providers_unavailable"),
        (web.json_response({"error": {"code": "budget_exceeded"}}, status=429), "HTTP 429 budget_exceeded"),
        (web.json_response([], status=500), "HTTP 500"),
        (web.Response(text="<html>", status=502), "HTTP 502 without JSON"),
        (web.Response(text="{", status=200), "HTTP 200 without JSON"),
        (web.Response(text="[" * 200_000, status=200), "HTTP 200 without JSON"),
        (web.json_response({"ok": True}), "the body is no answer of tiny"),
        (web.json_response([GOOD]), "the body is no answer of tiny"),
        (web.json_response({**GOOD, "outcome": "maybe"}), "the body is no answer of tiny: outcome"),
        (web.json_response(GOOD, headers={"octant-cost-usd": "much"}), "headers out of form"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_answer_that_cannot_be_judged_is_broken_and_never_passes(response: web.Response, why: str) -> None:
    """E3."""
    (result,) = await results_of(lambda _: response)
    assert not result.passed
    assert result.broken is not None
    assert result.broken.startswith(why)


class Scoring(TinySuite):
    """A suite whose author made a mistake."""

    def __init__(self, findings: Callable[[], Any], measures: object = None) -> None:
        super().__init__(Path("tiny"))
        self._findings, self._measures = findings, {} if measures is None else measures

    def score(self, case: Case, body: object) -> Any:  # noqa: ANN401 - what its author may return
        return self._findings()

    def measures(self, case: Case, body: object, findings: Sequence[Finding]) -> Any:  # noqa: ANN401
        return self._measures


def absent() -> object:
    return dict[str, str]()["facts"]


@pytest.mark.parametrize(
    ("suite", "why"),
    [
        (Scoring(lambda: None), "the scorer returned NoneType, not findings"),
        (Scoring(lambda: False), "the scorer returned bool, not findings"),
        (Scoring(lambda: ""), "the scorer returned str, not findings"),
        (Scoring(lambda: ["is wrong"]), "the scorer returned list, not findings"),
        (Scoring(lambda: (one for one in [CASE])), "the scorer returned generator, not findings"),
        (Scoring(absent), "the scorer failed: KeyError 'facts' (test_harness.py:"),
        (Scoring(lambda: int("x")), "the scorer failed: ValueError"),
        (Scoring(lambda: 1 / 0), "the scorer failed: ZeroDivisionError"),
        (Scoring(tuple, {"private": None}), "the suite's measures are not shares by name"),
        (Scoring(tuple, [1.0]), "the suite's measures are not shares by name"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_a_scorer_that_says_no_findings_passes_nothing(suite: Scoring, why: str) -> None:
    """E3. One without a `return` passed every case, and one that raised ended the run."""
    async with service(lambda _: web.json_response(GOOD)) as there:
        found = await run(suite, copies(2), there)
    assert [(one.passed, (one.broken or "")[: len(why)]) for one in found] == [(False, why)] * 2


async def test_a_finding_is_one_line_that_every_report_and_store_can_hold() -> None:
    said = "says \ud800 \x1b[31m\n## all\u2028is \u202ewell\0"
    async with service(lambda _: web.json_response(GOOD)) as there:
        (result,) = await run(Scoring(lambda: (Finding("facts", said),)), (CASE,), there)
    assert result.findings == (Finding("facts", "says ? [31m ## all is \\u202ewell"),)


async def test_a_connection_that_is_cut_is_broken() -> None:
    """E3."""

    def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    (result,) = await results_of(cut)
    assert result.broken == "ServerDisconnectedError"


async def test_an_address_without_a_service_is_reported_at_once() -> None:
    with pytest.raises(Unreachable, match="no service answers"):
        await run(SUITE, (CASE,), Service(f"http://127.0.0.1:{free_port()}", "key"))


async def test_an_unknown_key_is_reported_at_once() -> None:
    async with service(lambda _: web.json_response(GOOD)) as there:
        with pytest.raises(Unreachable, match="HTTP 401"):
            await run(SUITE, (CASE,), Service(there.url, "another"))


async def test_a_few_cases_run_at_once_and_the_order_is_kept() -> None:
    running, most = 0, 0
    all_places_taken = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == CONCURRENCY:
            all_places_taken.set()
        await asyncio.wait_for(all_places_taken.wait(), 120)
        running -= 1
        return web.json_response(GOOD)

    results = await results_of(answer, copies(3 * CONCURRENCY))
    assert most == CONCURRENCY
    assert [r.case.id for r in results] == [f"copy-{n}" for n in range(3 * CONCURRENCY)]


async def test_after_a_few_broken_cases_the_rest_is_not_sent() -> None:
    """Otherwise a run against a service that hangs would take an hour."""
    requests = 0

    def answer(_: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        return web.json_response({}, status=500)

    results = await results_of(answer, copies(40))
    assert MOST_BROKEN <= requests < MOST_BROKEN + CONCURRENCY
    assert all(result.broken for result in results)
