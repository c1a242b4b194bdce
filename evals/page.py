"""The run as one HTML file for people.

It needs no script and no other file, has light and dark colours, and is readable on a phone.
"""

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from evals.gate import GateResult, Threshold, Thresholds
from evals.harness import Result
from evals.paired import Delta
from evals.rates import Rate, percentile
from evals.report import WORDS, SuiteRun, repeats, word, worst

TONES = {0: "good", 1: "bad", 2: "broken"}


def page(runs: Sequence[SuiteRun], label: str) -> str:
    """The whole page. Every text of a model or a case is escaped."""
    style = (files("evals") / "page.css").read_text(encoding="utf-8")
    words = escape(WORDS[worst(runs)])
    body = "\n".join(_suite(run, label) for run in runs)
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    title = f"<title>Evals: {words} ({escape(label)})</title>"
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{viewport}{title}<style>\n{style}</style></head>'
    return f"{head}\n<body><main>\n{body}\n</main></body></html>\n"


def _suite(run: SuiteRun, label: str) -> str:
    results, verdict, thresholds = run.results, run.verdict, run.thresholds
    parts = [
        _head(run, label),
        _tiles([result for result in results if not result.case.chaos], verdict, thresholds),
        _reasons(verdict),
        _modes(verdict, thresholds),
        _measures(verdict, thresholds),
        _flips(verdict),
        _cases(results),
    ]
    return "\n".join(part for part in parts if part)


def _head(run: SuiteRun, label: str) -> str:
    tone, words = TONES[run.verdict.code], escape(word(run).capitalize())
    badge = f'<span class="badge {tone}">{words}</span>'
    return f'<header><h1>Evals of {escape(run.suite)} {badge}</h1><p class="label">Answered by: {escape(label)}</p></header>'


