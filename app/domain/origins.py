"""Web origins as the settings list them (RFC 6454; fetch.spec.whatwg.org, 3.2)."""

from collections.abc import Mapping
from urllib.parse import urlsplit

ANY = "*"


def origins_of(listed: str) -> frozenset[str]:
    """The origins in a comma-separated list. Raises ValueError for one that is no origin."""
    origins = frozenset(name.strip().rstrip("/").lower() for name in listed.split(",") if name.strip())
    for origin in origins - {ANY}:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
            raise ValueError(f"{origin} is no origin: write https://app.example.com, with its port if it has one, or *")
    return origins


def of_a_page(headers: Mapping[str, str]) -> bool:
    """Whether a browser sends this for a web page. Any site can make its name lead to this machine (DNS rebinding)."""
    return "origin" in headers or headers.get("sec-fetch-site", "none") != "none"
