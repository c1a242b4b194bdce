"""Actions of the security page: revoke an API key, end a session of the console."""

import shlex
import uuid
from collections.abc import Iterator, Mapping
from functools import partial

from app.audit.call_filter import CallFilter
from app.audit.query import total_of
from app.console import formats
from app.console.acting import Act, Asked, Choices
from app.console.console import Console
from app.console.ranges import range_of
from app.console.sessions import Listed, Session
from app.domain.errors import InvalidRequest, NotFound
from app.security.keys.administration import KeyInfo

KEYS, SESSIONS = "/console/security?tab=keys&keys=all", "/console/security?tab=sessions"

Values = Mapping[str, str]


def actions(console: Console) -> Iterator[Act]:
    """The actions."""
    yield Act(
        name="key-revoke", fields=("key",), ask=partial(_ask_revoke, console), do=partial(_revoke, console), back=KEYS,
        label="Revoke key", choices=partial(_keys, console),
    )  # fmt: skip
    yield Act(name="console-end", fields=("session",), ask=partial(_ask_end, console), do=partial(_end, console), back=SESSIONS)


async def _keys(console: Console, _: Values) -> Choices:
    """The keys that work, the newest first."""
    keys = [key for key in await console.parts.keys.list_keys() if key.revoked_at is None]
    return {"key": [(key.id, f"{key.id} {key.name}, {key.tenant}") for key in reversed(keys)]}


async def _key(console: Console, key_id: str) -> KeyInfo:
    """A key that is not revoked. Raises NotFound."""
    for key in await console.parts.keys.list_keys():
        if key.id == key_id and key.revoked_at is None:
            return key
    raise NotFound(f"No live key {key_id[:32]!r}. `octant key list` shows all.")


async def _ask_revoke(console: Console, values: Values) -> Asked:
    key = await _key(console, values["key"])
    range_ = range_of({"range": "24h"})
    total = await total_of(console.parts.engine, CallFilter(key_id=key.id, since=range_.since, until=range_.until))
    used = f"last used {formats.utc(key.last_used_at)}" if key.last_used_at else "never used"
    sessions = sum(s.holder.key_id == key.id for s in await _open(console))
    effect = (
        f"The key {key.id} ({key.name}) of {key.tenant} will be refused by every worker within 5 s. It made"
        f" {formats.number(total.calls, 'call')} for {formats.usd(total.cost)} {range_.words}, and was {used}."
        f" {formats.number(sessions, 'session')} of the console that it opened will end with it."
    )
    return Asked(
        title=f"Revoke the key {key.id}", effect=effect, command=f"octant key revoke {shlex.quote(key.id)}",
        undo=f"octant key create {shlex.quote(key.tenant)} --name …, as a new key: a revoked one never works again",
        button="Revoke",
    )  # fmt: skip


async def _revoke(console: Console, values: Values, reason: str, session: Session) -> str:  # noqa: ARG001 - as every action
    await console.parts.keys.revoke_key(values["key"])
    return f"The key {values['key']} is revoked; every worker refuses it within 5 seconds."


async def _open(console: Console) -> list[Listed]:
    """The sessions that have not ended."""
    return [one for one in await console.sessions.list() if one.revoked_at is None and not console.sessions.over(one)]


async def _ask_end(console: Console, values: Values) -> Asked:
    one = next((s for s in await _open(console) if str(s.id) == values["session"]), None)
    if one is None:
        raise InvalidRequest("No such session is open.", param="session")
    who, key = one.holder.shown, one.holder.key_id
    stays = (
        "Its key stays valid: revoke the key to keep its holder out." if key
        else "They can sign in again: take them out of the group at the provider to keep them out."
    )  # fmt: skip
    return Asked(
        title="End a session of the console",
        effect=f"The browser that signed in as {who} ({one.browser[:80]}) will have to sign in again, on every worker within 5 s."
        f" {stays}",
        command=f"octant key revoke {key}, which ends its sessions too" if key else "octant audit list, which shows who ended it",
        undo="sign in again", button="End the session",
    )  # fmt: skip


async def _end(console: Console, values: Values, reason: str, session: Session) -> str:  # noqa: ARG001 - as every action
    await console.sessions.end(uuid.UUID(values["session"]), by=session.actor)
    return "The session has ended."
