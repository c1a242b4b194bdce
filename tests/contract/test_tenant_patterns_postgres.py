"""What a tenant adds to redaction, on a real Postgres (S5)."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Tenant
from app.domain.errors import InvalidRequest, NotFound
from app.domain.money import MicroUSD
from app.security import tenant_patterns
from app.security.keys import KeyRing
from app.security.redaction import Redactor
from app.security.tenant_patterns import LONGEST, MOST, TenantPatterns


@pytest.fixture
def patterns(engine: AsyncEngine) -> TenantPatterns:
    return TenantPatterns(engine)


@pytest_asyncio.fixture
async def tenant(engine: AsyncEngine) -> Tenant:
    return await KeyRing(engine, secret=b"s").create_tenant(f"t-{uuid4().hex[:8]}", "A tenant", MicroUSD(1), MicroUSD(1))


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
        told = await _until(lambda: redactor.redact("customer AC-4711 of falcon", tenant=tenant.id), "<code-name:")
        assert "AC-4711" not in told
        assert "<customer:" in told
        assert "<customer:" in redactor.redact('{"n": "AC-4711"}', tenant=tenant.id)
        assert redactor.redact("AC-4711", tenant="another") == "AC-4711"
        await patterns.remove(tenant.id, "code-name")
        await _until(lambda: redactor.redact("falcon", tenant=tenant.id), "falcon")
    finally:
        await here.aclose()


async def _until(told: Callable[[], str], sign: str) -> str:
    async with asyncio.timeout(10):
        while sign not in (text := told()):  # noqa: ASYNC110 - the refresh in the background has no event to wait for
            await asyncio.sleep(0.02)
    return text


async def test_a_tenant_adds_and_never_takes_away(patterns: TenantPatterns, tenant: Tenant) -> None:
    await patterns.add(tenant.id, "mine", r"4111|example|[a-f0-9]{8}")
    await patterns.refresh()
    redactor = Redactor(b"key", added=patterns)
    told = redactor.redact("4111 1111 1111 1111 and ada@example.com, example 4111", tenant=tenant.id)
    assert told.startswith("<card:")
    assert " and <email:" in told
    assert told.count("<mine:") == 2
    assert redactor.redact(told, tenant=tenant.id) == told


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


async def test_a_tenant_or_a_pattern_that_is_not_there_is_told(patterns: TenantPatterns, tenant: Tenant) -> None:
    with pytest.raises(NotFound):
        await patterns.add("nobody", "mine", "AC-[0-9]{4}")
    with pytest.raises(NotFound):
        await patterns.remove(tenant.id, "mine")
    await patterns.add(tenant.id, "mine", "AC-[0-9]{4}")
    with pytest.raises(InvalidRequest):
        await patterns.add(tenant.id, "mine", "AC-[0-9]{5}")
