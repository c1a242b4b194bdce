"""Actions on releases: activate one, go back, start, end or promote a canary. Each says what it changes, in numbers."""

import shlex
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from app.budget.pricing import cost
from app.console import formats
from app.console.acting import Act, Asked, Choices, Done
from app.console.console import Console, Elsewhere, link
from app.console.release_change import effects, summary
from app.console.running import number_running
from app.console.sessions import Session
from app.domain.errors import InvalidRequest, Misconfigured
from app.domain.money import MICROS_PER_DOLLAR, from_dollars
from app.releases.canaries import Canary
from app.releases.compared import compare
from app.releases.eval_gate import remedy
from app.releases.following import followed, until_followed
from app.releases.refusal import Refusal
from app.releases.setting_back import Pinned
from app.releases.shares import share_of
from app.releases.way_back import way_back

BACK = "/console/releases"
CANARY = f"{BACK}?tab=canary"
WHY = ' --reason "…"'
CANARY_DOLLARS, CANARY_DAYS = 10, 7  # as the command's defaults
SINGLE = ("index", "prices")  # pins of which a release has one
OF_ROLLBACK = ("to", "before", "prompt", "model", "only", "live")  # ``before``: the release before, which needs no force
OF_CANARY = ("release",)  # the one that the page was about: another operator may have ended it, and begun another

CONFIRM = "Also without eval results: users get what no suite has proven"

T = TypeVar("T")
Values = Mapping[str, str]


@contextmanager
def refusals() -> Iterator[None]:
    """A release that cannot be what an operator wants is an answer, not a defect. Raises InvalidRequest for Misconfigured."""
    try:
        yield
    except Misconfigured as error:
        raise InvalidRequest(str(error)) from None


def actions(console: Console) -> Iterator[Act]:
    """The actions."""
    for act in _actions(console):
        yield replace(act, ask=_refusing(act.ask), do=_refusing(act.do))


