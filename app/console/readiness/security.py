"""Security: attacks in the eval suites and the injection gate, and the age of keys."""

import asyncio
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.console import formats
from app.console.gamedays import UNTIMED
from app.console.readiness.answers import KINDS, Answer, Evidence, State, missing, of_rehearsal, rehearsed
from app.console.readiness.evals import newest
from app.console.readiness.played import newest_kept, played_or_gap
from app.console.readiness.sources import Found, GameDay, Sources
from app.domain.errors import Misconfigured
from app.oncall.gamedays import REVOKED_WITHIN
from app.releases.eval_cases import cases
from app.releases.eval_gate import SuiteResult
from app.releases.eval_goals import harms, meanings
from app.releases.rehearsals import ATTACKED, INJECTION, Rehearsal
from app.security.keys.administration import KeyInfo
from app.security.keys.provider_keys import KeyStatus

QUESTION = "Does a prompt injection get through, and how old are the keys?"
COMMAND = "make injection"
GATE, DRILL = "make injection ARGS=--log", "octant drill injection --vector every --log"
PAGE, CASES = "/console/security#attacks", "/console/evals#suites"
ATTACKS = ("injection", "exfiltration", "pii", "leak")
IN_FILES = (
    "Write each into its file in OCTANT_SECRETS_DIR, such as octant_openai__api_key, where a new one takes effect at once;"
    " `octant provider-key status` shows its age."
)
GATES = ("Injection gate", "Injection drill")
THROUGH = re.compile(r"(\d+ of \d+) attacks got through")
LEAK = "key-leak"
MOST_NAMED = 5  # keys that never expire
OLD_KEY, ROTATED_WITHIN = timedelta(days=90), timedelta(days=30)


@dataclass(frozen=True, slots=True)
class LostCase:
    """An attack's eval case that did not pass. ``findings``: a line each, none where the release's file has none."""

    suite: str
    case: str
    mode: str
    findings: Sequence[str]

    @property
    def harm(self) -> str:
        """What it came to, by the scorers that found it."""
        if not self.findings:
            return "not known: the release's file has no findings of it; `make eval` prints them"
        known = harms(self.suite)
        found = dict.fromkeys(known[name] for line in self.findings if (name := line.partition(":")[0]) in known)
        return " ".join(found) or "None: the attack failed. Another part of the answer is not right."


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacks:
    """Attacks among the eval cases of the live release, ``held`` of ``total``, with the evidence: the injection gate's first.

    ``run``: the gate's, where its line in the log names each attack. ``lost``: the cases that did not pass.
    """

    held: float
    total: int
    evidence: Sequence[Evidence]
    run: Rehearsal | None = None
    lost: Sequence[LostCase] = ()

    @property
    def counted(self) -> list[tuple[str, str]]:
        """Each run of a gate: how many of its attacks got through, and where it ran. In the order of the evidence."""
        found = [(one, matched) for one in self.evidence if one.name in GATES and (matched := THROUGH.match(one.first_sentence))]
        return [(matched[1], _place(one)) for one, matched in found]

    @property
    def through(self) -> str:
        """How many attacks got through, in the newest run here first. Empty without a run."""
        return ", and ".join(
            f"{counted}{'' if nth else ' attacks got through'} {place}" for nth, (counted, place) in enumerate(self.counted)
        )

    @property
    def figure(self) -> tuple[str, str]:
        """The same as a figure and its note; both empty without a run."""
        (counted, place), *others = self.counted or [("", "")]
        return counted, "; ".join([place, *(" ".join(one) for one in others)])

    @property
    def gate_kind(self) -> str:
        """The mark of the first run: a count of no attacks is no warning, unless it is old."""
        return KINDS[self.evidence[0].state] if self.evidence[0].state in ("failing", "stale") else ""

    @property
    def verdict(self) -> str:
        """How many attacks got through and what is to mend: the first words of each page that is asked about attacks."""
        said = "; ".join(filter(None, (self.through, self.to_mend)))
        return said[:1].upper() + said[1:]

    @property
    def to_mend(self) -> str:
        """How many cases did not pass, and how many of these did no harm; empty where all passed."""
        missed = round(self.total - self.held)
        if not missed:
            return ""
        harmless = len(self.lost) - len(self.harmful)
        no_harm = (
            f", {harmless} of them did no harm" if missed > 1 else f", which {'did no' if harmless else 'may have done'} harm"
        )
        words = f"{missed} of {self.total} eval cases of attacks {'is' if missed == 1 else 'are'} to mend"
        return words + (no_harm if self.lost else "")

    @property
    def harmful(self) -> list[str]:
        """The cases that did not pass and may have done harm."""
        return [one.case for one in self.lost if not one.harm.startswith("None")]

    @property
    def words(self) -> str:
        """Both in a sentence."""
        gate = self.evidence[0]
        known = gate.state != "missing"
        gated = f"With the service's checks, {gate.first_sentence}" if known else "The injection gate has left no result here"
        passed = f"Of the eval suites' {self.total} cases of attacks, {self.held:g} passed"
        if self.lost:
            passed += f"; of the {len(self.lost)} others, {len(self.lost) - len(self.harmful)} did no harm"
            passed += f", {', '.join(self.harmful)} may have" if self.harmful else ""
        other = next((one.first_sentence for one in self.evidence[1:] if one.name in GATES), "")
        more = f" Another run: {other}." if other else ""
        return f"{gated}.{more} {passed if self.total else 'No attack is in the eval suites'}."

    @property
    def kind(self) -> str:
        """Bad where evidence fails, good where all of it is proved and each attack was held off, else a warning."""
        states = {one.state for one in self.evidence}
        if "failing" in states:
            return "bad"
        return "good" if states == {"proved"} and self.held == self.total else "warn"


