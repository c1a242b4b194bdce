"""Bugs that no caller sees: those of background tasks, of callbacks, and of tasks whose result no code read."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from app.domain.errors import OctantError
from app.domain.periodic import FIELDS
from app.domain.store_errors import of_store

log = logging.getLogger(__name__)


@asynccontextmanager
async def watched(on_bug: Callable[[], None]) -> AsyncIterator[None]:
    """Log what the running loop reports to its exception handler, and call ``on_bug`` for each bug.

    A connection that breaks, or a store that is away, while no code waits for it is reported there too, and is no bug.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        fields = context.get(FIELDS) or _name(context.get("task") or context.get("future"))
        log.error(context["message"], extra=fields, exc_info=error)
        if error is None or not (isinstance(error, (OSError, OctantError)) or of_store(error)):
            on_bug()

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


def _name(task: object) -> dict[str, str]:
    return {"task": task.get_name()} if isinstance(task, asyncio.Task) else {}
