"""Rollback: the newest rehearsal of the way back with its seconds, the log's signatures, and rollbacks that were real."""

import asyncio
from collections.abc import Sequence

from app.console import formats
from app.console.followed import of_changes
from app.console.readiness.answers import Answer, Evidence, State, missing, of_rehearsal
from app.console.readiness.played import attempted, newest_kept, played, under_way
from app.console.readiness.sources import Found, Sources
from app.domain.errors import Misconfigured
from app.domain.setting_types import DEVELOPMENT_SECRET
from app.releases.following import Followed
from app.releases.history import ROLLBACK as WENT_BACK
from app.releases.history import Activation
from app.releases.rehearsals import END_REASON, FILE, REASON, ROLLBACK, LogCheck, Rehearsal, Step, every, verify

QUESTION = "How many seconds does it take to undo a bad release, and when did you last try?"
COMMAND, BAD_RELEASE = "octant rehearse", "bad-release"
WEAK_SIGNATURE = "The secret of this service is the one of development, which everyone knows: a slip is found, a forgery is not"
OWN_LOG = (
    f"Name a new file in OCTANT_REHEARSALS_FILE: `{COMMAND}` signs every line that it writes there, and `octant rehearse verify`"
    " checks them."
)
UNREADABLE, NEVER = "The log of rehearsals cannot be read.", "The way back was never rehearsed here."


async def answer(sources: Sources) -> Answer:
    """Read the log of rehearsals and check its signatures; read the history of releases."""
    try:
        counted = await sources.newest(ROLLBACK)
        signed = await asyncio.to_thread(_verified, sources)
        log = await asyncio.to_thread(every, sources.rehearsals_file, sources.state_dir)
        listed = sources.found(log, await sources.began()) if log else []
    except (Misconfigured, ValueError) as error:
        found = [Evidence(name="Log of rehearsals", value=str(error), state="failing", command="octant rehearse verify")]
        return Answer(axis="Rollback", question=QUESTION, words=UNREADABLE, evidence=found, command=COMMAND)
    if counted is None:
        found = [missing("Rehearsal", "none is in the log", COMMAND), *played(sources, BAD_RELEASE)]
        words = NEVER + _taken_back(sources) + under_way(sources, BAD_RELEASE)
        return Answer(axis="Rollback", question=QUESTION, words=words, evidence=found, command=COMMAND)
    found = [*_rehearsal(counted, sources), *played(sources, BAD_RELEASE)]
    found.append(_signed(signed, sum(not one.own for one in listed), sources))
    past, took = await sources.releases.history(200), None
    real = [one for one in past if one.kind == WENT_BACK and one.reason not in (REASON, END_REASON)]
    if real:
        last, took = real[0], (await of_changes(sources.engine, real[:1])).get(real[0].number)
        seconds = _took(took) or "its seconds were not measured"
        value = f"{formats.number(len(real), 'rollback')}, the last to release {last.release}: {last.reason}; {seconds}"
        found.append(
            Evidence(name="Rollbacks here", value=value, at=last.at, link="/console/releases", command="octant release history")
        )
    words = _really(real, took, _words(counted, sources, "One" if took else "A rollback"), sources)
    words += _taken_back(sources) + under_way(sources, BAD_RELEASE)
    return Answer(axis="Rollback", question=QUESTION, words=words, evidence=found, command=COMMAND)


def _verified(sources: Sources) -> LogCheck:
    """The signatures of both logs that the page lists. Raises Misconfigured for an invalid line."""
    return verify(sources.rehearsals_file, sources.secret) + verify(sources.state_dir / FILE, sources.secret)


def _signed(signed: LogCheck, elsewhere: int, sources: Sources) -> Evidence:
    """The results of all kinds by their signature. ``elsewhere``: how many came with the code, as the page marks them."""
    strange, whole = signed.foreign + signed.unsigned, signed.signed + signed.foreign + signed.unsigned
    of = f"of {formats.number(whole, 'result')} in the logs of rehearsals"
    parts = [f"{elsewhere} {of} came with the code"] if elsewhere else []
    if strange:
        parts.append(f"This service did not sign {strange} {of}, so it cannot find a later change there")
    value = ". ".join(parts) or f"this service signed each {of}"
    if signed.signed and sources.secret == DEVELOPMENT_SECRET.encode():
        value += f". {WEAK_SIGNATURE}"
    held: State = "failing" if signed.problems else "gaps" if strange or elsewhere else "proved"
    return Evidence(
        name="Signed results", value="; ".join(signed.problems) or value, state=held, closed_by=OWN_LOG,
        command="octant rehearse verify",
    )  # fmt: skip


