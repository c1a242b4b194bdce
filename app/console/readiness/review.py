"""The review: every question once, in the order of the axes. A store that is away leaves its own questions unanswered alone."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.console import formats
from app.console.readiness import duty, evals, observability, recovery, rollback, runbook, security, spending
from app.console.readiness.answers import Answer, Evidence, first
from app.console.readiness.sources import Sources
from app.domain.errors import DependencyUnavailable, Misconfigured

Check = Callable[[Sources], Awaitable[Answer]]
CHECKS: tuple[tuple[str, str, str, Check], ...] = (
    ("Evals", evals.QUESTION, evals.COMMAND, evals.answer),
    ("Observability", observability.QUESTION, observability.COMMAND, observability.answer),
    ("Recovery", recovery.QUESTION, recovery.COMMAND, recovery.answer),
    ("Cost", spending.QUESTION, spending.COMMAND, spending.answer),
    ("Security", security.QUESTION, security.COMMAND, security.answer),
    ("On-call", duty.QUESTION, duty.COMMAND, duty.answer),
    ("Rollback", rollback.QUESTION, rollback.COMMAND, rollback.answer),
    ("Runbook", runbook.QUESTION, runbook.COMMAND, runbook.answer),
)
AWAY = (SQLAlchemyError, RedisError, OSError, TimeoutError, DependencyUnavailable)


async def review(sources: Sources, *, only: Sequence[int] = ()) -> list[Answer]:
    """Answer the questions, or ``only`` those of these numbers, from 1 on."""
    return [await one(sources, number) for number in range(1, len(CHECKS) + 1) if not only or number in only]


async def one(sources: Sources, number: int) -> Answer:
    """Answer one question. Never raises for a store that is away: the answer is then not proven, and says why."""
    try:
        return await check(sources, number)
    except AWAY as error:
        store = "Valkey" if isinstance(error, RedisError) else "Postgres"
        return unanswered(number, f"{store} does not answer, so this cannot be checked now.")


async def check(sources: Sources, number: int) -> Answer:
    """Answer one question. Raises the errors of a store that is away (`AWAY`)."""
    axis, question, command, checked = CHECKS[number - 1]
    try:
        return await checked(sources)
    except Misconfigured as error:
        evidence = Evidence(name="Check", value=str(error).splitlines()[0], state="failing", command=command)
        return Answer(axis=axis, question=question, words=evidence.value, evidence=[evidence], command=command)


def unanswered(number: int, why: str) -> Answer:
    """The answer to a question that cannot be checked: not proven."""
    axis, question, command, _ = CHECKS[number - 1]
    closed_by = "The runbook says how to bring a store back: `octant runbook postgres` or `octant runbook valkey`."
    evidence = Evidence(name="Check", value=why, state="missing", closed_by=closed_by, command=command)
    return Answer(axis=axis, question=question, words=why, evidence=[evidence], command=command)


def summary(answers: Sequence[Answer]) -> tuple[str, str]:
    """A kind and one sentence on all answers."""
    counted: list[str] = [answer.state for answer in answers]
    whole = counted.count("proved")
    if whole == len(counted):
        all_ = "The question is" if whole == 1 else f"All {whole} questions are"
        return "good", f"{all_} answered with fresh evidence."
    parts = [
        f"{number} {words}"
        for state, words in (
            ("gaps", "proved with gaps"), ("stale", "stale"), ("missing", "not proven"), ("failing", "failing"),
        )
        if (number := counted.count(state))
    ]  # fmt: skip
    kind = "bad" if "failing" in counted else "warn"
    of = f"{whole} of {formats.number(len(counted), 'question')} {'is' if 1 in (whole, len(counted)) else 'are'}"
    return kind, f"{of} proved without gaps; {', '.join(parts)}."


def lines(answers: Sequence[Answer]) -> list[str]:
    """The review for a terminal: a line for each answer, as on the page."""
    return [
        f"{number_of(one.axis)}  {one.state_words:17} {one.axis:14} {' '.join(filter(None, (one.words, one.why)))}"
        for one in answers
    ]


def number_of(axis: str) -> int:
    """The number of a question, also where it alone is answered."""
    return [one for one, *_ in CHECKS].index(axis) + 1


def oldest(answers: Sequence[Answer]) -> date | None:
    """The oldest dated evidence of all answers."""
    return first(at for one in answers if (at := one.checked_at))
