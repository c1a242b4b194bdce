"""One game day: steady state, fault, detection, the runbook's commands, the end of the fault, recovery, verdict."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import Misconfigured
from app.oncall.gamedays import Line
from app.oncall.incidents import postmortem
from app.oncall.incidents.store import Clean, Incident, Incidents, RunbookChange
from app.stack import baseline
from app.stack.baseline import Verdict
from app.stack.gameday.instead import answered_instead
from app.stack.gameday.lease import FaultNotSet, Held
from app.stack.gameday.money import Money, around
from app.stack.gameday.page import Followed, Shell, commands, cut
from app.stack.gameday.pager import Pager, first_page
from app.stack.gameday.rogue import (
    REVOKE,
    BadRelease,
    calling,
    cap_of,
    capped,
    held_off,
    in_force,
    key_of,
    lasting,
    late,
    refused_after,
)  # fmt: skip
from app.stack.gameday.scenario import Phase, Probe, Scenario
from app.stack.gameday.traffic import Callers, measure, refusals, usual_model, usual_provider

TOOL_FAILED = "the tool failed"
TOOL_FAILED_CODE = 4
WARM_UP_SECONDS = 3.0
PAUSE = 0.5
BY = "gameday"


@dataclass(frozen=True, slots=True)
class Stage:
    """The service that is tried. ``control``: the address that holds leases, by where the fault is; ``clean`` redacts.

    ``pager``: where its pages go, None where paging is off. ``releases``: the folder of the live one; ``folder``: to write into.
    ``heard`` is called with each line of the timeline as it happens.
    """

    url: str
    key: str
    control: Mapping[str, str]
    env: Mapping[str, str]
    engine: AsyncEngine
    clean: Clean = str
    words: Mapping[str, str] = field(default_factory=dict)
    pager: Pager | None = None
    releases: Path | None = None
    folder: Path | None = None
    heard: Callable[[Line], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Judged:
    """One probe with its value."""

    name: str
    phase: Phase
    measure: str
    value: float | None
    holds: bool


@dataclass(slots=True)
class Outcome:
    """A game day that has ended. Times are seconds from the fault's begin; None: it did not happen.

    ``by``: the program that played it; empty for a person. ``money``: of the time before the fault, and of the fault; empty
    where the records could not be read. ``callers``: all but the rogue, whose answers are ``rogue``; ``cap``: the cap that met
    it. ``revoked``: seconds from `octant key revoke` until its first refused call; ``written``: these from its write to the
    store, without the command's own start; ``lasted``: these of further keys, each in use until then. ``refused``: honest
    refusals, of all, where nothing could answer. ``instead``: the model that answered, and ``headers`` of it.
    """

    scenario: str
    begun_at: datetime
    verdict: str = TOOL_FAILED
    by: str = ""
    reasons: list[str] = field(default_factory=list)
    fault_at: datetime | None = None
    detected: float | None = None
    paged: float | None = None
    acknowledged: float | None = None
    contained: float | None = None
    fault_ended: float | None = None
    recovered: float | None = None
    paging: str = "off"
    probes: list[Judged] = field(default_factory=list)
    followed: list[Followed] = field(default_factory=list)
    callers: dict[str, int] = field(default_factory=dict)
    rogue: dict[str, int] = field(default_factory=dict)
    cap: str = ""
    revoked: float | None = None
    written: float | None = None
    lasted: list[float] = field(default_factory=list)
    refused: tuple[int, int] | None = None
    instead: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    timeline: list[tuple[float, str]] = field(default_factory=list)
    postmortem: str = ""
    money: dict[str, Money] = field(default_factory=dict)

    @property
    def score(self) -> tuple[int, int]:
        """How many of the runbook's commands worked as they stand, of how many."""
        return sum(one.works for one in self.followed), len(self.followed)

    @property
    def exit_code(self) -> int:
        """0 kept, 1 not kept, 3 not judged, 4 the tool failed."""
        return TOOL_FAILED_CODE if self.verdict == TOOL_FAILED else Verdict(self.verdict).exit_code