def _really(rollbacks: Sequence[Activation], took: Followed | None, rehearsed: str, sources: Sources) -> str:
    """The newest rollback here that was no rehearsal, and the ``rehearsed`` one: first the real one where it was measured.

    ``rollbacks``: the newest first.
    """
    if not rollbacks:
        return rehearsed
    ago, release = formats.span(sources.now - rollbacks[0].at), rollbacks[0].release
    if took is None:
        return f"{rehearsed} An operator rolled back here {ago} ago, to release {release}."
    return f"An operator rolled back here {ago} ago, to release {release}: {_took(took)}. {rehearsed}"


def _took(took: Followed | None) -> str:
    """The seconds, and the clock: a command or a button measures itself, and a rehearsal the whole command."""
    if took is None:
        return ""
    last, seconds = formats.number(took.workers, "worker"), formats.seconds(took.seconds)
    return f"the last of {last} served it {seconds} after the command or the button began"


def _taken_back(sources: Sources) -> str:
    """The newest game day on which a bad release was taken back here, from the fault's begin: detection is in it."""
    day = newest_kept(sources, BAD_RELEASE)
    if day is None or day.contained is None:
        return ""
    ago = formats.span(sources.now - day.at)
    seconds = f"{formats.seconds(day.contained)} after its first failure, detection included"
    return f" On a game day {ago} ago a bad release was taken back {seconds}."


def _slowest(rehearsal: Rehearsal) -> Step | None:
    return max(rehearsal.steps, key=lambda step: step.seconds, default=None)


def _rehearsal(found: Found, sources: Sources) -> list[Evidence]:
    """The whole and, where it names them, its steps: a run of elsewhere proves neither here."""
    newest = found.rehearsal
    state = of_rehearsal(newest, sources.now, whole=found.own)
    where = f" on {newest.environment}" if newest.environment and newest.environment != "its own" else " on a service of its own"
    workers = f" with {formats.number(newest.workers, 'worker')}" if newest.workers else ""
    value = f"{newest.result}{where}{workers}{found.mark}" if newest.judged else newest.result
    here = f"`{COMMAND}` rehearses and times it here."
    whole = Evidence(name="Rehearsal", value=value, state=state, closed_by=here, at=newest.at, command=COMMAND)
    if not newest.steps or not newest.judged:
        return [whole, *attempted(found, COMMAND)]
    listed = f"{formats.number(len(newest.steps), 'step')}, each until the last worker follows, beside its limit"
    steps = Evidence(
        name="Each step", value=listed, state=state, closed_by=here, at=newest.at, link="/console/releases",
        rows=[("Step", "From its command", "From its write", "Promise"), *map(_timed, newest.steps)],
    )  # fmt: skip
    return [whole, steps, *attempted(found, COMMAND)]


def _timed(step: Step) -> tuple[str, str, str, str]:
    """A step with both of its times: the one that is promised beside the promise, the other beside its limit where it has none.

    Old lines name neither. A step that took longer than its limit has that beside it, too: it is why the step was not kept.
    """
    over = step.limit and (not step.promise or step.seconds > step.limit)
    took, wrote = formats.seconds(step.seconds), formats.seconds(step.written)
    return (
        step.name, f"{took} of {step.limit:g} s" if over else took,
        f"{wrote} of {step.promise:g} s" if step.written is not None and step.promise else wrote,
        "kept" if step.kept else "not kept",
    )  # fmt: skip


def _words(found: Found, sources: Sources, one: str = "A rollback") -> str:
    """The rehearsed rollback with its seconds, as ``one`` in the sentence."""
    newest = found.rehearsal
    back = [step for step in newest.steps if step.name.startswith("rollback") and "code" not in step.name]
    ago = formats.span(sources.now - newest.at) + " ago"
    ago += "" if found.own else f", not here ({newest.recorded}),"
    if not newest.judged:
        return f"{NEVER} An attempt {ago.rstrip(',')} was {newest.result}."
    if not newest.kept:
        return f"The rehearsal {ago} did not keep the promise: {newest.result}."
    slowest = _slowest(newest)
    if not back or slowest is None:
        return f"Rehearsed {ago.rstrip(',')}: {newest.result}."
    longest = max(back, key=lambda step: step.seconds)  # both of its times: another step's would not fit into one sentence
    after = longest.written
    began = f"{formats.seconds(longest.seconds)} from the start of the command"
    took = (
        f"{formats.seconds(after)} from its write to the store (the promise of {longest.promise:g} s was kept) and {began}"
        if after
        else began
    )
    return (
        f"{one} that was rehearsed {ago} took {took} until the last worker answered with the earlier prompt, model, index or"
        f" prices. The slowest of {formats.number(len(newest.steps), 'step')}, {slowest.name}, took"
        f" {formats.seconds(slowest.seconds)}."
    )
