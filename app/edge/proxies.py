"""The client that a request comes from, behind proxies (S8, ADR 0021).

Each proxy appends the address that it saw to ``X-Forwarded-For``, so the list is read from its end, for as long as the settings
trust the proxy that appended. Entries before that are the client's own claim and are not read.
"""

import ipaddress
import re
from typing import TypeAlias

from starlette.requests import Request

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
ANY = "*"
_WITH_PORT = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<four>[0-9.]+))(?::[0-9]{1,5})?")


class Proxies:
    """The proxies whose ``X-Forwarded-For`` is believed."""

    def __init__(self, trusted: str) -> None:
        """``trusted``: addresses and networks, comma-separated; ``*``: every peer, but none behind it. Raises ValueError."""
        names = [name.strip() for name in trusted.split(",") if name.strip()]
        self._any = names == [ANY]
        self._networks = [] if self._any else [ipaddress.ip_network(name, strict=False) for name in names]

    def client_of(self, request: Request) -> str:
        """The address nearest our trusted proxies: an IP address, or the peer as the server names it.

        An entry that is no address ends the reading: the proxy before it then counts as the client.
        """
        peer = request.client.host if request.client else ""
        known, address = peer, _address(peer)
        for entry in reversed(",".join(request.headers.getlist("x-forwarded-for")).split(",")):
            if not (self._any or self._trusts(address)) or (address := _address(entry.strip())) is None:
                break
            known = str(address)
            if self._any:
                break
        return known

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _address(entry: str) -> Address | None:
    """An address with or without a port; an IPv4-mapped one is its IPv4 address."""
    found = _WITH_PORT.fullmatch(entry)
    try:
        address = ipaddress.ip_address((found["six"] or found["four"]) if found else entry)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
