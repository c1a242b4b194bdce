"""The run in words: a table for the terminal, markdown for a pull request, JSON for programs (E4)."""

from collections.abc import Sequence
from typing import Any

from evals.gate import Rate, Verdict
from evals.harness import Result

WORDS = {0: "passed", 1: "failed: below threshold", 2: "failed: could not be judged"}


def markdown(results: Sequence[Result], verdict: Verdict, label: str) -> str:
    """The report as markdown. ``label`` says what answered, so that a simulator's score is never taken for a model's."""
    lines = [
        f"## Evals {WORDS[verdict.code]} ({label})",
        "",
        "| failure mode | passed | share | 95 % interval |",
        "|---|---|---|---|",
        *(_row(mode, rate) for mode, rate in sorted(verdict.modes.items())),
        _row("**overall**", verdict.overall),
        "",
        _totals(results),
    ]
    lines += ["", *(f"- {reason}" for reason in verdict.reasons)] if verdict.reasons else []
    failed = [r for r in results if not r.passed]
    lines += ["", "### Cases that did not pass", ""] if failed else []
    lines += [f"- `{r.case.id}` ({r.case.failure_mode}): {'; '.join(r.problems) or r.broken}" for r in failed]
    return "\n".join(lines) + "\n"


def as_json(results: Sequence[Result], verdict: Verdict, label: str) -> dict[str, Any]:
    """The run as JSON."""
    return {
        "label": label,
        "code": verdict.code,
        "reasons": list(verdict.reasons),
        "overall": _rate(verdict.overall),
        "modes": {mode: _rate(rate) for mode, rate in verdict.modes.items()},
        "cases": [
            {
                "id": r.case.id,
                "failure_mode": r.case.failure_mode,
                "passed": r.passed,
                "problems": list(r.problems),
                "broken": r.broken,
                "seconds": round(r.seconds, 3),
                "cost_usd": r.cost_usd,
                "model": r.model,
            }
            for r in results
        ],
    }


def _totals(results: Sequence[Result]) -> str:
    models = ", ".join(sorted({r.model for r in results if r.model})) or "none"
    cost, seconds = sum(r.cost_usd for r in results), sum(r.seconds for r in results)
    return f"{len(results)} cases, ${cost:.4f}, {seconds:.1f} s of answers; models: {models}."


def _row(name: str, rate: Rate) -> str:
    low, high = rate.interval
    return f"| {name} | {rate.passed} of {rate.total} | {rate.share:.1%} | {low:.0%} to {high:.0%} |"


def _rate(rate: Rate) -> dict[str, Any]:
    return {"passed": rate.passed, "total": rate.total, "share": rate.share, "interval": list(rate.interval)}
