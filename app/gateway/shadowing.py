"""Answers a share of the calls once more, by a release that no user gets (B4).

It begins when the user's call has ended, in tasks of its own: no user waits for it. The same pipeline answers, so the kill
switch, the guard, redaction and each limit of a call hold. Four things differ: the release; the payer, who is no tenant; circuits
of its own, so that a bad release cannot close a model for users; and the end, which is no record of a call. The gateway runs no
tools: a tool call in the answer is thrown away like everything else.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from app.domain.calls import Call, Deadline, Identity, Tenant
from app.domain.errors import OctantError
from app.domain.money import ZERO
from app.domain.periodic import Periodic
from app.domain.records import CallRecord
from app.gateway.gateway import Gateway
from app.releases.shadow_watch import ShadowWatch
from app.telemetry.metrics import Metrics

MOST_WAITING = 32  # calls; more are passed over, because a shadow must not keep users' texts in memory
AT_A_TIME = 2
EVERY = 0.1  # seconds between rounds: the user's answer is on its way by then
MOST_UNWRITTEN = 1_000

log = logging.getLogger(__name__)
Write = Callable[[int, Sequence[CallRecord]], Awaitable[None]]


class Payer:
    """Pays for the shadow's calls from its budget. Its scope in the caps is its own: no tenant's name has a dot."""

    def __init__(self, watch: ShadowWatch) -> None:
        """``watch`` knows the budget."""
        self._watch = watch

    def __call__(self, _: Identity) -> Identity:
        """The identity that pays."""
        shadow = self._watch.shadow
        budget = shadow.budget if shadow else ZERO
        tenant = Tenant(f"shadow.{shadow.id if shadow else 0}", "A shadow release", budget, budget, budget, budget)
        return Identity(tenant, "shadow", "shadow")


class Answers:
    """Takes the answers in the recorder's place. ``write`` stores them redacted."""

    def __init__(self, watch: ShadowWatch, write: Write) -> None:
        """``watch`` knows the shadow that they are of."""
        self._watch = watch
        self._write = write
        self._waiting: deque[CallRecord] = deque(maxlen=MOST_UNWRITTEN)

    def record(self, record: CallRecord) -> None:
        """Queue an answer. Never waits."""
        self._waiting.append(record)

    async def flush(self) -> None:
        """Write what is queued. Raises SQLAlchemyError or OSError; what was not written stays queued."""
        shadow = self._watch.shadow
        if shadow is None:
            self._waiting.clear()
            return
        while self._waiting:
            some = list(self._waiting)
            await self._write(shadow.id, some)
            for _ in some:
                self._waiting.popleft()


class Shadowing:
    """See the module."""

    def __init__(self, gateway: Gateway, watch: ShadowWatch, answers: Answers, metrics: Metrics) -> None:
        """``gateway`` is one of its own, with the shadow's release, payer, circuits and end."""
        self._gateway = gateway
        self._watch = watch
        self._answers = answers
        self._metrics = metrics
        self._waiting: deque[Call] = deque()
        self._rounds = Periodic(
            "shadow", self._round, every=EVERY, survives=(SQLAlchemyError, OSError), complaint="shadow's answers not written"
        )

    async def start(self) -> None:
        """Begin to answer."""
        self._rounds.start()

    async def aclose(self) -> None:
        """Stop. Calls that wait are not answered."""
        self._waiting.clear()
        await self._rounds.stop()

    def offer(self, call: Call, record: CallRecord) -> None:
        """Queue a call that has ended, if the shadow wants it. Never waits."""
        if call.embed is not None or not self._watch.wants(record):
            return
        if len(self._waiting) >= MOST_WAITING:
            self._metrics.shadow_answers.inc(outcome="passed_over")
            return
        alone = {"stream": False, "last_resort": None, "on_input": None}
        self._waiting.append(replace(call, **alone))  # type: ignore[arg-type] # fields of a call

    async def _round(self) -> None:
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(AT_A_TIME, len(self._waiting)))]
            await asyncio.gather(*(self._answer(call) for call in some))
        await self._answers.flush()

    async def _answer(self, call: Call) -> None:
        try:
            await self._gateway.complete(replace(call, deadline=Deadline.after(call.deadline.total)))
        except OctantError as error:
            self._metrics.shadow_answers.inc(outcome="failed")
            log.info("shadow's answer failed", extra={"outcome": error.code})
        else:
            self._metrics.shadow_answers.inc(outcome="answered")