def _tiles(results: Sequence[Result], verdict: GateResult, thresholds: Thresholds) -> str:
    low, high = verdict.overall.interval
    seconds = [result.trail.seconds for result in results]
    change = verdict.comparison.overall if verdict.comparison else None
    counted = f"{verdict.overall.passed:g} of {verdict.overall.total}; {low:.0%} to {high:.0%}"
    beside = (f"{change.delta:+.1%}", change.verdict) if change else ("none", "nothing to compare with")
    tiles = [
        ("Passed", f"{verdict.overall.share:.1%}", counted),
        ("Needed", f"{thresholds.overall.least:.0%}", f"goal {thresholds.overall.goal:.0%}"),
        ("Beside the pinned run", *beside),
        ("Cost", f"${sum(r.trail.cost_usd for r in results):.3f}", f"{len(results)} answers"),
        ("Latency", f"{percentile(seconds, 0.5):.2f} s", f"p95 {percentile(seconds, 0.95):.2f} s"),
        *([("Repeated", f"{found['pass^' + str(k)]:.1%}", f"pass^{k}; pass@{k} {found['pass@' + str(k)]:.1%}")]
          if (found := repeats(results)) and (k := len(found) // 2) else []),
    ]  # fmt: skip
    cells = [f"<div><dt>{escape(a)}</dt><dd>{escape(b)}</dd><dd class=note>{escape(c)}</dd></div>" for a, b, c in tiles]
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def _reasons(verdict: GateResult) -> str:
    items = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
    return f'<section class="reasons"><h2>Why</h2><ul>{items}</ul></section>' if items else ""


def _modes(verdict: GateResult, thresholds: Thresholds) -> str:
    deltas = verdict.comparison.modes if verdict.comparison else {}
    rows = [_mode(mode, rate, thresholds.modes.get(mode), deltas.get(mode)) for mode, rate in sorted(verdict.modes.items())]
    return f'<section><h2>By failure mode</h2><div class="modes">{"".join(rows)}</div></section>'


def _mode(name: str, rate: Rate, threshold: Threshold | None, delta: Delta | None) -> str:
    least, goal = (threshold.least, threshold.goal) if threshold else (1.0, 1.0)
    tone = "good" if rate.share >= goal else "fair" if rate.share >= least else "bad"
    low, high = rate.interval
    change = f"{delta.delta:+.1%}, {escape(delta.verdict)}" if delta else "not compared"
    about = f"{rate.passed:g} of {rate.total} · {low:.0%} to {high:.0%} · at least {least:.0%}, goal {goal:.0%} · {change}"
    metric = f'<p class="note">{escape(threshold.metric)}</p>' if threshold else ""
    return (
        f'<div class="mode"><h3>{escape(name.replace("_", " "))}</h3><strong class="{tone}">{rate.share:.0%}</strong>'
        f"{_bar(rate, least, tone)}<p>{about}</p>{metric}</div>"
    )


def _bar(rate: Rate, least: float, tone: str) -> str:
    """The share, its interval as a thin line, and a mark where it must at least be."""
    low, high = rate.interval
    return (
        f'<svg viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{rate.share:.0%}">'
        f'<rect class="track" width="100" height="8"/><rect class="{tone}" width="{100 * rate.share:.1f}" height="8"/>'
        f'<rect class="interval" x="{100 * low:.1f}" y="3.4" width="{100 * (high - low):.1f}" height="1.2"/>'
        f'<rect class="mark" x="{max(0.0, 100 * least - 0.4):.1f}" width="0.8" height="8"/></svg>'
    )


def _measures(verdict: GateResult, thresholds: Thresholds) -> str:
    rows = []
    for name, rate in verdict.measures.items():
        wanted = thresholds.measures.get(name)
        least, metric = (f"{wanted.least:.2f}", wanted.metric) if wanted else ("none", "")
        about = f"<td>{rate.share:.3f}</td><td>{least}</td><td>{rate.total}</td><td class=note>{escape(metric)}</td>"
        rows.append(f"<tr><th scope=row>{escape(name.replace('_', ' '))}</th>{about}</tr>")
    head = "<tr><th>mean of</th><th>share</th><th>at least</th><th>cases</th><th>stands for</th></tr>"
    table = f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'
    return f"<section><h2>Measures</h2>{table}</section>" if rows else ""


def _flips(verdict: GateResult) -> str:
    compared = verdict.comparison
    if not compared:
        return ""
    named = (
        ("Lost", compared.lost),
        ("Won", compared.won),
        ("New, not compared", compared.new),
        ("Changed, not compared", compared.changed),
    )
    items = [
        f"<p><strong>{what}:</strong> {', '.join(f'<code>{escape(i)}</code>' for i in ids)}</p>" for what, ids in named if ids
    ]
    return f"<section><h2>Flipped cases</h2>{''.join(items) or '<p>None.</p>'}</section>"


def _cases(results: Sequence[Result]) -> str:
    failed = sorted((r for r in results if not r.passed), key=lambda r: (r.broken is None, r.case.failure_mode, r.case.id))
    return f"<section><h2>Cases that did not pass ({len(failed)})</h2>{''.join(map(_case, failed)) or '<p>None.</p>'}</section>"


def _case(result: Result) -> str:
    case, trail = result.case, result.trail
    found = "".join(f"<li>{escape(str(finding))}</li>" for finding in result.findings)
    why = found or f"<li>could not be judged: {escape(result.broken or '')}</li>"
    text = case.input.full_text if len(case.input.full_text) <= 600 else case.input.full_text[:600] + " …"
    who = f"{trail.provider}/{trail.model}" if trail.model else "no model"
    end = f"{escape(who)} · {trail.seconds:.2f} s · ${trail.cost_usd:.5f} · {escape(trail.request_id)}"
    head = f"<code>{escape(case.id)}</code> <span class=note>{escape(case.failure_mode.replace('_', ' '))}</span>"
    about = f"<ul>{why}</ul><p>{escape(case.criteria)}</p><p class=note>{end}</p>"
    return f"<details><summary>{head}</summary><blockquote>{escape(text)}</blockquote>{about}</details>"
