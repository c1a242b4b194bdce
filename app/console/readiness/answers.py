"""An answer of the readiness review: its sentence, its evidence, and the state that follows from them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from app.releases.rehearsals import Rehearsal

State = Literal["proved", "gaps", "stale", "missing", "failing"]
ORDER: tuple[State, ...] = ("proved", "gaps", "stale", "missing", "failing")
WORDS = {"proved": "proved", "gaps": "proved, with gaps", "stale": "stale", "missing": "not proven", "failing": "failing"}
SHORT = WORDS | {"gaps": "with a gap"}  # of one piece of evidence
LABELS = {"gaps": "Gap", "stale": "Stale", "missing": "Not proven", "failing": "Failing"}  # before the worst of it
KINDS = {"proved": "good", "gaps": "warn", "stale": "warn", "missing": "none", "failing": "bad"}
OLD = timedelta(days=30)  # a rehearsal or an eval run proves no more than this


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One fact. ``command`` checks it again; ``link`` leads to its source.

    ``at``: when it was established; a day where no more is known, None for now.
    ``closed_by``: a sentence with the command or the place that makes a proof of it, where it is none. ``rows``: a small table
    below the value, its heads first.
    """

    name: str
    value: str
    state: State = "proved"
    closed_by: str = ""
    at: date | None = None
    link: str = ""
    command: str = ""
    rows: Sequence[Sequence[str]] = ()

    @property
    def finding(self) -> str:
        """The value, and where it is no proof what makes it one."""
        return self.value if self.state == "proved" or not self.closed_by else f"{self.value.rstrip('.')}. {self.closed_by}"

    @property
    def first_sentence(self) -> str:
        """The first sentence of the value, without its full stop where another follows."""
        return self.value.partition(". ")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one question. ``axis``: one word; ``command`` checks all of it again."""

    axis: str
    question: str
    words: str
    evidence: Sequence[Evidence]
    command: str

    @property
    def state(self) -> State:
        """The worst of its evidence; without any it is not proven."""
        return max((one.state for one in self.evidence), key=ORDER.index, default="missing")

    @property
    def _all_unsaid(self) -> list[Evidence]:
        said = self.words.casefold()
        worst = [one for one in self.evidence if one.state == self.state and one.first_sentence.casefold() not in said]
        return worst if self.state != "proved" else []

    @property
    def unsaid(self) -> Evidence | None:
        """The first of its worst evidence that the answer does not say itself; None where all is proved."""
        return next(iter(self._all_unsaid), None)

    @property
    def why(self) -> str:
        """That evidence in a sentence, with what closes it, and the names of the others; empty without any."""
        if not self._all_unsaid:
            return ""
        worst, *others = self._all_unsaid
        names = Counter(one.name for one in others)
        also = ", ".join(f"{name} ({number})" if number > 1 else name for name, number in names.items())
        also = f" Also: {also}." if also else ""
        return f"{worst.name}: {worst.finding.rstrip('.')}.{also}"

    @property
    def label(self) -> str:
        """The word before `why`."""
        return LABELS.get(self.state, "")

    @property
    def state_words(self) -> str:
        """The state in words."""
        return WORDS[self.state]

    @property
    def kind(self) -> str:
        """The state's mark: good, warn, bad or none."""
        return KINDS[self.state]

    @property
    def checked_at(self) -> date | None:
        """The oldest of its dated evidence; None where all of it is of now."""
        return first(one.at for one in self.evidence if one.at)


def first(times: Iterable[date]) -> date | None:
    """The earliest of some days and moments: a day counts from its begin in UTC."""
    return min(times, key=lambda at: at if isinstance(at, datetime) else datetime.combine(at, time(0), UTC), default=None)


def aged(at: datetime, now: datetime, *, most: timedelta = OLD) -> State:
    """The state of evidence that was established ``at``: stale after ``most``."""
    return "proved" if now - at <= most else "stale"


def rehearsed(at: datetime, now: datetime, *, kept: bool, whole: bool = True) -> State:
    """The state of a rehearsal. ``kept``: its promise. Not ``whole``: small, of another installation, or without a person."""
    state = aged(at, now) if kept else "failing"
    return "gaps" if state == "proved" and not whole else state


def of_rehearsal(one: Rehearsal, now: datetime, *, whole: bool = True) -> State:
    """The state of a rehearsal of the log: one that was not judged proves nothing, and breaks no promise."""
    return rehearsed(one.at, now, kept=one.kept, whole=whole) if one.judged else "missing"


def missing(name: str, value: str, command: str, *, closed_by: str = "") -> Evidence:
    """Evidence that is not there, with the command that makes it, or with what else does."""
    return Evidence(name=name, value=value, state="missing", command=command, closed_by=closed_by or f"`{command}` makes it.")
