"""Types of settings that several rooms have."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from app.domain.addresses import postgres_address, valkey_address, web_address
from app.domain.money import from_dollars

LONGEST = 315_360_000.0  # ten years of seconds: more is a typing error, and neither a timer nor a timestamp holds infinity
Seconds = Annotated[float, Field(gt=0, le=LONGEST)]
SecondsOrNone = Annotated[float, Field(ge=0, le=LONGEST)]
WebAddress = Annotated[str, AfterValidator(web_address)]
PostgresAddress = Annotated[str, AfterValidator(postgres_address)]
ValkeyAddress = Annotated[str, AfterValidator(valkey_address)]

# Where a request ends and what becomes of its connection: with a second one, two readers see two requests (RFC 9112, 11.2).
_OF_EACH_REQUEST = frozenset(
    {
        *("connection", "content-length", "expect", "keep-alive", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.1
_NO_TEXT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # 5.5


def sendable(value: dict[str, SecretStr]) -> dict[str, SecretStr]:
    """The setting as written. Raises ValueError for a header that cannot be sent, or that each request has of its own."""
    for name, text in value.items():
        if not _NAME.fullmatch(name):
            raise ValueError("a name of a header has letters, digits and hyphens alone")  # not shown: it may hold a key
        if name.lower() in _OF_EACH_REQUEST:
            raise ValueError(f"{name}: each request has its own")
        if _NO_TEXT.search(text.get_secret_value()):
            raise ValueError(f"{name}: its value holds a control character")
    return value


Headers = Annotated[dict[str, SecretStr], AfterValidator(sendable)]


def _dollars(value: str) -> str:
    """The setting as written. Raises ValueError where it is no amount."""
    from_dollars(value)
    return value


Dollars = Annotated[str, AfterValidator(_dollars)]
DEVELOPMENT_SECRET = "development-only-secret"  # noqa: S105 - refused outside development, see `Settings._complete`