def _refusing(act: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    async def refusing(*given: Any) -> T:  # noqa: ANN401 - passed through
        with refusals():
            return await act(*given)

    return refusing


def _actions(console: Console) -> Iterator[Act]:
    for force in (False, True):
        also, by_force = ({"action": " --force"}, " by force") if force else ({}, "")
        name = "release-activate" + ("-force" if force else "")
        yield Act(
            name=name, fields=("release",), ask=partial(_ask_activate, console, force=force),
            do=partial(_activate, console, force=force), back=BACK, action="release activate" + also.get("action", ""),
            label="Activate release" + by_force, choices=partial(_choices, console),
        )  # fmt: skip
        name = "release-promote" + ("-force" if force else "")
        yield Act(
            name=name, fields=OF_CANARY, optional=OF_CANARY, ask=partial(_ask_promote, console, force=force),
            do=partial(_promote, console, force=force), back=CANARY, action="release promote" + also.get("action", ""),
            label="Promote the canary" + by_force,
        )  # fmt: skip
        name = "release-canary" + ("-force" if force else "")
        yield Act(
            name=name, fields=("release", "share"), ask=partial(_ask_canary, console, force=force),
            do=partial(_try_out, console, force=force), back=CANARY, action="release canary" + also.get("action", ""),
            label="Start a canary" + by_force, choices=partial(_choices, console),
        )  # fmt: skip
        yield Act(
            name="rollback" + ("-force" if force else ""), fields=OF_ROLLBACK, optional=OF_ROLLBACK,
            ask=partial(_ask_rollback, console, force=force), do=partial(_roll_back, console, force=force), back=BACK,
            action="rollback" + also.get("action", ""), label="Roll back" + by_force, choices=partial(_choices, console),
        )  # fmt: skip
    yield Act(
        name="release-abort", fields=OF_CANARY, optional=OF_CANARY, ask=partial(_ask_abort, console),
        do=partial(_abort, console), back=CANARY, label="End the canary",
    )  # fmt: skip


async def _choices(console: Console, _: Values) -> Choices:
    """The releases that are not live."""
    ids = [one.id for one in await console.parts.releases.listed()]
    others = [(one, one) for one in ids if one != console.parts.releases.known]
    return {"release": others, "to": others}


async def _ask_activate(console: Console, values: Values, *, force: bool) -> Asked:
    releases, wanted = console.parts.releases, values["release"]
    live = releases.known
    if wanted == live:
        raise InvalidRequest(f"Release {wanted} is live already.")
    lacking = await releases.lacking(wanted)
    effect, change = await _change(console, wanted), await effects(console, live, wanted)
    if lacking and not force:
        gate = f"It will be refused: {formats.unproven(len(lacking))}, the worst: {lacking[0]} {remedy(wanted, lacking)}"
    elif lacking:
        gate = (
            f"It will go live without {formats.number(len(lacking), 'eval result')}, such as: {lacking[0]}"
            " An alert will fire until a release with results is live."
        )
    else:
        gate = "It has every eval result that it needs."
    return Asked(
        title=f"Activate {wanted}" + (" without eval results" if force else ""), effect=f"{effect} {gate}",
        command=f"octant release activate {shlex.quote(wanted)}{WHY}{' --force' if force else ''}",
        undo=await _undo(console, live), undo_at=_back_to(live), button="Activate",
        harm=change.harm, facts=change.facts,
    )  # fmt: skip


async def _change(console: Console, wanted: str) -> str:
    """What users get instead of the live release, and on how many workers."""
    releases = console.parts.releases
    workers = len(await releases.reports())
    words = f"{formats.number(workers, 'worker')} will serve {wanted} within 5 s instead of {releases.known or 'nothing'}."
    words += f" Calls under way keep the release that they began with ({await number_running(console)})."
    if canary := await releases.canary():
        words += f" The canary {canary[0].release} at {formats.share(canary[0].share)} of the users will end."
    found = await releases.find(wanted)
    live = (await releases.find(releases.known)).release if releases.known else None
    if found.problem:
        return f"{words} {found.problem}"
    return f"{words} {summary(compare(live, found.release, await releases.traffic(), cost))}" if live and found.release else words


async def _activate(console: Console, values: Values, reason: str, session: Session, *, force: bool) -> Done:
    wanted, started = values["release"], time.monotonic()
    lacking = await console.parts.releases.activate(wanted, by=session.actor, reason=reason, force=force)
    done = await _followed(console, wanted, started)
    return replace(done, words=done.words + (f" {formats.unproven(len(lacking))}." if lacking else ""))


async def _followed(console: Console, live: str, started: float) -> Done:
    """Wait until the workers follow, and say how soon the last of them did; the log keeps it."""
    took, releases = None, console.parts.releases
    with suppress(SQLAlchemyError, OSError):  # it is done, whatever the reports say
        took = followed(await until_followed(releases.reports, live), live, started)
    if took is None:
        return Done(f"Release {live} is live.")
    last, seconds = formats.number(took.workers, "worker"), formats.seconds(took.seconds)
    return Done(f"Release {live} is live: the last of {last} served it after {seconds}.", took.noted)


def _pinned(values: Values) -> Pinned | None:
    if values.get("prompt"):
        return Pinned("prompt", values["prompt"])
    if values.get("model"):
        return Pinned("model", values["model"])
    if not values.get("only"):
        return None
    if values["only"] not in SINGLE:
        raise InvalidRequest(f"Of one pin alone: {' or '.join(SINGLE)}, a prompt or a model.", param="only")
    return Pinned("index" if values["only"] == "index" else "prices")


def _back_to(release: str) -> str:
    return link("/console/do/rollback", {"to": release}) if release else ""


async def forth(console: Console, live: str) -> tuple[str, str]:
    """The command that takes a rollback back, and its page."""
    force = bool(live and (await console.parts.releases.refusal(live)).lacking)
    page = link(f"/console/do/release-activate{'-force' if force else ''}", {"release": live})
    return f"octant release activate {live}{WHY}{' --force' if force else ''}", page


async def _undo(console: Console, live: str) -> str:
    """The command that goes back to the live release; one that the gate refuses needs force as any other."""
    if not live:
        return ""
    force = " --force" if (await console.parts.releases.refusal(live)).lacking else ""
    return f"octant rollback --to {live}{WHY}{force}"


async def _ask_rollback(console: Console, values: Values, *, force: bool) -> Asked:
    only, live = _pinned(values), console.parts.releases.known
    way = await way_back(console.parts.engine)
    target = values.get("to") or values.get("before") or way.previous
    if not only and not target:
        raise Elsewhere("/console/releases#rollback")  # it says so, and takes a rollback back
    if not only and target == way.release:
        raise InvalidRequest(f"Release {target} is live already.")
    if only and values.get("live", live) not in ("", live):
        raise InvalidRequest(f"Release {live} is live now, and no longer {values['live']}: see what it would set back.")
    undo, undo_at = await forth(console, live)
    if only:
        flag = f"--{only.kind}" + (f" {shlex.quote(only.name)}" if only.name else "")
        workers = formats.number(len(await console.parts.releases.reports()), "worker")
        effect = (
            f"{workers} will serve a new release within 5 s: {live} with the {only} as it was in the newest earlier release that"
            " has another. The other pins stay."
        )
        return Asked(
            title=f"Set back the {only} alone", effect=effect, command=f"octant rollback {flag}{WHY}", button="Roll back",
            settled={"live": live}, undo=undo, undo_at=undo_at,
        )  # fmt: skip
    named = bool(values.get("to")) or target != way.previous
    refused, change = await console.parts.releases.refusal(target), await effects(console, live, target)
    by_force = named and refused.by_force
    to = f" --to {shlex.quote(target)}" if named or not refused.lacking else ""
    command = f"octant rollback{to}{WHY}{' --force' if by_force else ''}"
    return Asked(
        title=f"Roll back to {target}" + (" without eval results" if by_force else ""), effect=await _change(console, target),
        command=command, button="Roll back by force" if by_force else "Roll back",
        settled={"to": target} if named else {"before": target}, refused=_refused(refused, by_force=by_force),
        instead="rollback-force" if by_force and not force else "", confirm=CONFIRM if by_force else "",
        harm=change.harm, facts=change.facts, undo=undo, undo_at=undo_at,
    )  # fmt: skip


def _refused(refusal: Refusal, *, by_force: bool) -> list[str]:
    """The gate's refusal, the worst reasons and what passes; none where it passes."""
    if not refusal.lacking:
        return []
    end = "it goes live by force alone" if by_force else "the release before goes live nevertheless: no way back waits"
    return [f"{refusal.head}; {end}. An alert will fire until a release with results is live.", *refusal.worst, refusal.instead]


async def _roll_back(console: Console, values: Values, reason: str, session: Session, *, force: bool) -> Done:
    only, started, releases = _pinned(values), time.monotonic(), console.parts.releases
    before = values.get("before", "")
    plain = bool(before) and before == (await way_back(console.parts.engine)).previous  # the command without --to
    to = values["to"] or before or None
    live = await releases.rollback(by=session.actor, reason=reason, to=to, only=only, force=(force or plain) and not only)
    return await _followed(console, live, started)


async def _canary(console: Console, values: Values) -> tuple[Canary, str, str]:
    """The running canary, the sentence about its evidence, and its verdict.

    Raises InvalidRequest where none runs, or another one than the page was about.
    """
    running = await console.parts.releases.canary()
    if running is None:
        raise InvalidRequest("No canary runs.")
    if values.get("release") and values["release"] != running[0].release:
        raise InvalidRequest(f"The canary {values['release']} has ended; {running[0].release} runs now.")
    return running[0], running[1].why, running[1].verdict


def _share(text: str) -> float:
    share = share_of(text)
    if not 0 < share < 1:
        raise InvalidRequest("A canary's share lies between 0 and 100 %.", param="share")
    return share


async def _ask_canary(console: Console, values: Values, *, force: bool) -> Asked:
    releases, wanted, share = console.parts.releases, values["release"], _share(values["share"])
    running = await releases.canary()
    if running and running[0].release != wanted:
        raise InvalidRequest(f"The canary {running[0].release} is running. End or promote it first.")
    if running and share <= running[0].share:
        raise InvalidRequest(f"The canary has {formats.share(running[0].share)} already; its share can only grow.")
    live = releases.known
    if wanted == live:
        raise InvalidRequest(f"Release {wanted} is live already.")
    found, users = await releases.find(wanted), await effects(console, live, wanted)
    before = (await releases.find(live)).release if live else None
    change = found.problem or ""
    if before and found.release:
        change = summary(compare(before, found.release, await releases.traffic(), cost))
    lacking = [] if running else await releases.lacking(wanted)
    gate = f" {formats.unproven(len(lacking))}" + ("." if force else ", so it will be refused.") if lacking else ""
    cap = formats.usd(CANARY_DOLLARS * MICROS_PER_DOLLAR)
    instead = f", now {formats.share(running[0].share)} do" if running else f"; the others will stay on release {live}"
    return Asked(
        title=f"Give {wanted} to {formats.share(share)} of the users" + (" without eval results" if force else ""),
        effect=f"{formats.share(share)} of the users will get {wanted} within 5 s{instead}. {change}{gate} The service will"
        f" end it by itself on evidence that it is worse, or when its calls cost {cap}; an operator decides within"
        f" {CANARY_DAYS} days.",
        command=f"octant release canary {shlex.quote(wanted)} --share {share * 100:.4g}%{WHY}{' --force' if force else ''}",
        undo=f"octant release abort{WHY}", undo_at="/console/do/release-abort",
        button="Widen it" if running else "Start the canary", harm=users.harm, facts=users.facts,
    )  # fmt: skip


async def _try_out(console: Console, values: Values, reason: str, session: Session, *, force: bool) -> str:
    begun = await console.parts.releases.try_out(
        values["release"], _share(values["share"]), by=session.actor, reason=reason, cap=from_dollars(str(CANARY_DOLLARS)),
        days=CANARY_DAYS, force=force,
    )  # fmt: skip
    return f"{formats.share(begun.share)} of the users get release {begun.release}; the others release {begun.against}."


async def _ask_abort(console: Console, values: Values) -> Asked:
    canary, why, _verdict = await _canary(console, values)
    return Asked(
        title=f"End the canary {canary.release}",
        effect=f"{formats.share(canary.share)} of the users will get {canary.against} again within 5 s, as all others do. {why}",
        command=f"octant release abort{WHY}", button="End the canary", settled={"release": canary.release},
        undo=f"octant release canary {canary.release} --share {canary.share:.0%}{WHY}",
        undo_at=link("/console/do/release-canary", {"release": canary.release, "share": f"{canary.share:.0%}"}),
    )  # fmt: skip


async def _abort(console: Console, _: Values, reason: str, session: Session) -> str:
    ended = await console.parts.releases.abort(by=session.actor, reason=reason)
    return f"The canary {ended.release} has ended; every user gets release {ended.against}."


async def _ask_promote(console: Console, values: Values, *, force: bool) -> Asked:
    canary, why, verdict = await _canary(console, values)
    lacking = await console.parts.releases.lacking(canary.release)
    change = await effects(console, canary.against, canary.release)
    gate = "" if verdict == "promote" else " The evidence does not reach a promotion." + ("" if force else " It will be refused.")
    if lacking:
        gate += f" {formats.unproven(len(lacking))}" + ("." if force else ", so it will be refused.")
    return Asked(
        title=f"Promote the canary {canary.release}" + (" without the evidence" if force else ""),
        effect=f"All users will get release {canary.release} within 5 s; now {formats.share(canary.share)} do. {why}{gate}",
        command=f"octant release promote{WHY}{' --force' if force else ''}",
        undo=await _undo(console, canary.against), undo_at=_back_to(canary.against), button="Promote",
        settled={"release": canary.release}, harm=change.harm, facts=change.facts,
    )  # fmt: skip


async def _promote(console: Console, _: Values, reason: str, session: Session, *, force: bool) -> Done:
    started = time.monotonic()
    promoted = await console.parts.releases.promote(by=session.actor, reason=reason, force=force)
    return await _followed(console, promoted.release, started)
