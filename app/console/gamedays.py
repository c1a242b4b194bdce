"""Reports of game days, from the state folder, as the page shows them: two lanes on one axis of seconds.

The files are written by `octant drill gameday`. They are read as untrusted text, and one that does not fit is passed over.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from app.console import formats
from app.oncall.gamedays import FOLDER, REVOKED_WITHIN
from app.oncall.runbook.pages import by_the_drill

SCENARIOS = "gamedays"  # in the runbook
MOST_BYTES = 2_000_000
MOST_LINES = 200
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-[a-z0-9-]{1,80}")
_COMMAND = re.compile(r"\A`([^`]+)` (works|shows it|ran, and|FAILS|was not run|did not)")
MIX = "over all routes and kinds of calls, so another mix of them alone changes it"
BY_ITSELF = ", by its cap alone: before a person saw it"
_OURS = ("acknowledged", "not acknowledged")
TIMES = ("detected", "paged", "acknowledged", "contained", "fault_ended", "recovered")
WORDS = {
    "detected": "detected", "paged": "paged by the drill", "acknowledged": "acknowledged by the drill", "contained": "contained",
    "fault_ended": "fault ends", "recovered": "recovered",
}  # fmt: skip


class _Loose(BaseModel):
    """A part of the file; further fields are left out, as a later version may write more."""

    model_config = ConfigDict(extra="ignore")


class Written(_Loose):
    """The scenario as it stood before the game day."""

    title: str = ""
    hypothesis: str = ""
    runbook: dict[str, Any] = Field(default_factory=dict)
    limits: dict[str, Any] = Field(default_factory=dict)
    detect: dict[str, Any] = Field(default_factory=dict)


class Probe(_Loose):
    """One probe with its value."""

    name: str
    phase: str
    measure: str
    value: float | None = None
    holds: bool = False


class Followed(_Loose):
    """One command of the runbook as it was run."""

    command: str
    works: bool
    seconds: float = 0.0
    output: str = ""
    ending: str = ""


class Money(_Loose):
    """Calls of a time: answered ones, micro-dollars, and the part that is an upper bound."""

    answered: int = 0
    cost: int = 0
    bound: int = 0

    @property
    def each(self) -> float | None:
        """Micro-dollars an answer; None without one."""
        return self.cost / self.answered if self.answered else None


UNTIMED = f"the promise of {REVOKED_WITHIN:g} s counts from its write, which was not timed"


class Result(_Loose):
    """The part of an outcome that both the report and its line in the log have. Times are seconds from the fault's begin.

    None: it did not happen. ``by``: the program that played it, empty for a person. ``revoked``: until a revoked key was refused;
    ``written``: these from the write of its revocation; ``lasted``: these of further keys, each in use until then: the longest
    counts, for a thief has it.
    ``instead``: the model that answered in place of the route's first; ``headers``: of such an answer.
    """

    scenario: str
    verdict: str
    by: str = ""
    detected: float | None = None
    paged: float | None = None
    acknowledged: float | None = None
    contained: float | None = None
    fault_ended: float | None = None
    recovered: float | None = None
    revoked: float | None = None
    written: float | None = None
    lasted: list[float] = Field(default_factory=list)
    refused: tuple[int, int] | None = None
    instead: str = ""
    headers: dict[str, str] = Field(default_factory=dict)

    @property
    def refusal(self) -> str:
        """How soon the revoked key was refused, and whether as promised; empty where none was."""
        if self.revoked is None:
            return ""
        if self.written is None:
            return f"{formats.seconds(self.revoked)} after the start of the command that revokes it; {UNTIMED}"
        keys = f", the longest of {1 + len(self.lasted)} keys in use" if self.lasted else ""
        return f"{formats.seconds(self.longest)} after the write of its revocation{keys}; {self.promised}"

    @property
    def longest(self) -> float | None:
        """Seconds from a revocation's write until its key was refused, of all keys the longest; None where none was timed."""
        return None if self.written is None else max([self.written, *self.lasted])

    @property
    def promised(self) -> str:
        """Whether that kept the promise, and the time of the command before the write, which no promise counts."""
        if self.longest is None or self.written is None or self.revoked is None:
            return UNTIMED
        kept = "kept" if self.longest <= REVOKED_WITHIN else "missed"
        before = formats.seconds(max(0.0, self.revoked - self.written))
        return f"the promise of {REVOKED_WITHIN:g} s from the write was {kept}, and the command took {before} before it"

    @property
    def not_contained(self) -> str:
        """How callers were refused where nothing could answer them; empty where something could."""
        if self.refused is None:
            return ""
        return f"not contained: nothing could answer, and {self.refused[0]:,} of {self.refused[1]:,} refusals were honest"

    @property
    def by_itself(self) -> bool:
        """Whether the service stopped the harm before it was seen: no person did."""
        return self.contained is not None and (self.detected is None or self.contained < self.detected)

    @property
    def shown_by(self) -> str:
        """The headers by which a client sees that a fallback answered; empty without one."""
        return ", ".join(f"{name}: {value}" for name, value in self.headers.items())


