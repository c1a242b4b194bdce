"""The report of a run: a table for the terminal and a pull request, JSON for programs (E4)."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.baseline import Comparison
from evals.cases import Case
from evals.chaos import MODE
from evals.gate import BROKEN, PASS, GateResult, Threshold, Thresholds
from evals.harness import Result
from evals.paired import Delta
from evals.rates import Rate, pass_all, pass_at, percentile

WORDS = {0: "passed", 1: "failed: below threshold or worse", 2: "failed: could not be judged"}
HEAD = ("failure mode", "passed", "share", "95 % interval", "at least", "goal", "")
COMPARED = ("failure mode", "then", "now", "change", "95 % interval", "p, worse", "verdict")
_PLAIN = re.compile(r"(?:[\w .,;()%'\"+=-]|:(?!//))*")
MARKER = "<!-- octant-evals -->"  # by which the comment on a pull request is found again and replaced


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """A suite's run, judged by its thresholds.

    ``skipped`` are chaos cases that could not be run. ``since`` compares with another commit's pinned run. ``part``: as the gate
    takes it, of a run of some cases.
    """

    suite: str
    results: Sequence[Result]
    verdict: GateResult
    thresholds: Thresholds
    skipped: Sequence[Case] = ()
    why_skipped: str = ""
    since: Comparison | None = None
    part: Collection[str] | None = None


def word(run: SuiteRun) -> str:
    """The verdict on a suite's run in words."""
    if run.part is not None and not run.part and run.verdict.code == PASS:
        return "not judged: no failure mode was run whole"
    return WORDS[run.verdict.code]


def last_line(run: SuiteRun) -> str:
    """The verdict in one sentence, for the end of a long report: a terminal shows that first."""
    overall = run.verdict.overall
    return f"Evals of {run.suite} {word(run)}; {overall.passed:g} of {overall.total} judged cases passed."


def worst(runs: Sequence[SuiteRun]) -> int:
    """The exit code of all suites together; a run of no suite could not be judged."""
    return max((run.verdict.code for run in runs), default=BROKEN)


def markdown(runs: Sequence[SuiteRun], label: str) -> str:
    """The report as markdown.

    ``label`` names the models, so that a simulator's score is never taken for a model's (E10).
    """
    return "\n".join([*("\n".join(_suite(run, label)) for run in runs), MARKER]) + "\n"


def _suite(run: SuiteRun, label: str) -> list[str]:
    results, verdict, thresholds = run.results, run.verdict, run.thresholds
    rows = [_row(mode, rate, thresholds.modes.get(mode)) for mode, rate in sorted(verdict.modes.items())]
    rows += [_row("**overall**", verdict.overall, thresholds.overall)] if verdict.overall.total else []
    lines = [
        f"## Evals of {run.suite} {word(run)} ({label})",
        "",
        *_table(HEAD, rows),
        "",
        *_totals([result for result in results if not result.case.chaos] or results),
    ]
    lines += ["", *(f"- {reason}" for reason in verdict.reasons)] if verdict.reasons else []
    lines += _compared(verdict.comparison) if verdict.comparison else ["", f"Not compared: no run of {label} is pinned."]
    lines += _compared(run.since, "### Beside the base, whose pinned run this change replaces") if run.since else []
    lines += ["", f"Not run: {len(run.skipped)} cases of {MODE}, because {run.why_skipped}."] if run.skipped else []
    lines += _measured(verdict, thresholds)
    failed = [result for result in results if not result.passed]
    lines += ["", "### Cases that did not pass", "", *map(_failed, failed)] if failed else []
    return [*lines, ""]


def as_json(runs: Sequence[SuiteRun], label: str) -> dict[str, Any]:
    """The run as JSON, by suite."""
    code = worst(runs)
    return {"label": label, "code": code, "verdict": WORDS[code], "suites": {run.suite: suite_json(run, label) for run in runs}}


def suite_json(run: SuiteRun, label: str) -> dict[str, Any]:
    """A suite's run as JSON."""
    results, verdict, thresholds = run.results, run.verdict, run.thresholds
    return {
        "suite": run.suite,
        "label": label,
        "code": verdict.code,
        "verdict": word(run),
        "reasons": list(verdict.reasons),
        "part": None if run.part is None else sorted(run.part),
        "overall": _rate(verdict.overall, thresholds.overall),
        "modes": {mode: _rate(rate, thresholds.modes.get(mode)) for mode, rate in verdict.modes.items()},
        "measures": {name: _rate(rate, thresholds.measures.get(name)) for name, rate in verdict.measures.items()},
        "comparison": _comparison_json(verdict.comparison) if verdict.comparison else None,
        "since_base": _comparison_json(run.since) if run.since else None,
        "repeats": repeats(results),
        "answered_by": dict(_answered_by(results)),
        "cost_usd": round(sum(r.trail.cost_usd for r in results), 6),
        "skipped": [case.id for case in run.skipped],
        "cases": [_case(result) for result in results],
    }


def repeats(results: Sequence[Result]) -> Mapping[str, float]:
    """pass@k and pass^k for k up to the number of trials; empty where each case ran once (E5)."""
    counted = Counter(result.case.id for result in results)
    passed = Counter(result.case.id for result in results if result.passed)
    most = min(counted.values(), default=1)
    trials = [(passed[identity], total) for identity, total in counted.items()]
    at = {f"pass@{k}": pass_at(k, trials) for k in range(1, most + 1)}
    every = {f"pass^{k}": pass_all(k, trials) for k in range(1, most + 1)}
    return {name: round(value, 4) for name, value in {**at, **every}.items()} if most > 1 else {}


def comparison(compared: Comparison, title: str) -> str:
    """Two runs beside each other, as markdown."""
    return "\n".join(_compared(compared, f"## {title}")) + "\n"


