"""Types of settings that several rooms have."""

from typing import Annotated

from pydantic import AfterValidator, Field

from app.domain.addresses import postgres_address, valkey_address, web_address
from app.domain.money import from_dollars

LONGEST = 315_360_000.0  # ten years of seconds: more is a typing error, and neither a timer nor a timestamp holds infinity
Seconds = Annotated[float, Field(gt=0, le=LONGEST)]
SecondsOrNone = Annotated[float, Field(ge=0, le=LONGEST)]
WebAddress = Annotated[str, AfterValidator(web_address)]
PostgresAddress = Annotated[str, AfterValidator(postgres_address)]
ValkeyAddress = Annotated[str, AfterValidator(valkey_address)]


def _dollars(value: str) -> str:
    """The setting as written. Raises ValueError where it is no amount."""
    from_dollars(value)
    return value


Dollars = Annotated[str, AfterValidator(_dollars)]
DEVELOPMENT_SECRET = "development-only-secret"  # noqa: S105 - refused outside development, see `Settings._complete`
