"""The kill switch on a real Valkey (P5)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.domain.errors import InvalidRequest, NotFound, Stopped
from app.domain.routes import Target
from app.oncall.stops import KEY
from app.oncall.switch import KillSwitch
from app.stack.embedded import embedded_valkey


@pytest_asyncio.fixture(loop_scope="session")
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    """A numbered database of our own: nothing here may stop another test's service."""
    client = Redis.from_url(valkey_url.removesuffix("/0") + "/8", decode_responses=True)
    await client.delete(KEY)
    yield client
    await client.aclose()


@asynccontextmanager
async def worker(valkey: Redis, *, file: Path | None = None) -> AsyncIterator[KillSwitch]:
    switch = KillSwitch(valkey, file=file)
    await switch.start()
    try:
        yield switch
    finally:
        await switch.aclose()


async def within(seconds: float, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"did not hold within {seconds} s"
        await asyncio.sleep(0.01)


def stopped(switch: KillSwitch, tenant: str = "acme") -> bool:
    try:
        switch.check(tenant=tenant)
    except Stopped:
        return True
    return False


async def test_everything_stops_and_goes_on_for_every_worker_within_two_seconds(valkey: Redis) -> None:
    async with worker(valkey) as one, worker(valkey) as two:
        assert not stopped(one)
        await one.stop("all", "", by="ada", reason="leak")
        await within(2, lambda: stopped(one) and stopped(two, "other"))
        await two.resume("all", "")
        await within(2, lambda: not stopped(one) and not stopped(two))


async def test_one_tenant_stops_and_no_other(valkey: Redis) -> None:
    async with worker(valkey) as switch:
        await switch.stop("tenant", "acme", by="ada", reason="cost")
        await within(2, lambda: stopped(switch, "acme"))
        assert not stopped(switch, "acme-2")


async def test_one_provider_is_passed_over_and_calls_go_on(valkey: Redis) -> None:
    async with worker(valkey) as switch:
        await switch.stop("provider", "anthropic", by="ada", reason="outage")
        await within(2, lambda: switch.target_stopped(Target("anthropic", "m")))
        assert not switch.target_stopped(Target("openai", "m"))
        assert not stopped(switch)


async def test_a_worker_that_starts_while_all_is_stopped_is_stopped_from_its_first_call(valkey: Redis) -> None:
    await KillSwitch(valkey, file=None).stop("all", "", by="ada", reason="leak")
    async with worker(valkey) as switch:
        assert stopped(switch)


async def test_the_status_says_who_stopped_what_why_and_since_when(valkey: Redis, tmp_path: Path) -> None:
    file = tmp_path / "stop"
    switch = KillSwitch(valkey, file=file)
    await switch.stop("tenant", "acme", by="ada", reason="cost spike: $40")
    file.touch()
    by_hand, by_file = await switch.status()
    assert (by_hand.scope, by_hand.name, by_hand.by, by_hand.reason) == ("tenant", "acme", "ada", "cost spike: $40")
    assert by_hand.at.endswith("+00:00")
    assert (by_file.scope, by_file.by, by_file.reason) == ("all", "file", str(file))


async def test_stopping_twice_keeps_one_entry_and_a_needless_resume_is_reported(valkey: Redis) -> None:
    switch = KillSwitch(valkey, file=None)
    for reason in ("first", "second"):
        await switch.stop("provider", "openai", by="ada", reason=reason)
    assert json.loads((await valkey.hgetall(KEY))["provider:openai"])["reason"] == "second"
    assert len(await switch.status()) == 1
    await switch.resume("provider", "openai")
    with pytest.raises(NotFound, match="openai is not stopped"):
        await switch.resume("provider", "openai")


@pytest.mark.parametrize(
    ("scope", "name"), [("everything", ""), ("all", "acme"), ("tenant", ""), ("provider", ""), ("tool", "a\0b")]
)
async def test_a_scope_that_means_nothing_is_refused_and_stops_nothing(valkey: Redis, scope: str, name: str) -> None:
    with pytest.raises(InvalidRequest):
        await KillSwitch(valkey, file=None).stop(scope, name, by="ada", reason="r")
    assert await valkey.hlen(KEY) == 0


async def test_the_file_stops_everything_without_valkey_and_removing_it_releases(tmp_path: Path) -> None:
    """P5: the way out of band."""
    away = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0), decode_responses=True)
    file = tmp_path / "stop"
    async with worker(away, file=file) as switch:
        assert not stopped(switch)
        file.touch()
        await within(2, lambda: stopped(switch))
        file.unlink()
        await within(2, lambda: not stopped(switch))
    await away.aclose()