class _Game:
    """The steps, with their clock."""

    def __init__(self, scenario: Scenario, stage: Stage, runbook: Path, callers: Callers, outcome: Outcome) -> None:
        self.scenario, self.stage, self.callers, self.outcome = scenario, stage, callers, outcome
        wanted, self._runbook = scenario.runbook, runbook
        page = (runbook / wanted.page).read_text(encoding="utf-8")
        self._contain, self._verify = commands(page, wanted.contain), commands(page, wanted.verify)
        self._recover = commands(page, wanted.recover)
        self._record = Incidents(stage.engine, clean=stage.clean)
        self._incident: Incident | None = None
        self._fault_at = 0.0
        self._usual = ""
        self.rogue: Callers | None = None
        self._revoked: float | None = None  # when the command that revokes a key was begun
        self.words: dict[str, str] = {}

    def say(self, words: str, at: float | None = None) -> None:
        """Add a line to the timeline. ``at``: the seconds of an event that is known only later."""
        at = round(self.passed if at is None else at, 2)
        self.outcome.timeline.append((at, words))
        self.outcome.timeline.sort(key=lambda line: line[0])
        self.stage.heard(Line(words, at))

    @property
    def fault_at(self) -> float:
        """The fault's begin, on the callers' clock."""
        return self._fault_at

    @property
    def passed(self) -> float:
        """Seconds since the fault began."""
        return self.callers.now - self._fault_at

    async def steady(self) -> tuple[str, ...]:
        """Why the steady state is none; empty where all is well."""
        limits = self.scenario.steady
        await asyncio.sleep(WARM_UP_SECONDS)
        begin = self.callers.now
        await asyncio.sleep(limits.seconds)

        async def settled() -> bool:
            return self.callers.settled >= begin + limits.seconds

        await self._until(settled, self.scenario.traffic.deadline)
        seen = self.callers.between(begin, begin + limits.seconds)
        self._usual = usual_provider(seen)
        samples = [one.sample for one in seen]
        return baseline.sickness(samples, baseline.Limits(answered=limits.answered, median=limits.median))

    async def fault(self, lease: Held) -> None:
        """From the fault's begin to its containment, which the page's commands then verify, or to its time."""
        self._fault_at, self.outcome.fault_at = self.callers.now, datetime.now(UTC)
        self.say(f"fault begins: {self.scenario.title}")
        detect, seconds = self.scenario.detect, self.scenario.fault.seconds
        self.outcome.detected = await self._until(lambda: self.shell().shows(detect.command, detect.shows), detect.within)
        if self.outcome.detected is None:
            self.say(f"`{self.shell().filled(detect.command)}` did not show it within {detect.within:g} s")
        else:
            self.say(f"`{self.shell().filled(detect.command)}` shows it", self.outcome.detected)
            self._incident = await self._opened(paged=await self._page())
            await self._follow(self._contain)
        before = self.passed
        contained = await self._until(self._served("contained", since=before), self.scenario.limits.contained_within)
        refused = held_off(self.rogue.between(self._fault_at, self.callers.now), self._fault_at) if self.rogue else None
        known = contained is not None and refused is not None and refused < contained  # it ended some seconds before the window
        self.outcome.contained = contained = refused if known else contained
        good = "contained" if self.scenario.limits.containable else "refused as promised; not contained"
        self.say(good if contained is not None else "not contained in time", contained)
        if self._revoked is not None and refused is not None:
            self.outcome.revoked = round(max(0.0, refused - self._revoked), 2)
            self.outcome.written = await refused_after(self.stage.engine, self.outcome.fault_at, refused)
        await self._follow(self._verify)
        if self.rogue and self.outcome.written is not None:
            self.outcome.lasted = await lasting(self.shell(), self.callers, self.stage.engine)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds - self.passed)):
                await lease.ended.wait()

    async def _page(self) -> bool:
        """Have the service page, and acknowledge it as a person would. Returns whether it paged."""
        alert, pager = self.scenario.detect.alert, self.stage.pager
        if not alert or pager is None:
            return False
        if not await pager.report(self.callers.http, alert, f"Rehearsal: {self.scenario.title}", firing=True):
            self.say(f"the service does not take {alert}")
            return False
        page = await pager.page()
        since = self.outcome.fault_at or datetime.now(UTC)  # both times are those of the store, as in the report's steps
        paged = (await first_page(self.stage.engine, since))[1]
        self.say(f"the drill raises {alert}, which pages" if page else f"{alert} is not paged in time", paged)
        if page:
            followed = await self.shell().follow(f"octant oncall ack {page[:8]} --as {BY}")
            acked = (await first_page(self.stage.engine, since))[2]
            self.say("acknowledged" if followed.works else f"not acknowledged: {cut(followed.output, 200)}", acked)
        return bool(page)

    async def _opened(self, *, paged: bool) -> Incident:
        """The incident that the page opened; without a page one is opened by hand."""
        if paged and (found := await self._record.list()):
            await self._record.assign(found[0], BY, by=BY)
            return found[0]
        return await self._record.open(f"Rehearsal: {self.scenario.title}", "sev3", by=BY, commander=BY)

    async def recovery(self) -> None:
        """From the end of the fault to callers that are served as before."""
        self.outcome.fault_ended = round(self.passed, 2)
        self.say("fault ends", self.outcome.fault_ended)
        await asyncio.gather(self._recovered(since=self.outcome.fault_ended), self._follow(self._recover))
        if self.stage.pager is not None and self.scenario.detect.alert:
            title = f"Rehearsal: {self.scenario.title}"
            await self.stage.pager.report(self.callers.http, self.scenario.detect.alert, title, firing=False)

    async def _recovered(self, *, since: float) -> None:
        """Note the recovery when it comes: the page's commands may take longer."""
        served = self._served("recovered", since=since)
        at = self.outcome.recovered = await self._until(served, self.scenario.limits.recovered_within)
        self.say("recovered" if at is not None else "not recovered in time", at)

    async def close_incident(self) -> None:
        """Note the steps in the incident, close it, and draft its postmortem, as after a real one."""
        if self._incident is None or self.outcome.fault_at is None:
            return
        of_the_page = (f"the drill raises {self.scenario.detect.alert}, which pages", "acknowledged")
        for seconds, words in self.outcome.timeline:
            if not words.startswith("`octant ") and words not in of_the_page:  # the logs of operators and of pages have those
                at = min(self.outcome.fault_at + timedelta(seconds=seconds), datetime.now(UTC))  # seconds are rounded
                await self._record.note(self._incident, words, by=BY, at=at)
        closed = await self._record.close(self._incident, RunbookChange(None, "a rehearsal: its report names the changes"), by=BY)
        self.outcome.postmortem = await postmortem.drafted(self.stage.engine, closed, self._runbook, clean=self.stage.clean)

    def judge(self) -> None:
        """Compare each probe with the callers of its phase."""
        out = self.outcome
        end, window = self.callers.now - self._fault_at, self.scenario.limits.window
        ended = out.fault_ended if out.fault_ended is not None else end
        spans: dict[Phase, tuple[float, float]] = {
            "fault": (0.0, ended),
            "contained": (ended if out.contained is None else out.contained, ended),
            "recovered": (end if out.recovered is None else out.recovered, end),
        }
        for probe in self.scenario.probes:
            begin, until = spans[probe.phase]
            # before its first refusal the rogue is answered
            lead = 0 if probe.phase == "fault" or probe.of == "rogue" else window
            value = self._measure(probe, begin - lead, until)
            out.probes.append(Judged(probe.name, probe.phase, probe.measure, value, probe.holds(value)))
        missed = {"detection": out.detected, "containment": out.contained, "recovery": out.recovered}
        out.reasons += [f"no {name} in time" for name, at in missed.items() if at is None]
        out.reasons += [f"{one.name}: {_figure(one)}" for one in out.probes if not one.holds]
        out.reasons += late(out.written, *out.lasted)
        in_it = self.callers.between(self._fault_at, self._fault_at + ended)
        if not self.scenario.limits.containable:  # a refusal is no containment, however soon it came
            out.contained, codes = None, self.scenario.honest_codes
            out.refused = refusals(in_it, codes)
        tried = len(self._contain) if out.contained is None and out.detected is not None else 0
        out.followed[:tried] = [replace(one, stayed=True) for one in out.followed[:tried]]
        out.instead, out.headers = answered_instead(in_it, self.stage.releases)
        out.verdict = baseline.verdict(broken=out.reasons, sick=()).value

    def _measure(self, probe: Probe, begin: float, until: float) -> float | None:
        """A probe's figure between two times, in seconds from the fault's begin."""
        if probe.measure == "followed":
            works, of = self.outcome.score
            return 100 * works / of if of else None
        callers = self.callers if probe.of == "callers" else self.rogue
        seen = callers.between(self._fault_at + begin, self._fault_at + until) if callers else []
        return measure(probe.measure, seen, honest=self.scenario.honest_codes, usual=self._usual)

    async def _follow(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._revoked = self.passed if line.startswith(REVOKE) else self._revoked
            followed = await self.shell().follow(line)
            self.outcome.followed.append(followed)
            self.say(f"`{followed.command}` {followed.ending}")

    def shell(self) -> Shell:
        """With the newest failed or served call as CALL."""
        seen = next((one.request_id for one in reversed(self.callers.seen) if one.request_id), "")
        words = {**self.stage.words, **self.words, **({"CALL": seen} if seen else {})}
        return Shell(self.stage.env, self.stage.url, words)

    def _served(self, phase: Phase, *, since: float) -> Callable[[], Awaitable[bool]]:
        """Whether the callers of the last window have what the phase's probes promise. All of them asked after ``since``."""
        window, probes = self.scenario.limits.window, [p for p in self.scenario.probes if p.phase == phase]

        async def served() -> bool:
            until = self.callers.settled
            begin = until - window
            if begin < self._fault_at + since:
                return False
            return all(probe.holds(self._measure(probe, begin - self._fault_at, until - self._fault_at)) for probe in probes)

        return served

    async def _until(self, holds: Callable[[], Awaitable[bool]], within: float) -> float | None:
        """Seconds from the fault's begin until it holds; None if it does not in time."""
        ends = self.callers.now + within
        while True:
            if await holds():
                return round(self.passed, 2)
            if self.callers.now >= ends:
                return None
            await asyncio.sleep(PAUSE)


async def play(name: str, scenario: Scenario, stage: Stage, runbook: Path) -> Outcome:
    """Play a scenario. A failure of the tool itself is an outcome of its own, and never one of the service."""
    outcome = Outcome(name, datetime.now(UTC))
    headers = {"authorization": f"Bearer {stage.key}"}
    async with aiohttp.ClientSession(stage.url, headers=headers, connector=aiohttp.TCPConnector(limit=0)) as http:
        callers, game = Callers(http, scenario.traffic), None
        try:
            game = _Game(scenario, stage, runbook, callers, outcome)
            callers.start()
            async with stage.pager.listening() if stage.pager else contextlib.nullcontext():
                await _play(game, name)
            await callers.stop()
            if outcome.fault_at:
                outcome.paging, outcome.paged, outcome.acknowledged = await first_page(stage.engine, outcome.fault_at)
            outcome.money = await around(stage.engine, outcome.begun_at, outcome.fault_at, outcome.fault_ended)
            if outcome.fault_at and outcome.verdict == TOOL_FAILED and not outcome.reasons:
                game.judge()
        except (FaultNotSet, Misconfigured, OSError, aiohttp.ClientError, SQLAlchemyError) as error:
            outcome.reasons.append(f"{type(error).__name__}: {error}")
        finally:
            await callers.stop()
        outcome.callers = dict(Counter(one.what for one in callers.seen))
        outcome.rogue = dict(Counter(one.what for one in game.rogue.seen)) if game and game.rogue else {}
    return outcome


async def _play(game: _Game, name: str) -> None:
    scenario, outcome = game.scenario, game.outcome
    if sick := await game.steady():
        outcome.verdict, outcome.reasons = Verdict.NOT_JUDGED.value, list(sick)
        return
    stage, rogue = game.stage, scenario.fault.rogue
    key, game.words = await key_of(game.shell(), scenario.fault, stage.key)
    game.words |= usual_model(game.callers.seen, game.words.get("PROVIDER", ""))
    if await game.shell().shows(scenario.detect.command, scenario.detect.shows):
        outcome.verdict = Verdict.NOT_JUDGED.value
        outcome.reasons.append(f"`{scenario.detect.command}` shows its sign before the fault, so it would detect none")
        return
    bad = None
    if scenario.fault.at == "release":
        bad = await BadRelease.of(game.shell(), stage.releases, stage.folder, scenario.fault.change)
        game.words["RELEASE"] = bad.good
    async with (
        in_force(name, scenario.fault, stage.control, bad) as lease,
        calling(game.callers, key, rogue, stage.url) as game.rogue,
    ):
        before = await cap_of(game.shell()) if rogue else ("", "")
        await game.fault(lease)
        if game.rogue:
            outcome.cap = capped(before[1], await cap_of(game.shell()), game.rogue.seen, game.fault_at)
    if lease.lost:
        outcome.reasons.append(f"the fault ended before its time: {lease.lost}")
        return
    await game.recovery()
    await game.close_incident()
    if not game.callers.alive():
        outcome.reasons.append("the callers stopped")


def _figure(judged: Judged) -> str:
    value = "no caller" if judged.value is None else f"{judged.value:.2f}"
    return f"{judged.measure} is {value} in the phase {judged.phase}"