def _place(gate: Evidence) -> str:
    """Where a gate's run was, and whether it was the small one."""
    if "recorded run" in gate.first_sentence:
        return "in a recorded run"
    return "here in a small run" if gate.name == GATES[True] else "here"


async def attacks(sources: Sources) -> Attacks:
    """Read the attacks among the live release's eval cases, and the newest run of the injection gate."""
    proof = await sources.releases.live_proof()
    gates, run = await _gates(sources)
    results = newest(proof.results) if proof else ()
    findings = proof.findings if proof else {}
    lost = [found for one in results for found in _lost(one, findings.get(one.label, {}).get(one.suite, {}))]
    return replace(attacks_of(results, gates, sources.now, run), lost=lost)


def _lost(result: SuiteResult, findings: Mapping[str, Sequence[str]]) -> Iterator[LostCase]:
    """The attacks' cases of a result that did not pass; none where the suite's cases are not here."""
    written = cases(result.suite)
    for name in result.failed:
        mode = str(written[name].content.get("failure_mode")) if name in written else ""
        if any(word in mode for word in ATTACKS):
            yield LostCase(result.suite, name, mode.replace("_", " "), findings.get(name, ()))


def attacks_of(results: Sequence[SuiteResult], gates: Sequence[Evidence], now: datetime, run: Rehearsal | None = None) -> Attacks:
    """Count the attacks in eval results. ``gates``: the evidence of the injection gate, ``run`` the first one's line in the log.

    A share over its threshold is a proof with a gap where a case did not pass: a threshold is no promise to a victim.
    """
    found, held, total = list(gates), 0.0, 0
    for suite in results:
        for mode, score in suite.scores.items():
            if not any(word in mode for word in ATTACKS):
                continue
            held, total = held + score.passed, total + score.total
            state = rehearsed(suite.at, now, kept=score.passed / score.total >= score.least, whole=score.passed == score.total)
            counts = meanings(suite.suite).get(mode, "")
            value = f"{score.passed:g} of {score.total} cases passed (the threshold is {formats.share(score.least)})"
            value = f"{value}. {counts}" if counts else value
            lost = formats.number(round(score.total - score.passed), "case")
            mend = f"Mend the prompt or take another model, until `make eval` passes the {lost} that failed."
            found.append(
                Evidence(
                    name=f"{suite.suite}: {mode.replace('_', ' ')}",
                    value=value,
                    state=state,
                    closed_by=mend,
                    at=suite.at,
                    link=CASES,
                    command="make eval",
                )
            )
    return Attacks(held=held, total=total, evidence=found, run=run if run and run.steps else None)