async def test_the_file_stops_everything_within_two_seconds_although_valkey_hangs(tmp_path: Path) -> None:
    """A store that accepts connections and says nothing must not delay calls that need no store."""

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client goes
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hanging = Redis(host="127.0.0.1", port=port, retry=Retry(NoBackoff(), 0), decode_responses=True)
    file = tmp_path / "stop"
    async with worker(hanging, file=file) as switch:
        assert not stopped(switch)
        file.touch()
        await within(2, lambda: stopped(switch))
    await hanging.aclose()
    server.close()
    await server.wait_closed()


async def test_when_valkey_goes_away_what_was_stopped_stays_stopped_and_nothing_else_stops() -> None:
    """ADR 0007: an outage of the store neither stops the service nor releases what an operator stopped."""
    with embedded_valkey(None) as url:
        client = Redis.from_url(url, decode_responses=True, retry=Retry(NoBackoff(), 0))
        switch = KillSwitch(client, file=None, poll=0.05)
        await switch.start()
        await switch.stop("tenant", "acme", by="ada", reason="cost")
        await within(2, lambda: stopped(switch))
    checked = asyncio.Event()
    real = switch._look_for_file

    def noted() -> None:
        real()
        checked.set()

    switch._look_for_file = noted  # type: ignore[method-assign]  # to know that it checked again, without a sleep
    for _ in range(3):
        checked.clear()
        await asyncio.wait_for(checked.wait(), 120)
    assert stopped(switch, "acme")
    assert not stopped(switch, "other")
    await switch.aclose()
    await client.aclose()


async def test_a_folder_that_cannot_be_read_changes_nothing_and_the_switch_goes_on(valkey: Redis, tmp_path: Path) -> None:
    """An error while checking for the file must not end the checks."""
    too_long = tmp_path / ("x" * 300)
    async with worker(valkey, file=too_long) as switch:
        assert not stopped(switch)
        await switch.stop("all", "", by="ada", reason="leak")
        await within(2, lambda: stopped(switch))


@pytest.mark.parametrize(
    ("scope", "name", "refused", "served"),
    [
        ("model", "smart", {"target": "smart"}, {"target": "fast"}),
        ("prompt", "support/answer", {"target": "support/answer"}, {"target": "support/ticket"}),
        ("feature", "support", {"feature": "support.answer"}, {"feature": "chat"}),
        ("feature", "support.answer", {"feature": "support.answer"}, {"feature": "support.ticket"}),
        ("tool", "cancel_order", {"tool": "cancel_order"}, {"tool": "order_status"}),
    ],
)
async def test_a_stop_of_one_part_refuses_that_part_alone(
    valkey: Redis, scope: str, name: str, refused: dict[str, str], served: dict[str, str]
) -> None:
    """P5."""
    async with worker(valkey) as switch:
        await KillSwitch(valkey, file=None).stop(scope, name, by="ada", reason="r")
        await within(2, lambda: (scope, name) in switch._stopped)
        with pytest.raises(Stopped, match="stopped by an operator"):
            switch.check(tenant="acme", **refused)
        switch.check(tenant="acme", **served)
        await KillSwitch(valkey, file=None).resume(scope, name)
        await within(2, lambda: (scope, name) not in switch._stopped)
        switch.check(tenant="acme", **refused)


async def test_a_stopped_model_of_a_provider_leaves_its_other_models(valkey: Redis) -> None:
    async with worker(valkey) as switch:
        await KillSwitch(valkey, file=None).stop("model", "openai/m", by="ada", reason="r")
        await within(2, lambda: switch.target_stopped(Target("openai", "m")))
        assert not switch.target_stopped(Target("openai", "n"))
        assert not switch.target_stopped(Target("azure", "m"))
