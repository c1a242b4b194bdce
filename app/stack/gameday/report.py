"""The report of a game day: JSON and markdown for people, and one line in a log that other programs read."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.domain.figures import usd
from app.domain.money import MICROS_PER_DOLLAR, MicroUSD
from app.oncall.gamedays import FOLDER, REVOKED_WITHIN
from app.oncall.runbook.pages import by_the_drill
from app.stack.gameday.page import cut
from app.stack.gameday.play import Outcome
from app.stack.gameday.scenario import Scenario
from app.stack.gameday.traffic import ANSWERED

LOG = "gamedays.jsonl"
SHOWN = 400


def write(state_dir: Path, scenario: Scenario, outcome: Outcome) -> Path:
    """Write the report and the line. Returns the markdown's path."""
    folder = state_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{outcome.begun_at:%Y-%m-%dT%H-%M-%SZ}-{outcome.scenario}"
    whole = as_json(scenario, outcome)
    (folder / f"{stem}.json").write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    path = folder / f"{stem}.md"
    path.write_text(as_markdown(scenario, outcome), encoding="utf-8")
    if outcome.postmortem:
        (folder / f"{stem}-postmortem.md").write_text(outcome.postmortem, encoding="utf-8")
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(fact(outcome, f"{stem}.json")) + "\n")
    return path


