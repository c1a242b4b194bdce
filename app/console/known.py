"""What a page knew last: shown, with its age, while a store is away (R6)."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from psycopg.errors import QueryCanceled
from redis.exceptions import RedisError
from sqlalchemy.exc import DataError, OperationalError, SQLAlchemyError

from app.domain.errors import DependencyUnavailable
from app.domain.store_errors import takes_no_more, why

WAIT = 6.0  # seconds for all that a page reads; a search gives up after five
MOST = 200
KEPT = timedelta(hours=12)

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """``value``: None where nothing was ever known. ``at``: when it was read.

    ``away``: why it is not of now; empty where it is.
    """

    value: T | None
    at: datetime
    away: str = ""


class LastKnown:
    """Remembers the last answer by what was wanted. In the process: each worker remembers what it showed."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._kept: dict[Any, tuple[Any, datetime, float]] = {}

    async def read(self, wanted: Any, reading: Awaitable[T], *, wait: float = WAIT) -> Known[T]:  # noqa: ANN401 - a key
        """Wait for ``reading``; where its store does not answer, what it answered before. Of ``wanted`` None, nothing is kept."""
        try:
            async with asyncio.timeout(wait):
                value = await reading
        except DataError:
            raise  # the store is there: a value cannot be held
        except (SQLAlchemyError, RedisError, OSError, TimeoutError, DependencyUnavailable) as error:
            log.warning("a page's data cannot be read", extra=why(error))
            value, at, since = self._kept.get(wanted, (None, datetime.now(UTC), time.monotonic()))
            if time.monotonic() - since > KEPT.total_seconds():
                value = None
            return Known(value, at, _reason(error))
        if wanted is None:
            return Known(value, datetime.now(UTC))
        self._kept.pop(wanted, None)
        while len(self._kept) >= MOST:
            self._kept.pop(next(iter(self._kept)))
        self._kept[wanted] = value, datetime.now(UTC), time.monotonic()
        return Known(value, datetime.now(UTC))


def _reason(error: BaseException) -> str:
    if isinstance(error, RedisError):
        return "Valkey does not answer"
    if isinstance(error, DependencyUnavailable):
        return error.message.rstrip(".")
    if isinstance(error, OperationalError) and isinstance(error.orig, QueryCanceled):
        return "Postgres took too long: choose a shorter time range"
    return f"Postgres {'takes no more connections' if takes_no_more(error) else 'does not answer'}"
