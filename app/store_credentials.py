"""User and password of a store, read from its secret file at each new connection: a rotated one needs no restart."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import ConnectionPool
from redis.credentials import CredentialProvider
from sqlalchemy import make_url

from app.settings import Settings


def of_postgres(settings: Settings) -> Callable[..., None]:
    """A listener of SQLAlchemy's ``do_connect``. Host and database stay those of the start."""

    def use(_dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> None:
        address = make_url(settings.address_now("database_url"))
        options.update({"user": address.username, "password": address.password} if address.password else {})

    return use


def of_valkey(settings: Settings, pool: ConnectionPool) -> None:
    """Let new connections of a pool take them. An address without a password stays as it is."""
    if "password" in pool.connection_kwargs:
        for name in ("username", "password"):
            pool.connection_kwargs.pop(name, None)
        pool.connection_kwargs["credential_provider"] = _OfValkey(settings)


class _OfValkey(CredentialProvider):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        parts = urlsplit(self._settings.address_now("valkey_url"))
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return (user, password) if user else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()
