"""The proxy that the environment names for a host, as curl and Go read it."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from app.domain.errors import Misconfigured
from app.domain.hosts import is_loopback


def proxy_of(scheme: str, host: str) -> str | None:
    """The proxy that the environment names for this host. Not aiohttp's ``trust_env``: that reads ~/.netrc at each request.

    This machine is reached without one, whatever the environment says. Raises Misconfigured for a proxy that is not of HTTP.
    """
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"  # as curl reads it
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        raise Misconfigured(
            f"The environment's proxy for {host} is {urlsplit(proxy).scheme}, not one of HTTP. Set {scheme.upper()}_PROXY to"
            f" http://HOST:PORT, or NO_PROXY to {host}."
        )
    return proxy
