"""What operators do with releases: activate one, go back, try one on a share of the users. Workers follow (`releases`)."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import func, insert, null, select
from sqlalchemy import text as sql
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import Misconfigured
from app.domain.money import MicroUSD
from app.domain.store_errors import why
from app.releases import canaries, eval_results, files, history, reports
from app.releases.canaries import Canary, Judgement
from app.releases.effective import effect_of
from app.releases.eval_gate import Unproven
from app.releases.eval_results import Proof
from app.releases.history import Activation
from app.releases.manifest import Manifest, Places, Release, load, parse, resolve
from app.releases.recall import check_recall
from app.releases.refusal import Refusal, RefusedRollback, lacks, refusable, refusal
from app.releases.reports import Report
from app.releases.setting_back import Pinned, earlier, set_back
from app.releases.spaces import changed_spaces
from app.releases.tables import activations, manifests

CHANNEL = "octant:release"
_ONE_AT_A_TIME = 0x0C7A_0001  # a Postgres advisory lock: two operators at once must not build on the same past

# Read every two seconds: built once.
_LIVE = (
    select(manifests.c.id, manifests.c.text)
    .join(activations, activations.c.release == manifests.c.id)
    .order_by(activations.c.number.desc())
    .limit(1)
)

log = logging.getLogger(__name__)


class ReleaseControl:
    """See the module."""

    def __init__(
        self,
        engine: AsyncEngine,
        valkey: Redis,
        places: Places,
        *,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        """``today`` in UTC."""
        self._engine = engine
        self._valkey = valkey
        self._places = places
        self._today = today

    @property
    def simulated(self) -> Collection[str]:
        """The providers that the simulator stands in for here."""
        return self._places.simulated

    async def activate(self, release_id: str, *, by: str, reason: str, force: bool = False) -> Sequence[str]:
        """Make a release live. Returns the eval results that it lacks; without ``force`` it must lack none.

        Raises Misconfigured, before anything changes, if it does not resolve, was changed, or its prices are not in effect yet,
        and Unproven for a lack of eval results.
        """
        _check_reason(reason, force=force)
        release = load(release_id, self._places)
        self._check_prices(release)
        async with self._engine.begin() as connection:
            await _alone(connection)
            unproven = await self._gate(connection, release.id, release.text, force=force)
            await self._take_in(connection, release)
            await self._end_canary(connection, by, f"{release.id} was activated: {reason}")
            await history.point(connection, release.id, history.ACTIVATE, by, reason, unproven=unproven)
        await self._announce(release.id)
        return unproven

    async def _gate(self, connection: AsyncConnection, release_id: str, text: str, *, force: bool) -> Sequence[str]:
        """The eval results that a manifest lacks here. Raises Unproven unless it lacks none or is forced."""
        lacking = await eval_results.lacking(connection, text, self._places)
        if lacking and not force:
            raise Unproven(release_id, hashlib.sha256(text.encode()).hexdigest(), lacking)
        if lacking and eval_results.recorded(self._places.directory):
            log.warning("release without eval results", extra={"release": release_id, "lacking": len(lacking)})
        return lacking

    async def lacking(self, release_id: str) -> Sequence[str]:
        """The eval results that a release lacks to be live here, a sentence each. Raises Misconfigured."""
        release = load(release_id, self._places)
        async with self._engine.connect() as connection:
            return await eval_results.lacking(connection, release.text, self._places)

    async def refusal(self, release_id: str) -> Refusal:
        """What the eval gate says of a release that was live. Raises Misconfigured where it was not."""
        async with self._engine.connect() as connection:
            return await refusal(connection, self._places, await history.read(connection), release_id)

    async def live_proof(self) -> Proof | None:
        """The eval results of the live manifest, and what the gate misses in them; None where no release is live."""
        live = await self._live()
        if live is None:
            return None
        async with self._engine.connect() as connection:
            found = await eval_results.proof(connection, live[1], self._places)
        return replace(found, earlier=await asyncio.to_thread(eval_results.earlier, self._places))

    async def unproven(self) -> dict[str, int]:
        """How many eval results the live release and the canary lacked. Raises SQLAlchemyError or OSError."""
        async with self._engine.connect() as connection:
            newest = await history.read(connection, 1)
            running = await canaries.running(connection)
        live = len(newest[0].unproven or ()) if newest else 0
        return {"live": live, "canary": len(running.unproven or ()) if running else 0}

    def _check_prices(self, release: Release) -> None:
        """Refuse prices that are not in effect yet. A rollback skips this check: going back must not fail."""
        table, today = release.prices, self._today()
        if table.effective > today:
            raise Misconfigured(
                f"Release {release.id} pins price table {table.version}, which takes effect on {table.effective}; today is"
                f" {today} (UTC). Activate it then, or pin a table that is in effect."
            )
        if (effect := effect_of(table, self._places.prices, today)).state == "superseded":
            log.warning("price table superseded", extra={"release": release.id, "prices": table.version, "newer": effect.newer})

    async def rollback(
        self, *, by: str, reason: str, to: str | None = None, only: Pinned | None = None, again: bool = False, force: bool = False
    ) -> str:
        """Put the release that was live before this one (or ``to``) live again. Returns the id of what is live then.

        ``only``: one pin alone goes back, to the newest earlier release that has another (or ``to``); that makes a new manifest.
        ``again``: a rollback soon after another one is meant. Raises Misconfigured, before anything changes; RefusedRollback
        where the eval gate refuses the release that ``to`` names, unless ``force``. The release before is never refused without
        a name, and by its name only where it was forced.
        """
        _check_reason(reason, force=force)
        async with self._engine.begin() as connection:
            await _alone(connection)
            past = await history.read(connection)
            if to:
                history.check_ever_live(past, to)
            elif not again:
                history.check_nerves(past, datetime.now(UTC))
            if only:
                target, text = await self._set_back(connection, only, past, to, reason)
            else:
                target = to or history.path_of(past)[-2]
                text = await history.text_of(connection, target)
            await self._check_reachable(target, text, past)
            unproven = () if only else await lacks(connection, self._places, past, target)
            if to and unproven and not force and refusable(past, to):
                raise RefusedRollback(await refusal(connection, self._places, past, target))
            if only:
                unproven = [f"Each pin of {target} was live, but never together with the {only}: no suite has evaluated that."]
                values = {"id": target, "sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
                await connection.execute(insert(manifests).values(values))
            await self._end_canary(connection, by, f"a rollback to {target}: {reason}")
            kind = history.SET_BACK if only else history.ROLLBACK
            await history.point(connection, target, kind, by, reason, unproven=unproven)
        await self._announce(target)
        return target

    async def _set_back(
        self, connection: AsyncConnection, only: Pinned, past: Sequence[Activation], to: str | None, reason: str
    ) -> tuple[str, str]:
        """The id and text of a manifest made from the live one."""
        if not past:
            raise Misconfigured("No release is live.")
        live = parse(await history.text_of(connection, past[0].release), f"the live release {past[0].release}")
        names = [to] if to else list(dict.fromkeys(activation.release for activation in past[1:]))
        before = [parse(await history.text_of(connection, name), f"release {name}") for name in names]
        source = before[0] if to else earlier(only, live, before)
        taken = (await connection.execute(select(manifests.c.id))).scalars()
        text = set_back(only, live, source, taken=taken, today=self._today(), reason=reason)
        return parse(text, "the new manifest").id, text

    async def _check_reachable(self, release_id: str, text: str, past: Sequence[Activation]) -> None:
        """Raise Misconfigured where a pin does not resolve, and say what else there is.

        The files may be on the workers and not here, so a missing index that is too large to be kept is no reason to refuse.
        """
        where = f"release {release_id}"
        manifest = parse(text, where)
        missing = await files.fetch(self._engine, manifest, self._places)
        try:
            resolve(text, self._places, where=where, indexes_elsewhere=True)
        except Misconfigured as error:
            others = list(dict.fromkeys(a.release for a in past if a.release not in (release_id, past[0].release)))
            also = f" Was live, too: {', '.join(others)} (--to ID)." if others else " No other release was ever live."
            raise Misconfigured(f"{error}\n{' '.join(missing)}{also}") from None
        for sentence in missing:
            log.warning("index not on this machine", extra={"release": release_id, "file": sentence})

    async def history(self, limit: int = 20) -> Sequence[Activation]:
        """Activations, newest first."""
        async with self._engine.connect() as connection:
            return await history.read(connection, limit)

    async def workers(self) -> dict[str, str]:
        """The release that each live worker says it serves. Raises SQLAlchemyError or OSError."""
        return {report.worker: report.release for report in await self.reports()}

    async def reports(self) -> Sequence[Report]:
        """What each live worker says, refusals included. Raises SQLAlchemyError or OSError."""
        return await reports.read(self._engine)

    async def check_live(self) -> None:
        """Raise Misconfigured where a pin of the live release does not resolve here."""
        if live := await self._live():
            resolve(live[1], self._places, where=f"The live release {live[0]}")

    async def live(self) -> Manifest | None:
        """The live manifest as it was activated; its pins are not checked."""
        live = await self._live()
        return parse(live[1], f"the live release {live[0]}") if live else None

    async def live_text(self) -> str | None:
        """The live manifest's text; None where none is live."""
        live = await self._live()
        return live[1] if live else None

    async def kept_text(self, release_id: str) -> str:
        """The text of a release that was live, which may have no file. Raises Misconfigured."""
        async with self._engine.connect() as connection:
            return await history.text_of(connection, release_id)

    async def _live(self) -> tuple[str, str] | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(_LIVE)).one_or_none()
        return (row.id, row.text) if row else None

    async def _take_in(self, connection: AsyncConnection, release: Release) -> None:
        """Keep the manifest and the files of a release that resolves here. Raises Misconfigured."""
        await _check_spaces(connection, release)
        known = await connection.scalar(select(manifests.c.id).where(manifests.c.id == release.id))
        if known is None:  # one that was accepted before stays acceptable
            check_recall(release, self._places)
        await self._remember(connection, release)
        await files.keep(connection, parse(release.text, release.id), self._places)

    async def _remember(self, connection: AsyncConnection, release: Release) -> None:
        values = {"id": release.id, "sha256": release.sha256, "text": release.text}
        await connection.execute(postgresql.insert(manifests).values(values).on_conflict_do_nothing())
        known = (await connection.execute(select(manifests.c.sha256).where(manifests.c.id == release.id))).scalar_one()
        if known != release.sha256:
            raise Misconfigured(
                f"Release {release.id} was changed after it was first live. A release is immutable: "
                "restore the file, or give the change an id of its own."
            )

    async def _announce(self, release_id: str) -> None:
        try:
            await self._valkey.publish(CHANNEL, release_id)
        except (RedisError, OSError) as error:
            log.warning("not announced, workers see it at their next look", extra=why(error))

    async def try_out(
        self,
        release_id: str,
        share: float,
        *,
        by: str,
        reason: str,
        cap: MicroUSD,
        days: float,
        tenants: Sequence[str] = (),
        force: bool = False,
    ) -> Canary:
        """Give a release to a share of the users, or a larger share to the canary that runs.

        ``cap``: the most that its calls may cost; ``days`` until an operator decides. Raises Misconfigured where it does not
        resolve, lacks what the live release serves, or another canary runs; without ``force``, Unproven for lacking eval results.
        """
        _check_reason(reason, force=force)
        if not 0 < share < 1:
            raise Misconfigured("A canary's share lies between 0 and 100 %. To give it to everyone, `octant release promote`.")
        async with self._engine.begin() as connection:
            await _alone(connection)
            running = await canaries.running(connection)
            if running and running.release == release_id:
                if share <= running.share:
                    raise Misconfigured(
                        f"The canary has {running.share:.0%} already; its share can only grow. `octant release abort` ends it."
                    )
                await canaries.widen(connection, running, share)
            else:
                choices = {"by": by, "reason": reason, "cap": cap, "tenants": list(tenants)}
                await self._begin(connection, release_id, share, days=days, force=force, **choices)
            begun = await canaries.running(connection)
        await self._announce("canary")
        if begun is None:
            raise Misconfigured("The canary has ended in this moment.")
        return begun

    async def _begin(
        self, connection: AsyncConnection, release_id: str, share: float, *, days: float, force: bool, **values: object
    ) -> None:
        live = await self._live()
        if live is None:
            raise Misconfigured("No release is live: there is nothing to compare a canary with.")
        release = load(release_id, self._places)
        self._check_prices(release)
        serves = parse(live[1], f"the live release {live[0]}")
        lacking = sorted({*serves.prompts, *serves.routes} - {*release.prompts, *release.routes})
        if live[0] == release_id or lacking:
            reason = f"lacks {', '.join(lacking)}" if lacking else "is live already"
            raise Misconfigured(f"Release {release_id} cannot be a canary: it {reason}.")
        values["unproven"] = list(await self._gate(connection, release_id, release.text, force=force)) or null()
        await self._take_in(connection, release)
        deadline = datetime.now(UTC) + timedelta(days=days)
        await canaries.start(connection, release=release_id, against=live[0], shares=[share], deadline=deadline, **values)

    async def abort(self, *, by: str, reason: str) -> Canary:
        """End the canary that runs; all users get the live release. Raises Misconfigured where none runs."""
        async with self._engine.begin() as connection:
            canary, judged = await self._judged(connection)
            await canaries.decide(connection, canary, canaries.STOPPED, by=by, verdict=reason, evidence=judged.as_json())
        await self._announce("canary")
        return canary

    async def promote(self, *, by: str, reason: str, force: bool = False) -> Canary:
        """Make the canary's release live for everyone.

        Raises Misconfigured without the evidence of its users, Unproven without eval results, unless ``force``.
        """
        _check_reason(reason, force=force)
        async with self._engine.begin() as connection:
            await _alone(connection)
            canary, judged = await self._judged(connection)
            if judged.verdict != "promote" and not force:
                raise Misconfigured(
                    f"The canary {canary.release} is not proven. {judged.why} To promote it nevertheless: --force."
                )
            text = await history.text_of(connection, canary.release)
            unproven = await self._gate(connection, canary.release, text, force=force)
            await canaries.decide(connection, canary, canaries.PROMOTED, by=by, verdict=judged.why, evidence=judged.as_json())
            await history.point(connection, canary.release, history.ACTIVATE, by, reason, unproven=unproven)
        await self._announce(canary.release)
        return canary

    async def canary(self) -> tuple[Canary, Judgement] | None:
        """The canary that runs, and how it stands."""
        async with self._engine.connect() as connection:
            if await canaries.running(connection) is None:
                return None
            return await self._judged(connection)

    async def last_canary(self, release_id: str) -> tuple[Canary, Judgement] | None:
        """The last canary of a release, judged anew from its rows."""
        async with self._engine.connect() as connection:
            canary = await canaries.newest(connection, release_id)
            return (canary, await canaries.judgement(connection, canary.id)) if canary else None

    @staticmethod
    async def _end_canary(connection: AsyncConnection, by: str, why: str) -> None:
        """End a canary whose opponent is no longer live."""
        if canary := await canaries.running(connection):
            judged = await canaries.judgement(connection, canary.id)
            await canaries.end(connection, canary, canaries.STOPPED, by=by, verdict=why, evidence=judged.as_json())

    @staticmethod
    async def _judged(connection: AsyncConnection) -> tuple[Canary, Judgement]:
        canary = await canaries.running(connection)
        if canary is None:
            raise Misconfigured("No canary runs. `octant release canary ID --share 10%` starts one.")
        return canary, await canaries.judgement(connection, canary.id)


def _check_reason(reason: str, *, force: bool) -> None:
    if force and not reason.strip():
        raise Misconfigured("--force needs a --reason that says why this release goes on without the evidence.")


async def _check_spaces(connection: AsyncConnection, release: Release) -> None:
    """Refuse other vectors under an alias of embeddings that was ever live: clients' indexes hold the earlier ones."""
    ever = list((await connection.execute(select(manifests.c.text).where(manifests.c.id != release.id))).scalars())
    if problems := changed_spaces(release.text, ever):
        raise Misconfigured(f"Release {release.id} cannot be live:\n  " + "\n  ".join(problems))


async def _alone(connection: AsyncConnection) -> None:
    """Wait until no other operator changes releases, for as long as a statement may take."""
    await connection.execute(sql("SET LOCAL lock_timeout = 0"))
    await connection.execute(select(func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
