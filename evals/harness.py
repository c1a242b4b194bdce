"""Sends cases to a running service over HTTP and scores the answers.

Three ends, never confused: passed; failed, because the product answered wrongly; broken, because nothing could be judged.
"""

import asyncio
import json
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import ValidationError

from app.domain.unseen import revealed
from evals.cases import Case
from evals.chaos import Simulator
from evals.client import Client, Reply, Service, Trail
from evals.privacy import redacted
from evals.scoring import Finding
from evals.suite import Suite

CONCURRENCY = 4
TIMEOUT = 60.0  # seconds for one case; a service with a longer deadline of its own needs `--timeout`
LONGEST_ANSWER = 2000  # characters that are kept of an answer
_CONTROLS = dict.fromkeys(range(32), " ")
MOST_BROKEN = 5  # then the rest is not sent: the run cannot be judged any more, and a hanging service would take an hour

# The product's own failures, which it answers as HTTP errors: no model gave valid output, or the input was refused. All other
# errors say that the service could not do its work, which says nothing about the product's answers.
PRODUCT_FAILURES = frozenset({"output_invalid", "content_refused"})


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one trial of a case.

    ``broken`` says why it could not be judged: that is never a pass.

    ``measures`` are shares from 0 to 1 by name, more is better (`Suite.measures`).

    ``answer``: its words, redacted and cut; empty in a run that was read back.
    """

    case: Case
    findings: tuple[Finding, ...]
    broken: str | None
    trail: Trail
    trial: int = 0
    measures: Mapping[str, float] = field(default_factory=dict)
    answer: str = ""

    @property
    def passed(self) -> bool:
        """Judged, and nothing wrong."""
        return not self.findings and self.broken is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of a run.

    Trials of each case, cases at a time, seconds for one, and the results that are there.

    ``models`` are those of the fallback chain by endpoint: chaos cases break them.
    """

    repeat: int = 1
    concurrency: int = CONCURRENCY
    timeout: float = TIMEOUT
    models: Mapping[str, Sequence[str]] = field(default_factory=dict)
    done: Mapping[tuple[str, int], Result] = field(default_factory=dict)


def _silently(_: Result) -> None:
    """Report nothing."""


async def run(
    suite: Suite,
    cases: Sequence[Case],
    service: Service,
    report: Callable[[Result], None] = _silently,
    plan: Plan | None = None,
) -> list[Result]:
    """Run cases of a suite, a few at a time.

    Returns one result for each case and trial, in their order. Raises Unreachable.

    With chaos cases it is one at a time: a fault strikes every request of its models.
    """
    plan = plan or Plan()
    places = asyncio.Semaphore(1 if any(case.chaos for case in cases) else plan.concurrency)
    broken = 0
    headers = {"authorization": f"Bearer {service.key}"}
    limit = aiohttp.ClientTimeout(total=plan.timeout)
    async with aiohttp.ClientSession(headers=headers, timeout=limit) as session, aiohttp.ClientSession() as beside:
        client, simulator = Client(service, session), Simulator(service.control, plan.models, beside)
        await client.check()

        async def one(case: Case, trial: int) -> Result:
            nonlocal broken
            if (case.id, trial) in plan.done:
                return plan.done[case.id, trial]
            async with places:
                hopeless = broken >= MOST_BROKEN
                result = (
                    Result(case, (), "not sent, too many broke before", Trail(), trial)
                    if hopeless
                    else await _send(suite, case, trial, (client, simulator))
                )
                broken += result.broken is not None
            report(result)
            return result

        return await asyncio.gather(*(one(case, trial) for trial in range(plan.repeat) for case in cases))


async def _send(suite: Suite, case: Case, trial: int, there: tuple[Client, Simulator]) -> Result:
    client, simulator = there
    started = time.monotonic()
    try:
        async with simulator.broken(case.chaos, case.endpoint) if case.chaos else nullcontext():
            reply = await suite.ask(case, client)
    except (aiohttp.ClientError, TimeoutError) as error:
        return Result(case, (), type(error).__name__, Trail(seconds=time.monotonic() - started), trial)
    except ValueError as error:
        return Result(case, (), f"headers out of form: {error}", Trail(seconds=time.monotonic() - started), trial)
    return replace(_judge(suite, case, trial, reply), answer=_words(suite, reply))


def _words(suite: Suite, reply: Reply) -> str:
    """The answer's words as they may be kept; of an error, its message."""
    try:
        body: Any = json.loads(reply.content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    said = error.get("message") if isinstance(error, dict) else next((body[f] for f in suite.text_fields if body.get(f)), "")
    kept = redacted(said if isinstance(said, str) else "")
    return kept if len(kept) <= LONGEST_ANSWER else f"{kept[:LONGEST_ANSWER]}…"


def _judge(suite: Suite, case: Case, trial: int, reply: Reply) -> Result:
    try:
        body: Any = json.loads(reply.content)
    except (ValueError, RecursionError):
        return Result(case, (), f"HTTP {reply.status} without JSON", reply.trail, trial)
    wrong = tuple(Finding("chaos", words) for words in case.chaos.wrong(reply, _code(body))) if case.chaos else ()
    if case.chaos and (wrong or reply.status != 200):
        return Result(case, wrong, None, reply.trail, trial)
    if reply.status == 200:
        return _scored(suite, case, body, Result(case, (), None, reply.trail, trial))
    code = _code(body)
    if code in PRODUCT_FAILURES:
        return Result(case, (Finding("service", f"HTTP {reply.status} {code}"),), None, reply.trail, trial)
    return Result(case, (), f"HTTP {reply.status} {code}".strip(), reply.trail, trial)


def _scored(suite: Suite, case: Case, body: object, result: Result) -> Result:
    """The result with what the suite says. A scorer that fails, or says no findings, has not judged: that is no pass."""
    try:
        findings: Any = suite.score(case, body)
        measures: Any = suite.measures(case, body, findings)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, e["loc"])) or "body" for e in error.errors(include_url=False))
        return replace(result, broken=f"the body is no answer of {case.endpoint}: {where}")
    except Exception as error:  # noqa: BLE001 - any code of the suite; the run goes on and cannot pass
        at = traceback.extract_tb(error.__traceback__)[-1]
        said = _line(f"{type(error).__name__} {error}")
        return replace(result, broken=f"the scorer failed: {said} ({Path(at.filename).name}:{at.lineno})")
    if not isinstance(findings, (tuple, list)) or not all(isinstance(one, Finding) for one in findings):
        return replace(result, broken=f"the scorer returned {type(findings).__name__}, not findings")
    if not isinstance(measures, Mapping) or not all(isinstance(value, (int, float)) for value in measures.values()):
        return replace(result, broken="the suite's measures are not shares by name")
    kept = tuple(Finding(found.scorer, _line(found.words)) for found in findings)
    return replace(result, findings=kept, measures=measures)


def _line(text: str) -> str:
    """A model's words as one line that every report, terminal and store can hold."""
    return revealed(" ".join(text.encode("utf-8", "replace").decode().translate(_CONTROLS).split()))


def _code(body: Any) -> str:  # noqa: ANN401 - any JSON
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("code", "")) if isinstance(error, dict) else ""
