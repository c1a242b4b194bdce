"""Works through the spool: alarms go to Postgres as soon as it is back, and until then straight to the receivers.

Without Postgres there is no escalation and no acknowledgement: every receiver of the policy is called once, the fallback ones
too where one of the first does not take the alarm.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from sqlalchemy.exc import DataError, SQLAlchemyError

from app.domain.store_errors import why
from app.oncall.paging.deliveries import FIRST_PAUSE, LONGEST_PAUSE, OnOutcome
from app.oncall.paging.message import Message, Receiver, attempt, receivers_key
from app.oncall.paging.pages import Pages
from app.oncall.paging.policy import Policy
from app.oncall.paging.spool import Spool, Spooled

SECONDS = 24.0  # of one attempt

log = logging.getLogger(__name__)


async def no_person() -> str:
    """No name for a page."""
    return ""


class Relay:
    """See the module."""

    def __init__(
        self,
        spool: Spool,
        pages: Pages,
        policy: Policy,
        receivers: Mapping[str, Receiver],
        *,
        first_person: Callable[[], Awaitable[str]] = no_person,
        on_outcome: OnOutcome = lambda _receiver, _outcome: None,
    ) -> None:
        """``first_person``: who is on call at level 1; ``on_outcome`` as for deliveries."""
        self._spool = spool
        self._pages = pages
        self._policy = policy
        self._receivers = receivers
        self._first_person = first_person
        self._on_outcome = on_outcome
        self._pauses: dict[tuple[str, str], tuple[float, float]] = {}

    async def run(self) -> int:
        """Work through the files once. Returns how many alarms Postgres has taken."""
        if not await asyncio.to_thread(self._spool.waiting):
            return 0
        with self._spool.alone() as alone:
            return await self._run() if alone else 0

    async def _run(self) -> int:
        taken, away = 0, False
        for spooled in await asyncio.to_thread(self._spool.read):
            if not away:
                try:
                    await self._pages.take(spooled.alarm, sent=spooled.sent)
                    await asyncio.to_thread(self._spool.remove, spooled)
                    taken += 1
                    continue
                except DataError as error:  # it alone cannot be stored: those behind it can
                    log.warning("a spooled page cannot be stored", extra=why(error))
                except (SQLAlchemyError, OSError):
                    away = True
            await self._send(spooled)
        return taken

    async def _send(self, spooled: Spooled) -> None:
        """Call the receivers that do not have it yet and whose pause is over."""
        missing = [name for name in self._policy.receivers if name not in spooled.sent]
        refused = [name for name in missing if not await self._sent(spooled, name)]
        if refused:
            for name in self._policy.fallback:
                if name not in spooled.sent:
                    await self._sent(spooled, name)

    async def _sent(self, spooled: Spooled, name: str) -> bool:
        at, pause = self._pauses.get((spooled.path.name, name), (0.0, FIRST_PAUSE))
        if time.monotonic() < at:
            return False
        key, message = receivers_key(spooled.alarm.key, 1), await self._message(spooled)
        result = await attempt(self._receivers[name], message, key, within=SECONDS)
        self._on_outcome(name, "sent" if result.sent else "refused" if result.refused else "failed")
        if result.sent:
            spooled.sent.add(name)
            await asyncio.to_thread(self._spool.mark, spooled)
            self._pauses.pop((spooled.path.name, name), None)
            return True
        wait = max(pause, result.retry_after or 0.0)
        self._pauses[(spooled.path.name, name)] = (time.monotonic() + wait, min(2 * pause, LONGEST_PAUSE))
        log.warning("a page is not sent yet, and Postgres is away", extra={"receiver": name, "why": result.reason})
        return False

    async def _message(self, spooled: Spooled) -> Message:
        alarm = spooled.alarm
        return Message(
            page=f"spooled-{spooled.path.stem}",  # it has no page yet
            action="trigger" if alarm.firing else "resolve",
            alert=alarm.alert,
            severity=alarm.severity,
            summary=alarm.summary,
            triggered_at=datetime.now(UTC).isoformat(),
            labels=alarm.labels,
            links=alarm.links,
            level=1,
            person=await self._first_person(),
            test=alarm.test,
        )
