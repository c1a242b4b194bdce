"""What most tests of the console's pages begin with."""

from collections.abc import AsyncIterator

import pytest_asyncio
from conftest import octant
from signed_in import Person, signed_in
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


@pytest_asyncio.fixture(scope="module")
async def operator(service_url: str, stack_env: dict[str, str]) -> AsyncIterator[Person]:
    key = octant(stack_env, "key", "create", "acme", "--name", "console", "--scope", "admin", "--quiet").strip()
    async with signed_in(service_url, key) as one:
        yield one


@pytest_asyncio.fixture
async def stored(stack_env: dict[str, str]) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(stack_env["OCTANT_DATABASE_URL"])
    yield engine
    await engine.dispose()
