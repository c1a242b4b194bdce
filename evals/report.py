"""The run in words: a table for the terminal and a pull request, JSON for programs (E4)."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from evals.gate import Threshold, Thresholds, Verdict
from evals.harness import Result
from evals.rates import Rate, percentile

WORDS = {0: "passed", 1: "failed: below threshold", 2: "failed: could not be judged"}
HEAD = ("failure mode", "passed", "share", "95 % interval", "at least", "goal", "")


def markdown(results: Sequence[Result], verdict: Verdict, thresholds: Thresholds, label: str) -> str:
    """The report as markdown. ``label`` says what answered, so that a simulator's score is never taken for a model's (E10)."""
    rows = [_row(mode, rate, thresholds.modes.get(mode)) for mode, rate in sorted(verdict.modes.items())]
    rows.append(_row("**overall**", verdict.overall, thresholds.overall))
    lines = [f"## Evals {WORDS[verdict.code]} ({label})", "", *_table(rows), "", *_totals(results)]
    lines += ["", *(f"- {reason}" for reason in verdict.reasons)] if verdict.reasons else []
    failed = [result for result in results if not result.passed]
    lines += ["", "### Cases that did not pass", "", *map(_failed, failed)] if failed else []
    return "\n".join(lines) + "\n"


def as_json(results: Sequence[Result], verdict: Verdict, thresholds: Thresholds, label: str) -> dict[str, Any]:
    """The run as JSON."""
    return {
        "label": label,
        "code": verdict.code,
        "verdict": WORDS[verdict.code],
        "reasons": list(verdict.reasons),
        "overall": _rate(verdict.overall, thresholds.overall),
        "modes": {mode: _rate(rate, thresholds.modes.get(mode)) for mode, rate in verdict.modes.items()},
        "answered_by": dict(_answered_by(results)),
        "cost_usd": round(sum(r.trail.cost_usd for r in results), 6),
        "cases": [_case(result) for result in results],
    }


def _case(result: Result) -> dict[str, Any]:
    trail = result.trail
    return {
        "id": result.case.id,
        "failure_mode": result.case.failure_mode,
        "endpoint": result.case.endpoint,
        "passed": result.passed,
        "findings": [{"scorer": f.scorer, "words": f.words} for f in result.findings],
        "broken": result.broken,
        "seconds": round(trail.seconds, 3),
        "cost_usd": trail.cost_usd,
        "provider": trail.provider,
        "model": trail.model,
        "release": trail.release,
        "fallbacks": trail.fallbacks,
        "request_id": trail.request_id,
    }


def _totals(results: Sequence[Result]) -> list[str]:
    seconds = [r.trail.seconds for r in results]
    cost = sum(r.trail.cost_usd for r in results)
    fallbacks = sum(r.trail.fallbacks > 0 for r in results)
    releases = ", ".join(sorted({r.trail.release for r in results if r.trail.release})) or "unknown"
    answered = ", ".join(f"{who} ({count})" for who, count in _answered_by(results).most_common())
    median, slow = percentile(seconds, 0.5), percentile(seconds, 0.95)
    return [
        f"Release {releases}. Answered by {answered or 'nobody'}; {fallbacks} by a fallback.",
        f"{len(results)} cases, ${cost:.4f}; p50 {median:.2f} s, p95 {slow:.2f} s an answer.",
    ]


def _answered_by(results: Sequence[Result]) -> Counter[str]:
    named = (f"{r.trail.provider}/{r.trail.model}" if r.trail.model else "no model" for r in results if not r.broken)
    return Counter(named)


def _failed(result: Result) -> str:
    why = "; ".join(map(str, result.findings)) or f"could not be judged: {result.broken}"
    request = f" Request {result.trail.request_id}." if result.trail.request_id else ""
    return f"- `{result.case.id}` ({result.case.failure_mode}): {why}. {result.case.criteria}{request}"


def _row(name: str, rate: Rate, threshold: Threshold | None) -> tuple[str, ...]:
    low, high = rate.interval
    least, goal = (f"{threshold.least:.0%}", f"{threshold.goal:.0%}") if threshold else ("none", "none")
    mark = "" if threshold and rate.share >= threshold.least else "below"
    return (name, f"{rate.passed} of {rate.total}", f"{rate.share:.1%}", f"{low:.0%} to {high:.0%}", least, goal, mark)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Markdown whose columns also line up in a terminal."""
    widths = [max(len(row[column]) for row in [HEAD, *rows]) for column in range(len(HEAD))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [HEAD, *rows]]
    rule = "-|-".join("-" * width for width in widths)
    return [f"| {lines[0]} |", f"|-{rule}-|", *(f"| {line} |" for line in lines[1:])]


def _rate(rate: Rate, threshold: Threshold | None) -> dict[str, Any]:
    demanded = {"least": threshold.least if threshold else None, "goal": threshold.goal if threshold else None}
    return {"passed": rate.passed, "total": rate.total, "share": rate.share, "interval": list(rate.interval), **demanded}
