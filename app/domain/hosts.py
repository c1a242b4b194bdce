"""Hosts of addresses."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def authority(host: str, port: int | str) -> str:
    """Host and port as addresses have them: a host of IPv6 in brackets (RFC 3986, 3.2.2)."""
    return f"[{host.strip('[]')}]:{port}" if ":" in host else f"{host}:{port}"
