"""Count wrong keys and passwords by address; an address that guesses must wait (S8, ADR 0021).

Each worker counts for itself, without a store: this works while Valkey is away and costs a valid key nothing. Memory is bounded,
and guessing is hopeless, since a key is 256 bits of chance.

An address may be many clients: behind a proxy that the settings do not trust, all clients have the proxy's address. So an address
that must wait is not shut out: its keys are still looked up, a few at a time, and only wrong ones have to wait.
"""

import asyncio
import ipaddress
import time
from dataclasses import dataclass

from starlette.requests import Request

from app.edge.proxies import Proxies

MOST_ADDRESSES = 10_000
WINDOW = 60.0
# Unknown keys that are looked up at a time, from waiting addresses and from all others: guessing takes no more of a worker's ten
# connections.
MOST_OF_THE_WAITING, MOST_OF_OTHERS = 2, 4


@dataclass(slots=True)
class _Failures:
    since: float
    count: int


class FailedLogins:
    """Failures by address. After ``most`` within a minute from the first, an address waits until that minute is over."""

    def __init__(self, most: int, proxies: Proxies) -> None:
        """Count up to ``most``. ``proxies`` says which address a request comes from."""
        self._most = most
        self._proxies = proxies
        self._failures: dict[str, _Failures] = {}
        self._turns = {True: asyncio.Semaphore(MOST_OF_THE_WAITING), False: asyncio.Semaphore(MOST_OF_OTHERS)}

    def address_of(self, request: Request) -> str:
        """The address that a request comes from; for IPv6 its /64, because one customer has all of it."""
        host = self._proxies.client_of(request)
        return str(ipaddress.ip_network((host, 64), strict=False)) if ":" in host else host

    def turn(self, *, waiting: bool) -> asyncio.Semaphore:
        """The semaphore to hold while an unknown key is looked up."""
        return self._turns[waiting]

    def wait(self, address: str) -> float:
        """Seconds until the next attempt is checked; 0 if it need not wait."""
        found = self._failures.get(address)
        if found is None or found.count < self._most:
            return 0.0
        return max(0.0, found.since + WINDOW - time.monotonic())

    def failed(self, address: str) -> None:
        """Count a failure. When the table is full the oldest goes."""
        now = time.monotonic()
        found = self._failures.get(address)
        if found is None or found.since + WINDOW <= now:
            self._failures.pop(address, None)  # so that the order is that of `since`
            if len(self._failures) >= MOST_ADDRESSES:
                self._failures.pop(next(iter(self._failures)))
            found = self._failures[address] = _Failures(now, 0)
        found.count += 1
