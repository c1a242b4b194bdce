"""The kill switch: everything, or one provider, model, prompt, feature, tool, tenant or user, on all workers within 2 s (P5).

A call is checked against memory. Every worker reads both stores (`app.oncall.stops`), each by itself: Valkey twice a second and
Postgres once, or twice where Valkey is away. It keeps the newest entry of each subject, and carries to a store what that store
lacks. So either store is enough to stop or to release, a store that lost its data gets it back, and with both away the last known
state holds. A worker that starts and has heard from neither store refuses: it cannot know. There are two ways out of band, which
hold whatever the stores say: while a file exists everything is stopped, and calls under way end, too, if it contains the word
in-flight; and a variable of the environment names stops that hold from a process's start to its end.

A user is stored by pseudonym: the stores keep every entry, so erasing a user's data could not take an id out of them.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import DependencyUnavailable, NotFound, Stopped
from app.domain.periodic import Periodic
from app.domain.routes import Target
from app.domain.store_errors import why
from app.oncall.held import ENVIRONMENT, FILE, Stop, holding, words_of
from app.oncall.reach import passed_over
from app.oncall.scopes import LONGEST_NAME, SCOPES, SELF_TEST, USER, Subject, check_name
from app.oncall.stops import Entry, NoStore, PostgresStops, ValkeyStops, merged, newer, next_version, now, one_line

VALKEY, POSTGRES = "Valkey", "Postgres"
READ_SECONDS = 1.0  # with the pauses between, two seconds are kept even when a store hangs
SILENT_SECONDS = 0.2  # that a stop waits for a second store
READ_TRIES = 2  # of a command: on a busy machine a store may take longer than `READ_SECONDS` once
WRITE_TRIES, WRITE_PAUSE = 3, 0.5
IN_FLIGHT = "in-flight"
LONGEST_REASON = 2000

log = logging.getLogger(__name__)
Away = (RedisError, SQLAlchemyError, OSError, ValueError)  # a TimeoutError is an OSError; ValueError: not an entry of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Callbacks of a switch.

    ``on_state`` gets the number of stops by scope; ``on_end`` scope, name and message when calls under way are to end;
    ``on_self_test`` the version of each flip of the reserved scope; ``on_store`` a store, and whether it is away, at each read.
    """

    on_state: Callable[[Mapping[str, int]], None] = lambda _: None
    on_end: Callable[[str, str, str], None] = lambda _scope, _name, _message: None
    on_self_test: Callable[[int], None] = lambda _: None
    on_store: Callable[[str, bool], None] = lambda _store, _away: None