def verdicts(state_dir: Path) -> list[tuple[str, str]]:
    """Scenario and verdict of each line of the log. A line that is none is passed over."""
    try:
        lines = (state_dir / FOLDER / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            one = json.loads(line)
            found.append((str(one["scenario"]), str(one["verdict"])))
    return found


def fact(outcome: Outcome, report: str) -> dict[str, Any]:
    """The evidence in one line: scenario, time, verdict, seconds from the fault's begin, score. ``report`` is the whole.

    ``costs``: micro-dollars an answer, before the fault and in it. ``revoked``: seconds until a revoked key was refused, and
    ``written`` these from the write of its revocation; ``lasted``: these of further keys.
    """
    times = ("detected", "paged", "acknowledged", "contained", "fault_ended", "recovered")
    works, of = outcome.score
    return {
        "at": outcome.begun_at.isoformat(timespec="seconds"), "scenario": outcome.scenario, "verdict": outcome.verdict,
        "by": outcome.by,
        **{name: getattr(outcome, name) for name in times}, "paging": outcome.paging, "commands_that_work": works, "commands": of,
        "callers": sum(outcome.callers.values()), "answered": outcome.callers.get(ANSWERED, 0),
        "costs": {phase: money.each for phase, money in outcome.money.items()}, "revoked": outcome.revoked,
        "written": outcome.written, "lasted": outcome.lasted, "refused": outcome.refused, "instead": outcome.instead,
        "headers": outcome.headers, "report": report,
    }  # fmt: skip


def as_json(scenario: Scenario, outcome: Outcome) -> dict[str, Any]:
    """The whole report. Outputs of commands are cut."""
    played = asdict(outcome) | {"score": list(outcome.score), "begun_at": outcome.begun_at.isoformat()}
    played["fault_at"] = outcome.fault_at.isoformat() if outcome.fault_at else None
    played["followed"] = [{**asdict(one), "output": cut(one.output, SHOWN), "ending": one.ending} for one in outcome.followed]
    return {"written_before": scenario.model_dump(mode="json"), "played": played}


def as_markdown(scenario: Scenario, outcome: Outcome) -> str:
    """The report for a person."""
    works, of = outcome.score
    lines = [
        f"# Game day: {scenario.title}",
        "",
        f"- **Verdict:** {outcome.verdict}",
        *(f"  - {reason}" for reason in outcome.reasons),
        f"- **Hypothesis:** {scenario.hypothesis}",
        *([f"- **Played by:** {outcome.by}"] if outcome.by else []),
        f"- **Begun:** {_utc(outcome.begun_at)}; fault at {_utc(outcome.fault_at) if outcome.fault_at else 'never'}",
        f"- **Runbook followed literally:** {works} of {of} commands of {scenario.runbook.page} work",
        f"- **Callers:** {_counted(outcome.callers)}",
        *_rogue(outcome),
        *_refused(outcome),
        *_instead(outcome),
        *_money(outcome),
        "",
        "| step | seconds from the fault |",
        "|---|---|",
        *(f"| {name} | {_seconds(at)} |" for name, at in _times(outcome, scenario.detect.alert)),
        "",
        "| probe | phase | measure | value | holds |",
        "|---|---|---|---|---|",
        *(f"| {p.name} | {p.phase} | {p.measure} | {_value(p.value)} | {'yes' if p.holds else 'NO'} |" for p in outcome.probes),
        "",
        "| seconds from the fault | event |",
        "|---|---|",
        *(f"| {at:.2f} | {words.replace('|', '/')} |" for at, words in outcome.timeline),
    ]
    for one in outcome.followed:
        lines += ["", f"`{one.command}` {one.ending}; it took {one.seconds:.1f} s", "", "~~~text", cut(one.output, SHOWN), "~~~"]
    return "\n".join(lines) + "\n"


def _rogue(outcome: Outcome) -> Sequence[str]:
    """The rogue caller, and how many of the others noticed; empty without one."""
    if not outcome.rogue:
        return []
    failed = sum(outcome.callers.values()) - outcome.callers.get(ANSWERED, 0)
    others = f"- **Other users who noticed:** {failed} of their {sum(outcome.callers.values())} calls failed"
    cap = [f"- **The rogue user's cap:** {outcome.cap}"] if outcome.cap else []
    after = f"{outcome.revoked:.1f} s after `octant key revoke` was begun" if outcome.revoked is not None else ""
    after += f", {outcome.written:.1f} s after its write (promise {REVOKED_WITHIN:g} s)" if outcome.written is not None else ""
    revoked = [f"- **Its first refused call:** {after}"] if after else []
    lasted = ", ".join(f"{one:.2f} s" for one in outcome.lasted)
    further = (
        [f"- **Further keys, each in use until then, were refused after their revocation's write by:** {lasted}"]
        if lasted
        else []
    )
    return [f"- **The rogue user:** {_counted(outcome.rogue)}", *cap, *revoked, *further, others]


def _refused(outcome: Outcome) -> Sequence[str]:
    """The refusals where nothing could answer; empty elsewhere."""
    if outcome.refused is None:
        return []
    honest, of = outcome.refused
    return [f"- **Not contained:** nothing could answer meanwhile; {honest} of {of} refusals were honest"]


def _instead(outcome: Outcome) -> Sequence[str]:
    """The model that answered in place of the route's first, and the headers by which a client sees it; empty without one."""
    if not outcome.instead:
        return []
    headers = ", ".join(f"`{name}: {value}`" for name, value in outcome.headers.items())
    return [f"- **Answered instead:** {outcome.instead}", f"- **Headers of such an answer:** {headers}"]


def _counted(seen: dict[str, int]) -> str:
    return ", ".join(f"{what} {count}" for what, count in sorted(seen.items()))


def _money(outcome: Outcome) -> Sequence[str]:
    each = {phase: money.each for phase, money in outcome.money.items()}
    before, fault = each.get("before"), each.get("fault")
    if before is None or fault is None:
        return []
    prices = [f"${price / MICROS_PER_DOLLAR:.6f}" for price in (before, fault)]
    most = outcome.money["fault"].bound
    bound = f"; {usd(MicroUSD(most))} of the fault's money is an upper bound" if most else ""
    return [f"- **An answer cost:** {prices[0]} before the fault, {prices[1]} in it{bound}; over all routes and kinds of calls"]


def _times(outcome: Outcome, alert: str) -> Sequence[tuple[str, float | None]]:
    page = f"page {by_the_drill(alert)}" if outcome.paging == "on" else f"page (paging is {outcome.paging})"
    contained = "containment" if outcome.refused is None else "containment (nothing could answer)"
    return (
        ("detection", outcome.detected), (page, outcome.paged), ("acknowledgement by the drill", outcome.acknowledged),
        (contained, outcome.contained), ("end of the fault", outcome.fault_ended), ("recovery", outcome.recovered),
    )  # fmt: skip


def _seconds(at: float | None) -> str:
    return "-" if at is None else f"{at:.2f}"


def _value(value: float | None) -> str:
    return "no caller" if value is None else f"{value:.2f}"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