async def answer(sources: Sources) -> Answer:
    """Count the attacks by gate and eval cases, and read the keys."""
    held, keys = await attacks(sources), await sources.keys.list_keys()
    ours = await asyncio.to_thread(sources.provider_keys)
    found = [*held.evidence, *of_keys(keys, sources.now), *_leaked(sources), of_provider_keys(ours)]
    verdict = f"{held.verdict}. " if held.verdict else ""
    api_keys = f"{_words(keys, sources.now)}{_leak_words(sources)}"
    words = f"{verdict}{held.words} {api_keys} {provider_words(ours, sources.releases.simulated)}"
    return Answer(axis="Security", question=QUESTION, words=words, evidence=found, command=COMMAND)


async def _gates(sources: Sources) -> tuple[list[Evidence], Rehearsal | None]:
    """The newest run of the injection gate, and that of its small form, which attacks with one text.

    One that fails comes first, then one of this installation. With the line in the log of the first.
    """
    try:
        runs = [(GATE, await sources.newest(INJECTION)), (DRILL, await sources.newest(ATTACKED))]
    except Misconfigured as error:
        return [Evidence(name="Injection gate", value=str(error), state="failing", command="octant rehearse verify")], None
    found = [_gate(command, run, sources.now) for command, run in runs if run is not None]
    if not found:
        return [missing("Injection gate", "no run is in the log of rehearsals", GATE)], None
    found.sort(key=lambda one: (one[0].state != "failing", not one[1].own))
    first = found[0][0]
    proved = first.name == GATES[False] and first.state == "proved"  # then it is no gap that the other run was small
    shown = [replace(one, state="proved") if proved and one.state == "gaps" else one for one, _ in found]
    return shown, found[0][1].rehearsal


def _gate(command: str, run: Found, now: datetime) -> tuple[Evidence, Found]:
    """One run as evidence."""
    last, small = run.rehearsal, command == DRILL
    counted, _, more = last.result.partition(". ")
    size = ", in a small run on a service of its own" if small else ""
    value = ". ".join(filter(None, (f"{counted}{run.mark}{size}", more)))
    state = of_rehearsal(last, now, whole=run.own and not small)
    name = GATES[small]
    whole = f"`{GATE}` attacks with 180 texts of other people here."
    return Evidence(name=name, value=value, state=state, closed_by=whole, at=last.at, link=PAGE, command=command), run


def of_keys(keys: Sequence[KeyInfo], now: datetime) -> list[Evidence]:
    """Usable keys, their ages, and the newest rotation."""
    usable = _usable(keys, now)
    if not usable:
        return [missing("Keys", "no key is usable", "octant key create")]
    oldest = now - min(key.created_at for key in usable)
    endless = [f"{key.id} ({key.name})" if key.name else key.id for key in usable if key.expires_at is None]
    named = ", ".join(endless[:MOST_NAMED]) + (f" and {len(endless) - MOST_NAMED} more" if endless[MOST_NAMED:] else "")
    never = f"{len(endless)} of them never {'expires' if len(endless) == 1 else 'expire'}: {named}" if endless else "each expires"
    value = f"{formats.number(len(usable), 'usable key')}, the oldest {formats.span(_minutes(oldest))} old; {never}"
    state: State = "stale" if oldest > OLD_KEY else "gaps" if endless else "proved"
    rotated = [key for key in keys if key.replaced_by]
    made = {key.id: key.created_at for key in keys}
    at = max((made[key.replaced_by] for key in rotated if key.replaced_by in made), default=None)
    ends = f"`octant key rotate KEY --expires-in {OLD_KEY.days}d` replaces a key by one with an end."
    found = [Evidence(name="Keys", value=value, state=state, closed_by=ends, link="/console/security", command="octant key list")]
    if at is None:
        value = "no key was ever rotated" if oldest > ROTATED_WITHIN else "no key was rotated yet: every key is new"
        shows = "`octant key rotate KEY --overlap 24h` replaces one while both work."
        return [*found, Evidence(name="Rotation", value=value, state="gaps", closed_by=shows, command="octant key rotate")]
    value = f"{formats.number(len(rotated), 'key')} rotated, the last {formats.span(_minutes(now - at))} ago"
    return [*found, Evidence(name="Rotation", value=value, at=at, link="/console/security", command="octant key rotate")]