class KillSwitch:
    """See the module."""

    def __init__(
        self,
        valkey: Redis | None,
        engine: AsyncEngine | None = None,
        *,
        file: Path | None,
        fixed: frozenset[Subject] = frozenset(),
        poll: float = 0.5,
        listeners: Listeners | None = None,
        name_of: Callable[[str, str], str] = lambda _tenant, user: user,
    ) -> None:
        """``poll``: seconds from one look at file and Valkey to the next; Postgres is read half as often while Valkey answers.

        ``file`` stops everything while it exists; ``fixed``: what the environment stops.
        ``name_of`` maps a tenant and a user's id to the user's pseudonym.
        Without ``engine``, Valkey is the only memory and is believed as it is; without ``valkey`` it counts as away.
        """
        self._valkey = NoStore() if valkey is None else ValkeyStops(valkey)
        self._postgres = PostgresStops(engine) if engine is not None else None
        self._file = file
        self._name_of = name_of
        self._fixed = frozenset((scope, self.stored(scope, name)) for scope, name in fixed)
        self._poll = poll
        self._listeners = listeners or Listeners()
        self._entries: dict[str, Entry] = {}
        self._stopped = self._fixed
        self._of_users = _tenants_of_users(self._fixed)
        self._known = engine is None
        self._file_exists = False
        self._file_ends = False
        self._away: set[str] = set()
        self._logs = False  # a command says itself what it found
        self._loops = [Periodic("kill switch: file and Valkey", self._refresh, every=poll, at_once=False)]
        if self._postgres:
            self._of_postgres = Periodic("kill switch: Postgres", self._follow_postgres, every=2 * poll, at_once=False)
            self._loops.append(self._of_postgres)

    @property
    def known(self) -> bool:
        """Whether the state was ever read in full: until then every call is refused."""
        return self._known

    @property
    def away(self) -> frozenset[str]:
        """The stores that did not answer the last time."""
        return frozenset(self._away)

    @property
    def stopped(self) -> frozenset[Subject]:
        """What is stopped now. From memory."""
        return frozenset({*self._stopped, *([("all", "")] if self._file_exists else [])} - {SELF_TEST})

    @property
    def stopped_words(self) -> tuple[str, ...]:
        """What is stopped now, as `kind name`; users by number, as memory has pseudonyms. From memory."""
        users = Counter(name.partition("/")[0] for scope, name in self.stopped if scope == USER)
        counted = (f"a user of {tenant}" if number == 1 else f"{number} users of {tenant}" for tenant, number in users.items())
        return (*(words_of(scope, name) for scope, name in sorted(self.stopped) if scope != USER), *sorted(counted))

    async def start(self) -> None:
        """Read the state once, then keep reading."""
        self._logs = True
        if self._fixed:
            log.warning("stopped by the environment", extra={"stopped": sorted(":".join(pair) for pair in self._fixed)})
        await asyncio.gather(self._refresh(), self._read_postgres())
        for loop in self._loops:
            loop.start()

    async def aclose(self) -> None:
        """Stop reading. A round under way ends first: cancelled within redis-py, it may leave a connection open."""
        await asyncio.gather(*(loop.stop(grace=2 * READ_SECONDS) for loop in self._loops))

    def check(self, *, tenant: str, user: str = "", feature: str = "", target: str = "", tool: str = "") -> None:
        """Raise Stopped if this is stopped, DependencyUnavailable if that is not known yet. From memory.

        ``feature`` as calls name it (``support.answer``): the stop of its product (``support``) holds too. ``target``: the model
        alias or prompt. ``tool``: one that is about to run.
        """
        if self._file_exists or ("all", "") in self._stopped:
            raise Stopped(with_message("The service is stopped by an operator.", self._message("all", "")))
        for scope, name, words in (
            ("tenant", tenant, "Calls of this tenant are"),
            (USER, self._user(tenant, user), "Calls of this user are"),
            ("feature", feature, "This feature is"),
            ("feature", feature.partition(".")[0], "This feature is"),
            ("model", target, "This model is"),
            ("prompt", target, "This prompt is"),
            ("tool", tool, "This tool is"),
        ):
            if name and (scope, name) in self._stopped:
                raise Stopped(with_message(f"{words} stopped by an operator.", self._message(scope, name)))
        if not self._known:
            raise DependencyUnavailable("Whether an operator has stopped the service cannot be read yet.", retry_after=1.0)

    def user_stopped(self, tenant: str, user: str) -> bool:
        """Whether calls of this one user are stopped; its tenant's may be besides. From memory."""
        return (USER, self._user(tenant, user)) in self._stopped

    def _user(self, tenant: str, user: str) -> str:
        """The name of a stop of this user; empty where no user of the tenant is stopped, which costs a call nothing."""
        return f"{tenant}/{self._name_of(tenant, user)}" if user and tenant in self._of_users else ""

    def stored(self, scope: str, name: str) -> str:
        """A name as both stores have it."""
        tenant, _, user = name.partition("/")
        return f"{tenant}/{self._name_of(tenant, user)}" if scope == USER else name

    def target_stopped(self, target: Target) -> bool:
        """Whether a provider's model may not be called now. From memory."""
        return passed_over(target, self._stopped)

    def message_for(self, target: Target) -> str:
        """The operator's message about a provider's stopped model; empty where there is none."""
        found = (("provider", target.provider), ("model", f"{target.provider}/{target.model}"))
        return next((m for subject in found if subject in self._stopped and (m := self._message(*subject))), "")

    async def stop(
        self, scope: str, name: str, *, by: str, reason: str, message: str = "", in_flight: bool = False
    ) -> frozenset[str]:
        """Stop something; ``in_flight``: end calls under way, too. Returns the stores that do not know of it.

        A running worker carries it to them when they answer. Callers read ``message`` and never ``reason``. Raises InvalidRequest
        for a scope that does not exist or a name that is missing, DependencyUnavailable where neither store took it.
        """
        check_name(scope, name)
        name = self.stored(scope, name)
        entry = Entry(scope=scope, name=name, stopped=True, in_flight=in_flight, by=by, reason=reason, message=message)
        return (await self._put(entry))[1]

    async def resume(self, scope: str, name: str, *, by: str = "", reason: str = "") -> frozenset[str]:
        """Release something. Raises NotFound if it is not stopped; else as `stop`."""
        check_name(scope, name)
        name = self.stored(scope, name)
        return (await self._put(Entry(scope=scope, name=name, stopped=False, by=by, reason=reason)))[1]

    async def flip_test(self, *, stopped: bool, by: str) -> tuple[int, frozenset[str]]:
        """Stop or release the reserved scope, which no call looks at. Returns its version and the stores that do not know it.

        Raises DependencyUnavailable where neither store took it.
        """
        scope, name = SELF_TEST
        return await self._put(Entry(scope=scope, name=name, stopped=stopped, by=by, reason="self-test"), must_change=False)

    async def status(self) -> list[Stop]:
        """All that is stopped, as the stores that answer say. Raises DependencyUnavailable where none does."""
        await self._read_both()
        return self._held()

    def _held(self) -> list[Stop]:
        """All that is stopped, as far as it was read."""
        stops = [
            Stop(e.scope, e.name, e.by, e.reason, e.at, e.in_flight, e.message)
            for _, e in sorted(self._entries.items())
            if e.stopped and e.scope in SCOPES
        ]
        stops += [Stop(scope, name, ENVIRONMENT, "OCTANT_STOPPED", "") for scope, name in sorted(self._fixed)]
        if self._file and self._file.exists():
            stops.append(Stop("all", "", FILE, str(self._file), ""))
        return stops

    def _message(self, scope: str, name: str) -> str:
        """The operator's message to callers."""
        entry = self._entries.get(f"{scope}:{name}")
        return entry.message if entry and entry.stopped else ""

    async def _put(self, wanted: Entry, *, must_change: bool = True) -> tuple[int, frozenset[str]]:
        """Write an entry with the next version. Returns that, and the stores that did not take it."""
        silent = await self._read_soon()
        known = self._entries.get(wanted.field)
        if must_change and not wanted.stopped and not self._away and not silent and not (known and known.stopped):
            raise NotFound(f"{wanted.name or wanted.scope} is not stopped. {holding(self._held())}".rstrip())
        entry = replace(
            wanted, by=one_line(wanted.by)[:LONGEST_NAME], reason=one_line(wanted.reason)[:LONGEST_REASON],
            at=now(), version=next_version(known.version if known else 0),
        )  # fmt: skip
        writes: dict[str, Callable[[], Awaitable[None]]] = {VALKEY: lambda: self._valkey.write([entry])}
        if postgres := self._postgres:
            writes[POSTGRES] = lambda: postgres.write([entry])
        taken = await asyncio.gather(*(_tried(write) for write in writes.values()))
        await asyncio.gather(*silent)
        missing = frozenset(store for store, took in zip(writes, taken, strict=True) if not took)
        if len(missing) == len(writes):
            raise DependencyUnavailable(f"{' and '.join(sorted(missing))} did not take it: nothing has changed.")
        return entry.version, missing

    async def _read_soon(self) -> "set[asyncio.Task[None]]":
        """Read the stores, and wait only a moment for one that is silent while the other answers. Returns the reads under way.

        A frozen store may not delay a stop. Raises DependencyUnavailable where neither answers.
        """
        reads: dict[str, asyncio.Task[None]] = {}
        tries = 0
        while not any(read.done() and store not in self._away for store, read in reads.items()):
            if all(read.done() for read in reads.values()):
                tries += 1
                if tries > READ_TRIES:
                    raise DependencyUnavailable(f"{' and '.join(sorted(self._away))} did not answer.")
                reads = {VALKEY: asyncio.create_task(self._read_valkey())}
                if self._postgres:
                    reads[POSTGRES] = asyncio.create_task(self._read_postgres())
            await asyncio.wait([read for read in reads.values() if not read.done()], return_when=asyncio.FIRST_COMPLETED)
        answered, silent = await asyncio.wait(reads.values(), timeout=SILENT_SECONDS)
        await asyncio.gather(*answered)
        return silent

    async def _read_both(self) -> dict[str, Entry]:
        """The stops in the stores now. Raises DependencyUnavailable where neither answers."""
        await asyncio.gather(self._read_valkey(), self._read_postgres())
        if len(self._away) == (2 if self._postgres else 1):
            raise DependencyUnavailable(f"{' and '.join(sorted(self._away))} did not answer.")
        return self._entries

    async def _refresh(self) -> None:
        self._look_for_file()
        await self._read_valkey(carry=True)
        self._show()

    def _show(self) -> None:
        counts = Counter(scope for scope, _ in self._stopped)
        counts["all"] = max(counts["all"], int(self._file_exists))
        self._listeners.on_state({scope: counts[scope] for scope in SCOPES})

    async def _read_valkey(self, *, carry: bool = False) -> None:
        """Apply Valkey's stops. ``carry``: write to it what it lacks, all of it if it lost its data."""
        with self._reading(VALKEY):
            async with asyncio.timeout(READ_SECONDS):
                found, complete = await self._valkey.read()
            self._adopt(found)
            self._known = self._known or complete
            lacking = newer(self._entries, than=found)
            if carry and self._known and (lacking or not complete):
                # With "complete" goes all that is known: what was read a moment ago may be lost by now.
                async with asyncio.timeout(READ_SECONDS):
                    await self._valkey.write((lacking if complete else self._entries).values(), complete=True)

    async def _follow_postgres(self) -> None:
        await self._read_postgres()
        if VALKEY in self._away:  # a stop reaches this worker by Postgres alone
            self._of_postgres.retry_in(self._poll)

    async def _read_postgres(self) -> None:
        """The same with Postgres, whose data are complete whenever it answers."""
        if self._postgres is None:
            return
        with self._reading(POSTGRES):
            async with asyncio.timeout(READ_SECONDS):
                found = await self._postgres.read()
            self._adopt(found)
            self._known = True
            if lacking := newer(self._entries, than=found):
                async with asyncio.timeout(READ_SECONDS):
                    await self._postgres.write(lacking.values())

    @contextlib.contextmanager
    def _reading(self, store: str) -> Iterator[None]:
        try:
            yield
        except Away as error:
            if store not in self._away and self._logs:
                about = {"store": store, **why(error)}
                log.warning("kill switch not readable, last known state holds", extra=about)
            self._away.add(store)
        else:
            self._away.discard(store)
        self._listeners.on_store(store, store in self._away)

    def _adopt(self, found: Mapping[str, Entry]) -> None:
        """Apply newer entries. A stop that is older than a release that is known here is none."""
        news = newer(found, than=self._entries)
        if not news:
            return
        self._entries = merged(self._entries, news)
        stopped = self._fixed | {(e.scope, e.name) for e in self._entries.values() if e.stopped}
        if (stopped ^ self._stopped) - {SELF_TEST} and self._logs:
            log.warning("kill switch changed", extra={"stopped": sorted(":".join(pair) for pair in stopped)})
        self._stopped, self._of_users = stopped, _tenants_of_users(stopped)
        for entry in news.values():
            if entry.stopped and entry.in_flight:
                self._listeners.on_end(entry.scope, entry.name, entry.message)
            if (entry.scope, entry.name) == SELF_TEST:
                self._listeners.on_self_test(entry.version)

    def _look_for_file(self) -> None:
        """Note whether the file is there. An unreadable folder changes nothing."""
        if self._file is None:
            return
        try:
            exists = self._file.exists()
            ends = exists and IN_FLIGHT in self._file.read_text(errors="replace")
        except OSError as error:
            log.warning("kill file not readable, last known state holds", extra=why(error))
            return
        if exists != self._file_exists:
            log.warning("kill file appeared" if exists else "kill file removed", extra={"file": str(self._file)})
        begun = ends and not self._file_ends
        self._file_exists, self._file_ends = exists, ends
        if begun:
            self._listeners.on_end("all", "", "")


async def _tried(write: Callable[[], Awaitable[None]]) -> bool:
    """Whether a store took it, at the latest at the last try."""
    for attempt in range(WRITE_TRIES):
        if attempt:
            await asyncio.sleep(WRITE_PAUSE)
        try:
            async with asyncio.timeout(READ_SECONDS):
                await write()
        except Away:
            continue
        return True
    return False


def _tenants_of_users(stopped: Iterable[Subject]) -> frozenset[str]:
    """The tenants of which single users are stopped."""
    return frozenset(name.partition("/")[0] for scope, name in stopped if scope == USER)


def with_message(words: str, message: str) -> str:
    """A caller's sentence, and after it the operator's message if there is one."""
    return f"{words} {message}" if message else words