def _case(result: Result) -> dict[str, Any]:
    trail = result.trail
    return {
        "id": result.case.id,
        "failure_mode": result.case.failure_mode,
        "endpoint": result.case.endpoint,
        "trial": result.trial,
        "passed": result.passed,
        "findings": [{"scorer": f.scorer, "words": f.words} for f in result.findings],
        "broken": result.broken,
        "measures": dict(result.measures),
        "seconds": round(trail.seconds, 3),
        "cost_usd": trail.cost_usd,
        "provider": trail.provider,
        "model": trail.model,
        "release": trail.release,
        "fallbacks": trail.fallbacks,
        "request_id": trail.request_id,
    }


def _compared(compared: Comparison, head: str = "### Beside the pinned run") -> list[str]:
    rows = [_delta(mode, delta) for mode, delta in sorted(compared.modes.items())]
    lines = ["", head, "", *_table(COMPARED, [*rows, _delta("**overall**", compared.overall)])]
    named = (
        ("Lost", compared.lost),
        ("Won", compared.won),
        ("New, not compared", compared.new),
        ("Changed, not compared", compared.changed),
    )
    return [*lines, "", *(f"{what}: {', '.join(f'`{i}`' for i in ids)}." for what, ids in named if ids)]


def _measured(verdict: GateResult, thresholds: Thresholds) -> list[str]:
    if not verdict.measures:
        return []
    means = []
    for name, rate in verdict.measures.items():
        wanted = thresholds.measures.get(name)
        means.append(f"{name} {rate.share:.3f}" + (f" (at least {wanted.least:.2f})" if wanted else ""))
    return ["", f"Means: {'; '.join(means)}."]


def _totals(results: Sequence[Result]) -> list[str]:
    seconds = [r.trail.seconds for r in results]
    cost = sum(r.trail.cost_usd for r in results)
    fallbacks = sum(r.trail.fallbacks > 0 for r in results)
    releases = ", ".join(sorted({r.trail.release for r in results if r.trail.release})) or "unknown"
    answered = ", ".join(f"{who} ({count})" for who, count in _answered_by(results).most_common())
    median, slow = percentile(seconds, 0.5), percentile(seconds, 0.95)
    cases = len({result.case.id for result in results})
    times = f" {len(results) // cases} times" if cases and len(results) > cases else ""
    tries = "; ".join(f"{name} {value:.1%}" for name, value in repeats(results).items())
    return [
        f"Release {releases}. Answered by {answered or 'no model'}; {fallbacks} by a fallback.",
        f"{cases} cases{times}, ${cost:.4f}; p50 {median:.2f} s, p95 {slow:.2f} s an answer.",
        *([f"Repeated: {tries}."] if tries else []),
    ]


def _answered_by(results: Sequence[Result]) -> Counter[str]:
    named = (f"{r.trail.provider}/{r.trail.model}" if r.trail.model else "no model" for r in results if not r.broken)
    return Counter(named)


def _failed(result: Result) -> str:
    why = "; ".join(f"{found.scorer}: {_quoted(found.words)}" for found in result.findings)
    why = why or f"could not be judged: {_quoted(result.broken or '')}"
    request = f" Request {result.trail.request_id}." if result.trail.request_id else ""
    return f"- `{result.case.id}` ({result.case.failure_mode}): {why}. {result.case.criteria}{request}"


def _quoted(words: str) -> str:
    """Words as markdown: those that it would read as its own, such as a link, a tag or a name to notify, are code."""
    words = " ".join(words.split())
    if _PLAIN.fullmatch(words) and "www." not in words.lower():
        return words
    fence = "`" * (max(map(len, re.findall("`+", words)), default=0) + 1)
    return f"{fence} {words} {fence}" if "`" in words else f"`{words}`"


def _row(name: str, rate: Rate, threshold: Threshold | None) -> tuple[str, ...]:
    low, high = rate.interval
    least, goal = (f"{threshold.least:.0%}", f"{threshold.goal:.0%}") if threshold else ("none", "none")
    mark = "" if threshold and rate.share >= threshold.least else "below"
    return (name, f"{rate.passed:g} of {rate.total}", f"{rate.share:.1%}", f"{low:.0%} to {high:.0%}", least, goal, mark)


def _delta(name: str, delta: Delta) -> tuple[str, ...]:
    low, high = delta.interval
    change, spread = f"{delta.delta:+.1%}", f"{low:+.0%} to {high:+.0%}"
    return (name, f"{delta.before:.1%}", f"{delta.after:.1%}", change, spread, f"{delta.p_worse:.4f}", delta.verdict)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Markdown whose columns also line up in a terminal."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    rule = "-|-".join("-" * width for width in widths)
    return [f"| {lines[0]} |", f"|-{rule}-|", *(f"| {line} |" for line in lines[1:])]


def _rate(rate: Rate, threshold: Threshold | None) -> dict[str, Any]:
    demanded = {"least": threshold.least if threshold else None, "goal": threshold.goal if threshold else None}
    return {"passed": rate.passed, "total": rate.total, "share": rate.share, "interval": list(rate.interval), **demanded}


def _comparison_json(compared: Comparison) -> dict[str, Any]:
    def of(delta: Delta) -> dict[str, Any]:
        about = {"cases": delta.cases, "before": delta.before, "after": delta.after, "interval": list(delta.interval)}
        return {**about, "p_worse": delta.p_worse, "p_better": delta.p_better, "verdict": delta.verdict}

    ids = {"lost": list(compared.lost), "won": list(compared.won), "new": list(compared.new), "changed": list(compared.changed)}
    return {"overall": of(compared.overall), "modes": {mode: of(delta) for mode, delta in compared.modes.items()}, **ids}