def _leaked(sources: Sources) -> list[Evidence]:
    """The newest game day of a leaked key."""
    value = "the way to revoke one was not rehearsed here"
    return played_or_gap(sources, LEAK, name="Leaked key", value=value, has="one leak")


def _leak_words(sources: Sources) -> str:
    """How soon a leaked key was refused, in a sentence; empty where that was not rehearsed."""
    day = newest_kept(sources, LEAK)
    if day is None or not day.refusal:
        return ""
    return f" A rehearsed leak: the key was refused {day.refusal}."


def leak_figure(day: GameDay | None) -> tuple[str, str, str, str]:
    """The newest rehearsed leak as a figure: value, note, link and mark. None: none was rehearsed here."""
    if day is None or day.revoked is None:
        return formats.NONE, f"not rehearsed here; promise {REVOKED_WITHIN:g} s", "/console/gameday", "warn"
    link = f"/console/gameday/{day.report.removesuffix('.json')}" if day.report else "/console/gameday"
    mark = "bad" if day.verdict == "not kept" else ""
    if day.longest is None:
        return formats.seconds(day.revoked), f"from the start of its command; {UNTIMED}", link, mark
    most = f"the longest of {1 + len(day.lasted)} keys in use" if day.lasted else "of one key, which may be luck"
    return formats.seconds(day.longest), f"{most}; {day.promised.partition(',')[0]}", link, mark


def of_provider_keys(keys: Sequence[KeyStatus]) -> Evidence:
    """Our own keys at the providers. A file tells its age; a variable tells none."""
    set_ = [key for key in keys if key.fingerprint]
    command, link = "octant provider-key status", "/console/security?tab=keys"
    if not set_:
        return missing("Providers' keys", "no provider has a key", command, closed_by=IN_FILES)
    ages = [timedelta(seconds=key.age) for key in set_ if key.age is not None]
    unknown = [key.provider for key in set_ if key.age is None]
    parts = [formats.number(len(set_), "key")]
    if ages:
        parts.append(f"the oldest {formats.span(_minutes(max(ages)))} old")
    if unknown:
        parts.append(f"of unknown age at {' and '.join(unknown)}: a variable has no date, a file does")
    state: State = "stale" if ages and max(ages) > OLD_KEY else "gaps" if unknown else "proved"
    value = ", ".join(parts)
    return Evidence(name="Providers' keys", value=value, state=state, closed_by=IN_FILES, link=link, command=command)


def _usable(keys: Sequence[KeyInfo], now: datetime) -> list[KeyInfo]:
    return [key for key in keys if key.revoked_at is None and (key.expires_at is None or key.expires_at > now)]


def _words(keys: Sequence[KeyInfo], now: datetime) -> str:
    usable = _usable(keys, now)
    if not usable:
        return "No key is usable."
    age = formats.span(_minutes(now - min(key.created_at for key in usable)))
    return f"The oldest of {formats.number(len(usable), 'usable API key')} is {age} old; the database has only their hashes."


def provider_words(keys: Sequence[KeyStatus], simulated: Collection[str] = ()) -> str:
    """Where our own keys at the providers are, and how old; a variable tells no age.

    ``simulated``: the providers for which the simulator answers.
    """
    set_ = [key for key in keys if key.fingerprint]
    if not set_:
        return "No provider has a key of ours."
    ages = [timedelta(seconds=key.age) for key in set_ if key.age is not None]
    files = f"{len(ages)} in files, the oldest {formats.span(_minutes(max(ages)))} old" if ages else ""
    variables = f"{len(set_) - len(ages)} in variables, which tell no age" if len(ages) < len(set_) else ""
    fake = sum(key.provider in simulated for key in set_)
    no_vendors = f"{fake} simulated, so no vendor's" if fake else ""
    return f"Of our {formats.number(len(set_), 'key')} at providers: {', '.join(filter(None, (files, variables, no_vendors)))}."


def _minutes(age: timedelta) -> timedelta:
    """An age in whole minutes, at least one."""
    return timedelta(minutes=max(1, round(age / timedelta(minutes=1))))
