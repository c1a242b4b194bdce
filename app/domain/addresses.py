"""Addresses of stores and servers, as settings have them. A refusal never quotes one: it may hold a password."""

import re
from base64 import b64encode
from urllib.parse import unquote, urlsplit, urlunsplit

POSTGRES = {"postgresql+psycopg", "postgresql", "postgres"}  # the last two are what hosts of databases hand out
VALKEY = {"redis": "redis", "rediss": "rediss", "unix": "unix", "valkey": "redis", "valkeys": "rediss"}
_AFTER_SCHEME = re.compile(
    r"(?:[^:/@]*(?::[^@]*)?@)?"  # user and password, as SQLAlchemy reads them
    r"(?:\[[^\]/?]+\]|[^/:?@\[\]]*)(?::[0-9]{1,5})?(?:/[^?]*)?(?:\?.*)?",
    re.DOTALL,
)
_ENCODE = "In user and password @ : / ? # % are written as %40 %3A %2F %3F %23 %25."


def postgres_address(value: str) -> str:
    """The address with our driver's name. Raises ValueError where it is no address of a Postgres."""
    scheme, _, rest = value.partition("://")
    if not value:
        return value
    if scheme not in POSTGRES:
        raise ValueError("must begin with postgresql+psycopg:// (postgresql:// and postgres:// mean the same)")
    if not _AFTER_SCHEME.fullmatch(rest):
        raise ValueError(f"is not of the form postgresql+psycopg://user:password@host:port/database. {_ENCODE}")
    return f"postgresql+psycopg://{rest}"


def valkey_address(value: str) -> str:
    """The address as the client takes it. Raises ValueError where it is no address of a Valkey or Redis."""
    scheme, _, rest = value.partition("://")
    if not value:
        return value
    if scheme not in VALKEY:
        raise ValueError("must begin with redis://, rediss:// (with TLS), valkey://, valkeys:// or unix://")
    address = f"{VALKEY[scheme]}://{rest}"
    if scheme != "unix" and not _is_of_valkey(address):
        raise ValueError(f"is not of the form redis://user:password@host:port/0, with the database's number. {_ENCODE}")
    return address


def web_address(value: str) -> str:
    """An address of HTTP, or nothing. Raises ValueError where it is neither."""
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if value and (not fits or any(c.isspace() for c in value)):
        raise ValueError("must be an address that begins with http:// or https://")
    return value


def without_user(address: str) -> tuple[str, str]:
    """An address of HTTP without its user and password, and the Authorization that they are (RFC 7617); empty without a user."""
    parts = urlsplit(address)
    user, _, host = parts.netloc.rpartition("@")
    words = unquote(user if ":" in user else f"{user}:")
    return urlunsplit(parts._replace(netloc=host)), f"Basic {b64encode(words.encode()).decode()}" if user else ""


def _is_of_valkey(address: str) -> bool:
    """Whether host, port and database can be read. The client takes database 0 for a name, and ignores what follows a #."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return False
    return not parts.fragment and parts.path.strip("/").isdigit() | (parts.path in ("", "/"))
