"""Where webhooks may go, and how they are signed."""

import base64
import hashlib
import hmac

import pytest

from app.domain.errors import InvalidRequest
from app.security.webhooks import PublicOnly, check_url, secret_of, signature


@pytest.mark.parametrize("url", ["https://example.com/hook", "https://93.184.215.14/", "http://inside.test:8000/x"])
def test_public_addresses_and_listed_hosts_are_allowed(url: str) -> None:
    check_url(url, frozenset({"inside.test"}))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://user:secret@example.com/",
        "https://127.0.0.1/",
        "https://10.0.0.8/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "https://vault.internal/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https:///nothing",
        "example.com",
    ],
)
def test_what_leads_inside_or_is_not_https_is_refused(url: str) -> None:
    """Server-side request forgery: the address is the caller's choice."""
    with pytest.raises(InvalidRequest):
        check_url(url, frozenset())


async def test_a_name_that_resolves_to_an_inner_address_is_refused_when_connecting() -> None:
    """It may have resolved to another one when it was submitted."""
    with pytest.raises(OSError, match="not public"):
        await PublicOnly(frozenset()).resolve("localhost", 80)
    assert await PublicOnly(frozenset({"localhost"})).resolve("localhost", 80)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """Computed here from the words of the specification: HMAC-SHA256 over ``id.timestamp.body``, base64, after ``v1,``."""
    secret = secret_of(b"master", "acme")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, b'job_1.1700000000.{"a": 1}', hashlib.sha256).digest()).decode()
    assert signature(secret, "job_1", 1_700_000_000, b'{"a": 1}') == f"v1,{expected}"
    assert secret_of(b"master", "other") != secret