class Played(Result):
    """The whole outcome."""

    begun_at: AwareDatetime
    reasons: list[str] = Field(default_factory=list)
    fault_at: AwareDatetime | None = None
    paging: str = "off"
    probes: list[Probe] = Field(default_factory=list)
    followed: list[Followed] = Field(default_factory=list)
    callers: dict[str, int] = Field(default_factory=dict)
    rogue: dict[str, int] = Field(default_factory=dict)
    cap: str = ""
    timeline: list[tuple[float, str]] = Field(default_factory=list)
    money: dict[str, Money] = Field(default_factory=dict)

    @property
    def noticed(self) -> str:
        """How many of the other users' calls failed beside a rogue one, in a sentence; empty without one."""
        whole = sum(self.callers.values())
        return f"{whole - self.callers.get('answered', 0):,} of their {whole:,} calls failed" if self.rogue else ""

    @property
    def price(self) -> str:
        """The cost of an answer before the fault and in it, in a sentence; empty where it is not known."""
        before, fault = (self.money.get(phase, Money()) for phase in ("before", "fault"))
        if not before.each or fault.each is None:
            return ""
        bound = f"; {formats.usd(fault.bound)} of the fault's {formats.usd(fault.cost)} is an upper bound" if fault.bound else ""
        return f"{formats.usd(before.each)} before the fault, {formats.usd(fault.each)} in it{bound}; {MIX}"


class Report(_Loose):
    """One report. ``name``: its file's, without an ending."""

    name: str = ""
    written_before: Written
    played: Played

    @property
    def kind(self) -> str:
        """The mark of its verdict."""
        return {"kept": "good", "not kept": "bad"}.get(self.played.verdict, "none")

    @property
    def notes(self) -> Mapping[str, str]:
        """What proves a time, or says why there is none: by its name."""
        detect = self.written_before.detect
        ran = (found[1] for _, words in self.played.timeline if (found := _COMMAND.match(words)) and found[2] == "shows it")
        command = next(ran, detect.get("command"))
        seen = {"detected": f"shown by {command}, which a person has to run"} if command else {}
        unseen = {"paged": "no alert sees this fault"} if detect and not detect.get("alert") else {}
        if self.played.paged is not None and (alert := detect.get("alert")):
            typed = "by the drill, with the command that a person types"
            unseen = {"paged": by_the_drill(str(alert)), "acknowledged": typed}
        return {**seen, **unseen, **({"contained": proof} if (proof := self._containment) else {})}

    @property
    def _containment(self) -> str:
        """The proof of containment: the cap's refusals, or callers who were all served for some seconds after the commands."""
        if self.played.not_contained:
            return self.played.not_contained
        if self.played.rogue:
            return f"from here on the user was refused{BY_ITSELF if self.played.by_itself else ''}"
        window = self.written_before.limits.get("window")
        length = f"{window:g} s" if isinstance(window, int | float) else ""
        return f"the commands were done, and each call of the next {length} was answered" if length else ""

    @property
    def commands(self) -> tuple[int, int]:
        """How many of the runbook's commands worked as they stand, of how many that were run."""
        return sum(one.works for one in self.played.followed), len(self.played.followed)

    @property
    def page(self) -> str:
        """The runbook's page that was followed."""
        return str(self.written_before.runbook.get("page", "")).removesuffix(".md")


@dataclass(frozen=True, slots=True)
class Mark:
    """An event on a lane. ``x``: on the axis, where its label begins; ``row``: the line of its label, 0 nearest to the lane."""

    at: float
    words: str
    kind: str
    x: float
    row: int = 0


@dataclass(frozen=True, slots=True)
class Lanes:
    """The picture: the operator's events, the system's, ticks of the axis, and the span of the fault. All x in pixels.

    ``rows``: of labels above and below. On a phone the events are a list.
    """

    ours: Sequence[Mark]
    systems: Sequence[Mark]
    ticks: Sequence[tuple[float, str]]
    fault: tuple[float, float]
    width: float
    rows: tuple[int, int]

    @property
    def in_order(self) -> Sequence[tuple[bool, Mark]]:
        """All events by their time, each with whether it is the operator's."""
        both = [*((False, mark) for mark in self.systems), *((True, mark) for mark in self.ours)]
        return sorted(both, key=lambda pair: pair[1].at)


def reports(state_dir: Path) -> list[Report]:
    """Every report that can be read, newest first."""
    paths = sorted((state_dir / FOLDER).glob("*.json"), reverse=True)
    return [found for path in paths if (found := _read(path))]


def of_the_cap(state_dir: Path, scenario: str) -> Report | None:
    """The newest report of a scenario that says which cap met the rogue; None without one."""
    return next((one for one in reports(state_dir) if one.played.scenario == scenario and one.played.cap), None)


def report(state_dir: Path, name: str) -> Report | None:
    """One report; None where there is none of this name."""
    return _read(state_dir / FOLDER / f"{name}.json") if NAME.fullmatch(name) else None


