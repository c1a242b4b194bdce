"""What an operator reads beside a stop: routes that nothing answers, providers that do badly, users behind pseudonyms."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from app.oncall.scopes import USER

if TYPE_CHECKING:
    from app.audit.attempt_times import Times
    from app.oncall.held import Stop
    from app.oncall.switch import KillSwitch
    from app.security.redaction.redactor import Redactor

NEWEST, LATELY, LOOK_SECONDS = timedelta(minutes=1), timedelta(minutes=5), 3.0
FEWEST, BADLY, SLOW_MS = 5, 0.1, 2_000.0  # attempts of a provider that say something; the share of them that is too much
MANY, BADLY_OF_MANY = 20, 0.05  # of so many attempts, a smaller share that is not answered says something


@cache
def redactor_of(secret: bytes) -> "Redactor":
    """Built once for a command, and only where a user or a message is named: it compiles its tables."""
    from app.security.redaction.redactor import Redactor

    return Redactor(secret)


def naming(secret: bytes) -> Callable[[str, str], str]:
    """What maps a tenant and a user's id to the user's pseudonym."""
    from app.security.redaction.pseudonyms import pseudonym_of

    return lambda tenant, user: pseudonym_of(redactor_of(secret), tenant, user)


async def with_names(stops: "Sequence[Stop]") -> "Sequence[Stop]":
    """The same, with users by their ids where the ledger has them. As they are where it cannot be read."""
    from app.budget.standing import users_by_pseudonym
    from app.cli.database import database
    from app.domain.errors import Misconfigured
    from app.oncall.held import named

    tenants = {stop.name.partition("/")[0] for stop in stops if stop.scope == USER}
    if not tenants:
        return stops
    try:
        async with asyncio.timeout(LOOK_SECONDS), database() as (engine, settings):
            known = await users_by_pseudonym(engine, tenants, naming(settings.secret))
    except (Misconfigured, TimeoutError):
        return stops
    return named(stops, known)


async def warn_of_no_calls(tenant: str, user: str) -> None:
    """Say where the user made no call lately: the id may be another. Is silent where it cannot know."""
    from app.audit.recent import LOOK_BACK, recent_calls
    from app.cli.database import database
    from app.console import formats
    from app.domain.errors import Misconfigured
    from app.security.redaction.pseudonyms import PSEUDONYM

    if PSEUDONYM.fullmatch(user):
        return
    try:
        async with asyncio.timeout(LOOK_SECONDS), database() as (engine, settings):
            as_recorded = redactor_of(settings.secret).redact(user, tenant=tenant)
            found = await recent_calls(engine, USER, f"{tenant}/{as_recorded}")
    except (Misconfigured, TimeoutError):
        return
    if found and not found.calls:
        print(
            f"Beware: {user} of {tenant} made no call in the last {formats.span(LOOK_BACK)}. Is the id as its calls name it? "
            f"`octant budget top {tenant} --days 0.01` lists users."
        )


async def warn_of_routes(switch: "KillSwitch") -> None:
    """Name the routes that no model answers while the stops hold. Is silent where it cannot know."""
    from app.cli.releases import live_release, opened
    from app.console import formats
    from app.domain.errors import Misconfigured
    from app.oncall.reach import unanswered

    try:
        async with asyncio.timeout(LOOK_SECONDS), opened() as releases:
            stops, release = await switch.status(), await live_release(releases)
    except (Misconfigured, TimeoutError):
        return
    if release and (lost := unanswered(release.all_routes, {(stop.scope, stop.name) for stop in stops})):
        print(f"Beware: no model answers {formats.listed(lost)} now, and callers get 503. `octant kill status` names the stops.")


async def warn_of_others(provider: str) -> None:
    """Name the other providers that do badly: without this one fewer calls may be answered. Is silent where it cannot know.

    A fault that has just begun hides behind good minutes, and one that is just over behind bad ones: it shows both.
    """
    from app.audit.attempt_times import CALLS, attempt_times
    from app.cli.database import database
    from app.console import formats
    from app.domain.errors import Misconfigured

    now = datetime.now(UTC)
    try:
        async with asyncio.timeout(LOOK_SECONDS), database() as (engine, _):
            newest, lately = [await attempt_times(engine, now - span, now, slow_ms=SLOW_MS) for span in (NEWEST, LATELY)]
    except (Misconfigured, TimeoutError):
        return
    of_newest = {one.name: one for one in newest}
    for one in lately:
        last = of_newest.get(one.name)
        if one.name in (provider, CALLS) or not (_does_badly(one) or (last and _does_badly(last))):
            continue
        spans = [(one, LATELY), (last, NEWEST)]
        if last and _does_badly(last):  # what is bad comes first
            spans.reverse()
        print(
            f"Beware: {'; '.join(_went(times, one.name, span) for times, span in spans)}. "
            f"Slow is {formats.ms(SLOW_MS)} or more. If fewer calls are answered now: `octant resume provider {provider}`."
        )


def _does_badly(times: "Times") -> bool:
    """Whether a share of the attempts that is clearly not usual was not answered, or was slow. A few say less than many."""
    most = BADLY_OF_MANY if times.number >= MANY else BADLY
    return times.number >= FEWEST and (times.answered < (1 - most) * times.number or times.late > BADLY * times.number)


def _went(times: "Times | None", name: str, span: timedelta) -> str:
    """How a provider's attempts went within the last minutes."""
    from app.console import formats

    within = f"in the last {formats.span(span)}"
    if times is None:
        return f"{within} there was no attempt at {name}"
    return (
        f"{within}, {formats.share(times.answered / times.number)} of {formats.number(times.number, 'attempt')} at {name} were "
        f"answered and {formats.share(times.late / times.number)} were slow or timed out"
    )
