"""The client address of a request behind proxies (S8, ADR 0021)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from app.domain.errors import Misconfigured
from app.edge.failed_logins import FailedLogins
from app.edge.proxies import Proxies
from app.settings import load


def request(peer: str, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return Request({"type": "http", "headers": headers, "client": (peer, 1)})


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client"),
    [
        ("", "192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", "127.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("127.0.0.1", "127.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("127.0.0.1", "127.0.0.1", ["made up, 198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", "127.0.0.1", ["203.0.113.1", "198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", "127.0.0.1", ["198.51.100.7, made up"], "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", ["x" * 8000], "127.0.0.1"),
        ("127.0.0.1,10.0.0.0/8", "10.1.2.3", ["198.51.100.7, 10.9.9.9"], "198.51.100.7"),
        ("127.0.0.1,10.0.0.0/8", "10.1.2.3", ["10.9.9.9"], "10.9.9.9"),
        ("127.0.0.1", "::ffff:127.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("*", "192.0.2.1", ["203.0.113.1, 198.51.100.7"], "198.51.100.7"),
        ("*", "", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", "", ["198.51.100.7"], ""),
    ],
)
def test_the_address_nearest_our_proxies_counts(trusted: str, peer: str, forwarded: list[str], client: str) -> None:
    assert Proxies(trusted).client_of(request(peer, *forwarded)) == client


@given(st.lists(st.text(st.characters(max_codepoint=255)), max_size=3))
def test_whatever_a_client_makes_up_before_its_own_address_is_one_address(made_up: list[str]) -> None:
    assert Proxies("127.0.0.1").client_of(request("127.0.0.1", *made_up, "198.51.100.7")) == "198.51.100.7"


def test_an_ipv6_client_counts_by_its_network() -> None:
    failed_logins = FailedLogins(3, Proxies("127.0.0.1"))
    assert failed_logins.address_of(request("127.0.0.1", "2001:db8:1:2:3:4:5:6")) == "2001:db8:1:2::/64"


def test_a_proxy_that_is_no_address_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTANT_HTTP__TRUSTED_PROXIES", "127.0.0.1,proxy.internal")
    with pytest.raises(Misconfigured, match=r"(?i)trusted_proxies"):
        load()
