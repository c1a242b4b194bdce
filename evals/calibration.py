"""Whether a judge may gate (E8): its agreement with known truth, and the undue influences on it.

A suite's `judge/labelled.yaml` holds pairs of answers; each pair is two labelled items. Agreement is Cohen's kappa, with the
true positive rate (faithful answers it lets pass) and the true negative rate (unfaithful ones it catches). Two probes follow:
each pair is shown in both orders, and each answer again with empty courtesy around it; a judge that changes its mind is
swayed.
"""

import asyncio
import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import aiohttp
from pydantic import Field, TypeAdapter, ValidationError

from app.domain.strict import Strict
from evals.cases import InvalidSuite, read_file
from evals.client import Service
from evals.judging import Claim, GatewayJudge, Judge
from evals.rates import Rate
from evals.suite import Judging

LABELLED, CALIBRATIONS = "labelled.yaml", "calibrations.json"
RESAMPLES = 2_000
AT_ONCE = 4
BEFORE = "Thank you so much for reaching out to us today, we truly appreciate your patience and your trust. "
AFTER = " I do hope that this answers your question in full; please do not hesitate to write again at any time."


class Labelled(Strict):
    """Two answers to one question about one article; the first is faithful, the second is not."""

    id: str
    article: str
    question: str
    good: str
    bad: str
    how: str


class JudgeThresholds(Strict):
    """Thresholds that a judge must reach before it may gate.

    The lower end of a rate's 95 % interval must reach its threshold.
    """

    kappa: float = Field(gt=0, le=1)
    rates: float = Field(gt=0, le=1)
    steady: float = Field(gt=0, le=1)
    reason: str = Field(min_length=10)


