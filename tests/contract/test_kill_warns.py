"""A stop of a provider warns where the others do badly: then fewer calls may be answered than before."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import run
from conftest import own_database
from records import a_record
from sqlalchemy.ext.asyncio import create_async_engine

from app.audit.rows import Writer
from app.domain.calls import Attempt


@pytest.fixture(scope="module")
def url(database_url: str) -> Iterator[str]:
    with own_database(database_url, "kill_warns") as url:
        yield url


async def attempted(url: str, provider: str, outcomes: str, ms: float) -> None:
    """An attempt for each letter: ``.`` was answered, ``x`` failed."""
    engine, at = create_async_engine(url), datetime.now(UTC)
    outcome = {".": "ok", "x": "provider_rate_limited"}
    tries = [
        Attempt(number=1, provider=provider, model="m", outcome=outcome[one], started_ms=0.0, latency_ms=ms) for one in outcomes
    ]
    await Writer(engine).write([a_record(id=f"{provider}-{ms}-{n}", at=at, attempts=(one,)) for n, one in enumerate(tries)])
    await engine.dispose()


async def test_a_stop_names_the_others_that_do_badly_and_works_all_the_same(url: str, valkey_url: str, tmp_path: Path) -> None:
    env = {"OCTANT_DATABASE_URL": url, "OCTANT_VALKEY_URL": valkey_url, "OCTANT_STATE_DIR": str(tmp_path)}

    def stopped(provider: str) -> str:
        ran = run(env, "kill", "provider", provider, "--reason", "slow")
        run(env, "resume", "provider", provider)
        assert f"{provider} is stopped; every worker knows within 2 seconds." in ran.stdout, ran.stderr
        return ran.stdout

    await attempted(url, "openai", "." * 20, 100.0)
    assert "Beware" not in stopped("anthropic")
    await attempted(url, "anthropic", "..xxxxxxxx", 50.0)
    assert "Beware" not in stopped("anthropic"), "the one that is stopped does badly, and no other"
    assert "Beware: of 10 attempts at anthropic in the last 5 min, 20 % were answered and 0 % took 2.00 s or more." in stopped(
        "openai"
    )
    await attempted(url, "openai", "." * 20, 9000.0)
    warned = stopped("anthropic")
    assert "at openai in the last 5 min, 100 % were answered and 50 % took 2.00 s or more." in warned
    assert "`octant resume provider anthropic`" in warned
    away = run(
        {**env, "OCTANT_DATABASE_URL": "postgresql+psycopg://x@127.0.0.1:1/x"}, "kill", "provider", "anthropic", "--reason", "x"
    )
    assert "anthropic is stopped" in away.stdout, "a stop waits for no figures"
    run(env, "resume", "provider", "anthropic")
