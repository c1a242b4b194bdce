"""Guessed keys occupy only a few database connections at a time (S8, ADR 0021)."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from app.domain.errors import Unauthenticated
from app.edge.failed_logins import MOST_OF_OTHERS, MOST_OF_THE_WAITING, FailedLogins
from app.edge.identity import holder
from app.edge.proxies import Proxies
from app.telemetry.metrics import Metrics


class SlowRing:
    """Refuses every key, slowly."""

    def __init__(self) -> None:
        self.active = self.most = 0

    def fresh(self, token: str) -> None:
        return None

    def knows(self, token: str) -> bool:
        return False

    async def authenticate(self, token: str) -> Any:  # noqa: ANN401 - it never returns
        self.active += 1
        self.most = max(self.most, self.active)
        await asyncio.sleep(0)
        self.active -= 1
        raise Unauthenticated("No.")


def a_request(edge: object, token: str) -> Request:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    app = SimpleNamespace(state=SimpleNamespace(edge=edge))
    return Request({"type": "http", "headers": headers, "client": ("192.0.2.1", 1), "app": app})


@pytest.mark.parametrize(("failures", "most"), [(0, MOST_OF_OTHERS), (3, MOST_OF_THE_WAITING)])
async def test_unknown_keys_are_looked_up_a_few_at_a_time(failures: int, most: int) -> None:
    ring, failed_logins = SlowRing(), FailedLogins(3, Proxies(""))
    edge = SimpleNamespace(keys=ring, failed_logins=failed_logins, metrics=Metrics())
    for _ in range(failures):
        failed_logins.failed("192.0.2.1")
    lookups = [holder(a_request(edge, f"wrong-{number}")) for number in range(50)]
    assert all(isinstance(result, Exception) for result in await asyncio.gather(*lookups, return_exceptions=True))
    assert ring.most == most