class Agreement(Strict):
    """Agreement of a judge with the labelled set.

    ``steady`` are shares of opinions that order, and length, did not change.
    """

    accepted: date
    prompts: str
    labelled: str
    items: int
    kappa: float
    kappa_interval: tuple[float, float]
    passed_good: int
    caught_bad: int
    steady_order: float
    steady_length: float

    @property
    def tpr(self) -> Rate:
        """Of the faithful answers, those that it let pass."""
        return Rate(self.passed_good, self.items // 2)

    @property
    def tnr(self) -> Rate:
        """Of the unfaithful answers, those that it caught."""
        return Rate(self.caught_bad, self.items // 2)

    def shortfalls(self, wanted: JudgeThresholds) -> list[str]:
        """Why it may not gate; none if it may."""
        least = {
            "kappa": (self.kappa_interval[0], wanted.kappa),
            "true positive rate": (self.tpr.interval[0], wanted.rates),
            "true negative rate": (self.tnr.interval[0], wanted.rates),
            "steadiness against order": (self.steady_order, wanted.steady),
            "steadiness against length": (self.steady_length, wanted.steady),
        }
        return [f"{name}: {found:.2f}, at least {bound:.2f}" for name, (found, bound) in least.items() if found < bound]


_FILE = TypeAdapter(tuple[Labelled, ...])
_KEPT = TypeAdapter(dict[str, Agreement])


@dataclass(frozen=True, slots=True)
class _Opinions:
    """Opinions on one pair.

    Whether each answer is faithful, plain and padded with courtesy; whether the good one was preferred, first and second.
    """

    good: bool
    bad: bool
    good_padded: bool
    bad_padded: bool
    preferred_first: bool
    preferred_second: bool


def load_labelled(judging: Judging) -> tuple[Labelled, ...]:
    """Read the labelled set.

    Raises InvalidSuite for a set out of form, an article that is gone, an id used twice.
    """
    path = judging.folder / LABELLED
    pairs = read_file(path, _FILE, path.name)
    problems = [f"{pair.id}: there is no article {pair.article}" for pair in pairs if judging.source(pair.article) is None]
    if len({pair.id for pair in pairs}) < len(pairs):
        problems.append("an id is used twice")
    if problems:
        raise InvalidSuite("\n".join(problems))
    return pairs


async def calibrate(judge: Judge, judging: Judging, report: Callable[[str], None], today: date) -> Agreement:
    """Ask a judge about every pair.

    Raises Unreachable where an opinion is missing: that is not agreement.
    """
    places, pairs = asyncio.Semaphore(AT_ONCE), load_labelled(judging)

    async def one(pair: Labelled) -> _Opinions:
        async with places:
            opinions = await _opinions(judge, pair, judging.source(pair.article) or "")
        report(pair.id)
        return opinions

    found = await asyncio.gather(*(one(pair) for pair in pairs))
    votes = [(True, o.good) for o in found] + [(False, o.bad) for o in found]
    lengths = [o.good == o.good_padded for o in found] + [o.bad == o.bad_padded for o in found]
    return Agreement(
        accepted=today,
        prompts=judging.prompts.digest,
        labelled=_digest(pairs),
        items=len(votes),
        kappa=kappa(votes),
        kappa_interval=_interval(votes),
        passed_good=sum(o.good for o in found),
        caught_bad=sum(not o.bad for o in found),
        steady_order=sum(o.preferred_first == o.preferred_second for o in found) / len(found),
        steady_length=sum(lengths) / len(lengths),
    )


async def ask(service: Service, judging: Judging, report: Callable[[str], None], today: date) -> Agreement:
    """Calibrate the judge that a service's own gateway reaches."""
    async with aiohttp.ClientSession() as http:
        return await calibrate(GatewayJudge(judging.prompts, service, http), judging, report, today)


def kappa(votes: Sequence[tuple[bool, bool]]) -> float:
    """Cohen's kappa (1960) of truth and opinion.

    1 is agreement, 0 what chance would give; a judge that always says the same has 0.
    """
    n = len(votes)
    agreed = sum(truth == opinion for truth, opinion in votes) / n
    true, judged = sum(truth for truth, _ in votes) / n, sum(opinion for _, opinion in votes) / n
    by_chance = true * judged + (1 - true) * (1 - judged)
    return (agreed - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0


def may_gate(label: str, wanted: JudgeThresholds, judging: Judging) -> list[str]:
    """Reasons why the judge behind ``label`` may not gate; none if it may.

    A judge without a calibration may not (E3).
    """
    kept = load_calibrations(judging.folder / CALIBRATIONS).get(label)
    if kept is None:
        return [f"the judge behind {label} was never calibrated"]
    if (kept.prompts, kept.labelled) != (judging.prompts.digest, _digest(load_labelled(judging))):
        return [f"the judge behind {label} was calibrated with another prompt or another set"]
    return kept.shortfalls(wanted)


def load_calibrations(path: Path) -> Mapping[str, Agreement]:
    """Accepted calibrations by label. Raises InvalidSuite."""
    try:
        return _KEPT.validate_json(path.read_bytes()) if path.exists() else {}
    except ValidationError as error:
        raise InvalidSuite(f"{path.name}: {error}") from error


def accept(label: str, agreement: Agreement, judging: Judging) -> None:
    """Keep a calibration."""
    path = judging.folder / CALIBRATIONS
    path.write_bytes(_KEPT.dump_json({**load_calibrations(path), label: agreement}, indent=1) + b"\n")


def markdown(agreement: Agreement, wanted: JudgeThresholds, label: str) -> str:
    """The result as markdown."""
    short = agreement.shortfalls(wanted)
    lines = [f"## Judge {'may gate' if not short else 'may not gate'} ({label})", ""]
    lines.append(f"{agreement.items} answers with known truth, written for it.")
    low, high = agreement.kappa_interval
    lines.append(f"- Cohen's kappa {agreement.kappa:.2f} ({low:.2f} to {high:.2f})")
    for name, rate in (("Faithful answers that pass", agreement.tpr), ("Unfaithful answers that are caught", agreement.tnr)):
        low, high = rate.interval
        lines.append(f"- {name}: {rate.passed:g} of {rate.total} ({low:.0%} to {high:.0%})")
    lines.append(
        f"- Not swayed by the order of two answers: {agreement.steady_order:.0%}; by their length: {agreement.steady_length:.0%}"
    )
    return "\n".join([*lines, "", *(f"- Below the threshold: {reason}" for reason in short)]) + "\n"


async def _opinions(judge: Judge, pair: Labelled, text: str) -> _Opinions:
    good, bad = Claim(text, pair.question, pair.good), Claim(text, pair.question, pair.bad)
    return _Opinions(
        good=await judge.supported(good),
        bad=await judge.supported(bad),
        good_padded=await judge.supported(Claim(text, pair.question, BEFORE + pair.good + AFTER)),
        bad_padded=await judge.supported(Claim(text, pair.question, BEFORE + pair.bad + AFTER)),
        preferred_first=await judge.prefers_first(good, pair.bad),
        preferred_second=not await judge.prefers_first(bad, pair.good),
    )


def _interval(votes: Sequence[tuple[bool, bool]]) -> tuple[float, float]:
    chance = random.Random(8)  # noqa: S311 - statistics, not security
    drawn = sorted(kappa(chance.choices(votes, k=len(votes))) for _ in range(RESAMPLES))
    return drawn[int(0.025 * RESAMPLES)], drawn[int(0.975 * RESAMPLES) - 1]


def _digest(pairs: Sequence[Labelled]) -> str:
    return hashlib.sha256("".join(pair.model_dump_json() for pair in pairs).encode()).hexdigest()[:12]
