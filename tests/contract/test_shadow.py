"""A shadow release answers too, after the user's answer, at its own cost, and no user gets it (B4)."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from conftest import ROOT, Simulator, own_database
from records import a_record
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Answer, Call, Deadline, Identity, Tenant
from app.domain.errors import Misconfigured, Stopped
from app.domain.messages import Message, Text
from app.domain.money import MicroUSD
from app.gateway.gateway import Gateway
from app.oncall.switch import KillSwitch
from app.releases.releases import Releases
from app.rooms import releases_of
from app.security.keys.administration import KeyAdministration
from app.settings import load
from app.stack.embedded import embedded_valkey
from app.stores import build_engine, build_valkey
from app.telemetry.metrics import Metrics
from app.wiring import open_parts
from evals.online import shadows
from evals.scoring import Finding
from evals.suite import Scored

LIVE, NEXT = "0-start", "next"
CARD = "4111 1111 1111 1111"


@dataclass(frozen=True)
class Service:
    """One worker's parts, and an operator beside it."""

    gateway: Gateway
    operator: Releases
    switch: KillSwitch
    engine: AsyncEngine
    metrics: Metrics
    tenant: Tenant
    database: str


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def service(
    database_url: str, simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    """Release 0-start is live; `next` is like it, with the other model first."""
    folder = tmp_path_factory.mktemp("shadow")
    releases = shutil.copytree(ROOT / "releases", folder / "releases")
    made = (releases / f"{LIVE}.toml").read_text().replace(f'id = "{LIVE}"', f'id = "{NEXT}"')
    (releases / f"{NEXT}.toml").write_text(made.replace("max_output_tokens = 2048", "max_output_tokens = 2047"))
    with (
        own_database(database_url, "shadow") as database,
        embedded_valkey(None) as valkey_url,
        pytest.MonkeyPatch.context() as patch,
    ):
        for vendor in ("openai", "anthropic"):
            patch.setenv(f"OCTANT_{vendor.upper()}__BASE_URL", getattr(simulator_process, vendor))
            patch.setenv(f"OCTANT_{vendor.upper()}__API_KEY", "simulator")
        patch.setenv("OCTANT_DATABASE_URL", database)
        patch.setenv("OCTANT_VALKEY_URL", valkey_url)
        settings = load(state_dir=folder / "state", releases_dir=releases)
        engine, valkey, metrics = build_engine(settings), build_valkey(settings), Metrics()
        cap = MicroUSD(10**9)
        tenant = await KeyAdministration(engine, secret=settings.secret).create_tenant("acme", "Acme", cap, cap)
        operator = releases_of(settings, engine, valkey)
        await operator.activate(LIVE, by="ada", reason="first")
        async with open_parts(settings, metrics) as parts:
            gateway, switch = parts.features.gateway, KillSwitch(valkey, engine, file=None)
            yield Service(gateway, operator, switch, engine, metrics, tenant, database)
        await valkey.aclose()
        await engine.dispose()


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def clean(service: Service) -> AsyncIterator[None]:
    yield
    if await service.operator.shadow():
        await service.operator.stop_shadow(by="tests", reason="test over")
    await until(lambda: watch(service).shadow is None)
    async with service.engine.begin() as connection:
        await connection.execute(text("TRUNCATE shadow_answers"))


def watch(service: Service) -> Any:  # noqa: ANN401 - a part of the worker's releases
    releases: Any = service.gateway._rooms.releases
    return releases.shadows


async def begin(service: Service, **choices: Any) -> None:  # noqa: ANN401 - arguments of the operator
    values: dict[str, Any] = {"share": 1.0, "by": "ada", "reason": "is it better?", "budget": MicroUSD(1_000_000), "days": 1.0}
    await service.operator.start_shadow(NEXT, **(values | choices))
    await until(lambda: watch(service).shadow is not None)


async def until(condition: Callable[[], object], seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it polls what a worker knows
            await asyncio.sleep(0.02)


def a_call(service: Service, words: str, user: str = "ada") -> Call:
    return Call(
        id=f"req_{uuid4().hex}", identity=Identity(service.tenant, "key", user), feature="chat.completions", target="smart",
        deadline=Deadline.after(120), messages=(Message("user", (Text(words),)),),
    )  # fmt: skip


async def ask(service: Service, words: str = "hello") -> Answer:
    return await service.gateway.complete(a_call(service, words))


async def rows(service: Service, statement: str) -> list[Any]:
    async with service.engine.connect() as connection:
        return list((await connection.execute(text(statement))).all())


async def at_least(service: Service, count: int, statement: str, seconds: float = 120) -> list[Any]:
    """The rows of a statement once there are so many."""
    async with asyncio.timeout(seconds):
        while len(found := await rows(service, statement)) < count:  # noqa: ASYNC110 - it polls Postgres
            await asyncio.sleep(0.05)
    return found


async def answers(service: Service, count: int) -> list[Any]:
    return await at_least(service, count, "SELECT * FROM shadow_answers ORDER BY at")


def counted(service: Service, name: str, **labels: str) -> float:
    return service.metrics.registry.get_sample_value(name, labels) or 0.0


async def test_the_shadow_answers_too_and_leaves_no_trace_with_the_user_or_the_tenant(service: Service) -> None:
    await begin(service)
    answer = await ask(service, f"my card is {CARD}")
    (found,) = await answers(service, 1)
    assert answer.receipt.release == LIVE
    assert (found.release, found.outcome, found.tenant, found.user) == (NEXT, "ok", "acme", "ada")
    assert found.request_id == answer.receipt.request_id
    assert "my card is" in found.request
    assert CARD not in found.request, "redacted as records are"
    assert found.cost > 0
    await at_least(service, 1, "SELECT 1 FROM calls")
    assert {row.release for row in await rows(service, "SELECT release FROM calls")} == {LIVE}
    assert counted(service, "octant_calls_total", feature="chat.completions", outcome="ok") == 1
    assert counted(service, "octant_shadow_answers_total", outcome="answered") == 1
    spent = await at_least(service, 2, "SELECT tenant, feature, sum(amount) AS cost FROM ledger GROUP BY 1, 2")
    of = {row.tenant: row for row in spent}
    (shadow,) = set(of) - {"acme"}
    assert (of[shadow].feature, of[shadow].cost) == ("shadow", found.cost)
    assert of["acme"].cost == answer.receipt.cost, "the tenant pays for its own answer alone"
    assert shadow.startswith("shadow."), "no tenant can have this name"


async def test_a_used_up_budget_ends_it_and_users_are_answered(service: Service) -> None:
    await begin(service, budget=MicroUSD(1))
    assert (await ask(service)).receipt.release == LIVE
    await until(lambda: watch(service).shadow is None)
    ended = await service.operator.last_shadow(NEXT)
    assert ended is not None
    assert (ended[0].state, ended[0].ended_by) == ("stopped", "octant")
    assert "no room for a further call" in (ended[0].why or "")
    assert ended[0].spent == 0
    assert (await ask(service)).receipt.release == LIVE


async def test_the_kill_switch_stops_it_like_any_call(service: Service) -> None:
    """A call that had ended before the stop is not answered by the shadow after it."""
    await begin(service)
    await service.switch.stop("tenant", "acme", by="ada", reason="test")
    try:
        await until_asked(service, stopped=True)
        ended = a_call(service, "hello")
        record = a_record(tenant="acme", request_id=ended.id, release=LIVE, outcome="ok")
        service.gateway._rooms.on_end(ended, record)  # type: ignore[misc]
        (found,) = await answers(service, 1)
        assert (found.request_id, found.outcome, found.cost) == (ended.id, "stopped_by_operator", 0)
    finally:
        await service.switch.resume("tenant", "acme", by="ada", reason="test over")
        await until_asked(service, stopped=False)


async def until_asked(service: Service, *, stopped: bool) -> None:
    """Wait until the worker knows a stop, or its end."""
    async with asyncio.timeout(120):
        while True:
            try:
                service.gateway.refuse_if_stopped(Identity(service.tenant, "key", "ada"))
            except Stopped:
                if stopped:
                    return
            else:
                if not stopped:
                    return
            await asyncio.sleep(0.05)


async def test_the_evals_score_a_sample_and_throw_every_text_away(service: Service) -> None:
    await begin(service)
    for number in range(3):
        await ask(service, f"question {number}")
    await answers(service, 3)

    def reader(row: Any, request: Any, response: Any) -> Scored:  # noqa: ANN401 - as a suite's
        assert response, row
        wrong = (Finding("made up", "it is wrong"),) if "question 1" in str(request) else ()
        return Scored(request, response, wrong)

    engine = create_engine(service.database)
    with engine.begin() as connection:
        scored = shadows.score(connection, {"chat.completions": reader}, 20, random.Random(1))  # noqa: S311 - sampling
    engine.dispose()
    assert scored == 3
    found = await rows(service, "SELECT passed, request, response FROM shadow_answers")
    assert sorted(row.passed for row in found) == [False, True, True]
    assert {(row.request, row.response) for row in found} == {(None, None)}
    running = await service.operator.shadow()
    assert running is not None
    beside = running[1]
    assert (beside["answers"], beside["ok"], beside["scored"], beside["passed"]) == (3, 3, 3, 2)


async def test_a_share_decides_by_request_and_another_release_ends_it(service: Service) -> None:
    await begin(service, share=0.5)
    for number in range(24):
        await ask(service, f"question {number}")
    waiting = service.gateway._rooms.on_end.__self__._waiting  # type: ignore[union-attr]
    await until(lambda: not waiting)
    found = await answers(service, 4)
    assert 4 <= len(found) <= 20
    await service.operator.activate(NEXT, by="ada", reason="it is better")
    try:
        await until(lambda: watch(service).shadow is None)
        ended = await service.operator.last_shadow(NEXT)
        assert ended is not None
        assert ended[0].why == f"{NEXT} was made live."
    finally:
        await service.operator.rollback(by="ada", reason="test over")


async def test_what_cannot_be_a_shadow_is_refused_with_every_problem(service: Service) -> None:
    with pytest.raises(Misconfigured, match=r"share(.|\n)*budget(.|\n)*30 days(.|\n)*is live already"):
        await service.operator.start_shadow(LIVE, 2.0, by="ada", reason="r", budget=MicroUSD(0), days=90)
    await begin(service)
    with pytest.raises(Misconfigured, match="A shadow is running"):
        await service.operator.start_shadow(NEXT, 0.1, by="ada", reason="r", budget=MicroUSD(1), days=1)


async def test_an_estimate_is_no_cost_of_a_call_in_its_objective(service: Service, simulator: Simulator) -> None:
    """An attempt without final figures is charged its worst case, which says nothing of the call."""
    name = "octant_call_cost_dollars_count"
    before = counted(service, name, feature="chat.completions")
    simulator.put_faults({"kind": "wrong_usage", "input_tokens": 0, "output_tokens": 0})
    assert (await ask(service)).receipt.cost > 0
    assert counted(service, name, feature="chat.completions") == before
    simulator.clear()
    assert (await ask(service)).receipt.cost > 0
    assert counted(service, name, feature="chat.completions") == before + 1
