"""The model that answered while a fault lasted: its evals as they are stored, and the headers by which a client sees it (X2)."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from manifests import prove, write
from unit.console.test_gamedays import SCENARIO
from unit.evals.test_proving import PROMPT

from app.console.gamedays import Result
from app.releases.manifest import parse
from app.stack.gameday import report
from app.stack.gameday.instead import answered_instead, newest_eval
from app.stack.gameday.play import Outcome
from app.stack.gameday.scenario import Traffic
from app.stack.gameday.traffic import ANSWERED, Callers, Seen

BY = {"octant-provider": "openai", "octant-model": "gpt-6-sol", "octant-attempts": "1", "octant-fallbacks": "1"}


def seen(what: str = ANSWERED, **headers: str) -> Seen:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    provider = given.get("octant-provider", "")
    return Seen(at=1, kind="chat", what=what, seconds=0.1, first_byte=0.1, provider=provider, headers=given)


def fallback(**more: str) -> Seen:
    return seen(**{name.replace("-", "_"): value for name, value in (BY | more).items()})


def test_the_model_is_named_with_its_newest_eval_and_an_answers_headers(tmp_path: Path) -> None:
    for name, passed in (("a", datetime(2026, 11, 1, tzinfo=UTC)), ("b", datetime(2026, 11, 20, tzinfo=UTC))):
        write(tmp_path, name, PROMPT)
        prove(tmp_path, name, at=passed, simulated=("anthropic",))
    target = parse((tmp_path / "a.toml").read_text(), "a").routes["smart"].targets[0]
    model = f"{target.provider}/{target.model}"
    calls = [seen("timeout"), seen(octant_provider="anthropic", octant_fallbacks="0")]
    calls += [fallback(**{"octant-provider": target.provider, "octant-model": target.model, "octant-overhead-ms": "2"})] * 2
    words, headers = answered_instead(calls, tmp_path)
    by = "the simulator answered" if target.provider == "anthropic" else "the model itself answered"
    of_eval = f"The newest eval of {model}: 9 of 10 cases of shop/answer passed (2026-11-20, release b, {by})"
    assert words == f"{model} answered 2 of 4 calls in place of the route's first model. {of_eval}"
    assert headers == BY | {"octant-provider": target.provider, "octant-model": target.model}, "those of the answer's making"
    assert "release a" in newest_eval(model, tmp_path, of="a"), "that of the release that answered, though it is older"
    assert newest_eval("openai/unheard-of", tmp_path) == "No eval of openai/unheard-of is stored"
    assert newest_eval(model, None) == f"No eval of {model} is stored"
    (tmp_path / "evals" / "b.json").write_text((tmp_path / "evals" / "b.json").read_text().replace('"passed": 9', '"passed": 10'))
    assert "9 of 10" in newest_eval(model, tmp_path), "an edited file counts for nothing"
    assert "release a" in newest_eval(model, tmp_path)


def test_without_a_fallback_no_model_is_named() -> None:
    assert answered_instead([seen("timeout"), seen(octant_provider="openai", octant_fallbacks="0")], None) == ("", {})


def test_report_log_and_review_have_the_model_and_the_headers() -> None:
    outcome = Outcome("away", datetime(2026, 11, 27, tzinfo=UTC), instead="openai/gpt-6-sol answered", headers=BY)
    text = report.as_markdown(SCENARIO, outcome)
    assert (
        "- **Answered instead:** openai/gpt-6-sol answered\n- **Headers of such an answer:** `octant-provider: openai`, " in text
    )
    line = Result.model_validate(report.fact(outcome, "r.json"))
    assert (line.by, "**Played by:**" in text) == ("", False), "a person played it"
    outcome.by = "the demo's first start"
    assert Result.model_validate(report.fact(outcome, "r.json")).by == outcome.by
    assert "- **Played by:** the demo's first start\n" in report.as_markdown(SCENARIO, outcome)
    assert line.instead == outcome.instead
    assert line.shown_by.startswith("octant-provider: openai, octant-model: gpt-6-sol, ")


async def test_a_caller_keeps_the_headers_of_its_answer() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({}, headers={**BY, "x-request-id": "req_1"})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server, aiohttp.ClientSession(str(server.make_url("/"))) as http:
        callers = Callers(http, Traffic(rate=50, kinds=("chat",)))
        callers.start()
        while not callers.seen:
            assert callers.alive()
            await asyncio.sleep(0.01)
        await callers.stop()
    assert (callers.seen[0].model, callers.seen[0].fallbacks) == ("openai/gpt-6-sol", 1)
