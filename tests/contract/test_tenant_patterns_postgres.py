"""Redaction patterns of a tenant, on a real Postgres (S5)."""

import asyncio
import logging
from collections.abc import Callable
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Tenant
from app.domain.errors import InvalidRequest, NotFound
from app.domain.money import MicroUSD
from app.security.keys.administration import KeyAdministration
from app.security.redaction import tenant_patterns
from app.security.redaction.redactor import FAILED, Redactor
from app.security.redaction.streams import StreamRedactor
from app.security.redaction.tenant_patterns import LONGEST, MOST, TenantPatterns
from app.security.tables import redaction_patterns


@pytest.fixture
def patterns(engine: AsyncEngine) -> TenantPatterns:
    return TenantPatterns(engine)


@pytest_asyncio.fixture
async def tenant(engine: AsyncEngine) -> Tenant:
    return await KeyAdministration(engine, secret=b"s").create_tenant(
        f"t-{uuid4().hex[:8]}", "A tenant", MicroUSD(1), MicroUSD(1)
    )


async def test_what_a_tenant_added_is_redacted_for_it_alone_within_seconds(
    engine: AsyncEngine, patterns: TenantPatterns, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_patterns, "EVERY", 0.05)
    here = TenantPatterns(engine)
    redactor = Redactor(b"key", added=here)
    await here.start()
    try:
        assert redactor.redact("customer AC-4711 of falcon", tenant=tenant.id) == "customer AC-4711 of falcon"
        await patterns.add(tenant.id, "customer", r"\bAC-[0-9]{4}\b")
        await patterns.add(tenant.id, "code-name", r"(?i)\bfalcon\b")
        redacted = await _until(lambda: redactor.redact("customer AC-4711 of falcon", tenant=tenant.id), "<code-name:")
        assert "AC-4711" not in redacted
        assert "<customer:" in redacted
        assert "<customer:" in redactor.redact('{"n": "AC-4711"}', tenant=tenant.id)
        assert redactor.redact("AC-4711", tenant="another") == "AC-4711"
        await patterns.remove(tenant.id, "code-name")
        await _until(lambda: redactor.redact("falcon", tenant=tenant.id), "falcon")
    finally:
        await here.aclose()


async def _until(redacted: Callable[[], str], sign: str) -> str:
    async with asyncio.timeout(120):
        while sign not in (text := redacted()):  # noqa: ASYNC110 - the refresh in the background has no event to wait for
            await asyncio.sleep(0.02)
    return text


async def test_a_tenant_adds_and_never_takes_away(patterns: TenantPatterns, tenant: Tenant) -> None:
    await patterns.add(tenant.id, "mine", r"4111|example|[a-f0-9]{8}")
    await patterns.refresh()
    redactor = Redactor(b"key", added=patterns)
    redacted = redactor.redact("4111 1111 1111 1111 and ada@example.com, example 4111", tenant=tenant.id)
    assert redacted.startswith("<card:")
    assert " and <email:" in redacted
    assert redacted.count("<mine:") == 2
    assert redactor.redact(redacted, tenant=tenant.id) == redacted


@pytest.mark.parametrize("pattern", ["", "(", r"(a)\1", "(?=a)", "x*", ".", r"\w+|\W", "a" * (LONGEST + 1), r"(?:\pL{900}){900}"])
async def test_a_pattern_that_is_not_safe_or_takes_everything_is_refused(
    patterns: TenantPatterns, tenant: Tenant, pattern: str
) -> None:
    with pytest.raises(InvalidRequest):
        await patterns.add(tenant.id, "mine", pattern)
    assert await patterns.listed(tenant.id) == []


@pytest.mark.parametrize("name", ["", "Mine", "a", "a:b", "<x>", "x" * 21, "mine-", "mine2"])
async def test_a_name_that_would_not_be_a_token_is_refused(patterns: TenantPatterns, tenant: Tenant, name: str) -> None:
    with pytest.raises(InvalidRequest):
        await patterns.add(tenant.id, name, "AC-[0-9]{4}")


async def test_the_number_of_patterns_is_bounded_also_when_they_are_added_at_once(
    patterns: TenantPatterns, tenant: Tenant
) -> None:
    names = [f"name-{a}{b}" for a in "abcde" for b in "abcdefgh"]
    done = await asyncio.gather(*(patterns.add(tenant.id, n, "AC-[0-9]{4}") for n in names), return_exceptions=True)
    assert sum(result is None for result in done) == MOST
    assert len(await patterns.listed(tenant.id)) == MOST


async def test_an_unknown_tenant_or_pattern_is_reported(patterns: TenantPatterns, tenant: Tenant) -> None:
    with pytest.raises(NotFound):
        await patterns.add("unknown", "mine", "AC-[0-9]{4}")
    with pytest.raises(NotFound):
        await patterns.remove(tenant.id, "mine")
    await patterns.add(tenant.id, "mine", "AC-[0-9]{4}")
    with pytest.raises(InvalidRequest):
        await patterns.add(tenant.id, "mine", "AC-[0-9]{5}")


SECRET = "falcon-the-secret-project"


@pytest.mark.parametrize(("name", "pattern"), [("mine", f"({SECRET}"), ("mine", r"\w+|\W"), ("mine", ""), ("<x>", "AC-[0-9]{4}")])
async def test_an_unusable_stored_pattern_stops_no_worker_and_hides_its_tenants_texts(
    engine: AsyncEngine, tenant: Tenant, name: str, pattern: str, caplog: pytest.LogCaptureFixture
) -> None:
    """S5: fails closed, for its tenant alone. The log names the pattern once and never quotes it."""
    table = redaction_patterns.c
    async with engine.begin() as connection:
        await connection.execute(insert(redaction_patterns).values(tenant_id=tenant.id, name="good", pattern="AC-[0-9]{4}"))
        await connection.execute(insert(redaction_patterns).values(tenant_id=tenant.id, name=name, pattern=pattern))
    here = TenantPatterns(engine)
    redactor = Redactor(b"key", added=here)
    with caplog.at_level(logging.ERROR):
        await here.start()
        await here.refresh()
    try:
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert [(r.tenant, r.pattern) for r in errors] == [(tenant.id, name)]  # type: ignore[attr-defined]
        assert SECRET not in str([vars(record) for record in errors])
        for text in ("Where is my order?", '{"a": "nothing"}', ""):
            assert redactor.redact(text, tenant=tenant.id) == FAILED
        stream = StreamRedactor(redactor, tenant=tenant.id)
        assert stream.feed("one line\n") + stream.close() == FAILED
        assert redactor.failures == 4
        assert redactor.redact("Where is my order?", tenant="another") == "Where is my order?"
        async with engine.begin() as connection:
            mended = update(redaction_patterns).where(table.tenant_id == tenant.id, table.name == name)
            await connection.execute(mended.values(name="mine", pattern="XY-[0-9]{4}"))
        await here.refresh()
        assert redactor.redact("My order XY-1234", tenant=tenant.id).startswith("My order <mine:")
    finally:
        await here.aclose()
        async with engine.begin() as connection:
            await connection.execute(redaction_patterns.delete().where(table.tenant_id == tenant.id))