def postmortem(state_dir: Path, name: str) -> str:
    """The draft of its postmortem; empty where there is none."""
    try:
        with (state_dir / FOLDER / f"{name}-postmortem.md").open(encoding="utf-8", errors="replace") as file:
            return file.read(MOST_BYTES)
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One that can be played. ``seconds``: of its fault."""

    name: str
    title: str
    hypothesis: str
    seconds: float


def scenarios(runbook: Path) -> list[Scenario]:
    """All scenarios that can be played, by name."""
    return [_scenario(path) for path in sorted((runbook / SCENARIOS).glob("*.toml"))]


def _scenario(path: Path) -> Scenario:
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    return Scenario(path.stem, found["title"], found["hypothesis"], found["fault"]["seconds"])


def _read(path: Path) -> Report | None:
    if not NAME.fullmatch(path.stem):
        return None
    try:
        with path.open("rb") as file:
            content: Mapping[str, Any] = json.loads(file.read(MOST_BYTES))
        return Report.model_validate({**content, "name": path.stem})
    except (OSError, ValueError, TypeError, ValidationError):
        return None


LEFT, WIDTH, LABEL = 16.0, 1012.0, 6.5  # pixels; LABEL: of a character
LONGEST_LABEL = 34  # characters
LEAST = 200.0  # pixels of the axis, whatever its labels are


def lanes(played: Played) -> Lanes:
    """Lay the events of a game day on one axis."""
    times: dict[str, float] = {name: at for name in TIMES if (at := getattr(played, name)) is not None}
    lines = [(at, words) for at, words in played.timeline[:MOST_LINES] if at >= 0]
    last = max([*times.values(), *(at for at, _ in lines), 1.0])
    acked = times.pop("acknowledged", None)
    ours = [found for at, words in lines if not (acked and words == "acknowledged") and (found := _ours(at, words))]
    ours += [(acked, f"acknowledged, {formats.seconds(acked)}", "good")] if acked else []
    systems = [(at, f"{WORDS[name]}, {formats.seconds(at)}", _kind(name)) for name, at in times.items()]
    scale = scale_of([*ours, *systems], last)

    def x(at: float) -> float:
        return round(LEFT + max(0.0, at) * scale, 1)

    placed_ours = _placed(ours, x)
    placed_systems = _placed([(0.0, "fault begins", "bad"), *systems], x)
    ticks = [(x(at), f"{at:g} s") for at in _steps(last)]
    above, below = (max((mark.row for mark in placed), default=0) + 1 for placed in (placed_ours, placed_systems))
    return Lanes(placed_ours, placed_systems, ticks, (x(0), x(times.get("fault_ended", last))), WIDTH, (above, below))


def scale_of(events: Sequence[tuple[float, str, str]], last: float) -> float:
    """Pixels of a second: as many as leave each label room at its right, and no more room than the widest needs."""
    ends = ((WIDTH - LEFT - LABEL - min(len(words), LONGEST_LABEL) * LABEL) / at for at, words, _ in events if at > 0)
    return max(LEAST / last, min([(WIDTH - LEFT - LABEL) / last, *ends]))


def _kind(name: str) -> str:
    return {"paged": "warn", "detected": "warn", "contained": "good", "recovered": "good"}.get(name, "none")


def _ours(at: float, words: str) -> tuple[float, str, str] | None:
    """An event of the operator: a command, or an acknowledgement. None for one of the system."""
    if command := _COMMAND.match(words):
        kind = {"works": "good", "shows it": "good", "ran, and": "warn"}.get(command[2], "bad")
        return at, command[1].removeprefix("octant "), kind
    return (at, words, "good" if words.startswith("ack") else "bad") if words.startswith(_OURS) else None


def _placed(events: Sequence[tuple[float, str, str]], x: Callable[[float], float]) -> list[Mark]:
    """Put labels into rows so that no label covers another, and no stem crosses a label.

    From the last event to the first: a label lies to the right of its stem, so an earlier event's stem passes the later ones.
    """
    labels: list[tuple[int, float, float]] = []  # row, begin, end
    found = []
    for at, words, kind in sorted(events, key=lambda event: event[0], reverse=True):
        short = words if len(words) <= LONGEST_LABEL else words[: LONGEST_LABEL - 1] + "…"
        begin, length = x(at), len(short) * LABEL
        row = next(row for row in range(len(labels) + 1) if _fits(labels, row, begin, begin + length))
        labels.append((row, begin, begin + length))
        found.append(Mark(at, short, kind, begin, row))
    return found[::-1]


def _fits(labels: Sequence[tuple[int, float, float]], row: int, left: float, right: float) -> bool:
    """Whether a label, whose stem is at its left, has room in a row."""
    return not any(
        (other == row and begin < right + LABEL and left < end + LABEL)
        or (other < row and begin < left < end)
        or (other > row and left < begin < right)
        for other, begin, end in labels
    )


def _steps(last: float) -> list[float]:
    """Round seconds for the ticks, at most ten."""
    step = next(
        step for step in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 86400) if last / step <= 10 or step == 86400
    )
    return [float(number * step) for number in range(int(last / step) + 1)]
