"""Observability: recorded calls with their figures, dashboards that show every metric, alerts that lead to the runbook."""

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from app.audit.overview import Bucket, overview
from app.console import formats
from app.console.readiness.answers import Answer, Evidence, State, missing
from app.console.readiness.sources import Sources
from app.oncall.runbook.pages import read
from app.telemetry.catalogue import CATALOGUE

QUESTION = "Can we see latency, cost and errors of every request, with real numbers?"
COMMAND = "octant calls --since 24h"
DAY = timedelta(days=1)
_RUNBOOK_URL = re.compile(r"runbook_url: \S*/runbook/([\w-]+\.md)(?:#([\w-]+))?")
_ALERT = re.compile(r"^\s*- alert: (\w+)$", re.MULTILINE)


async def answer(sources: Sources) -> Answer:
    """Read the last day's records, and compare dashboards, metrics, alerts and runbook."""
    seen = await overview(sources.engine, sources.now - DAY, sources.now, timedelta(hours=1))
    total = seen.total
    found = [_records(total), *_figures(total), _refused(total), dashboards(sources.root), alerts(sources.root)]
    if simulated := sorted(set(seen.providers) & set(sources.releases.simulated)):
        found.append(_simulated(simulated))
    if total.calls and total.request_latency and total.request_cost_bands:
        words = (
            f"{formats.number(total.requests, 'request')} to models in the last 24 h can be opened one by one: p95 is"
            f" {formats.ms(total.request_latency[1])}, half cost at most {formats.usd(total.request_cost_bands[0])}"
            f" and 95 % at most {formats.usd(total.request_cost_bands[1])};"
            f" {formats.share(total.failed / total.calls)} of their {formats.number(total.calls, 'call')} failed."
        )
    else:
        words = "No request was recorded in the last 24 h, so there are no figures to show."
    return Answer(axis="Observability", question=QUESTION, words=words, evidence=found, command=COMMAND)


def _records(total: Bucket) -> Evidence:
    if not total.calls:
        return missing("Recorded requests", "none in the last 24 h", "make demo")
    return Evidence(
        name="Recorded requests",
        value=f"{formats.number(total.requests, 'request')} in the last 24 h, with"
        f" {formats.number(total.calls, 'call')} of models, {total.failed:,} of which failed",
        link="/console/calls?range=24h&needed_model=true", command=COMMAND,
    )  # fmt: skip


def _simulated(providers: Sequence[str]) -> Evidence:
    value = f"the simulator answered for {' and '.join(providers)}, so times and money are not those of a vendor's models"
    command = "octant check --production"
    closed_by = f"Give the service keys of the vendors; `{command}` names what else is an example."
    return Evidence(name="Real models", value=value, state="gaps", closed_by=closed_by, link="/console", command=command)


def _refused(total: Bucket) -> Evidence:
    """What is in no figure of latency and cost, and what has no record at all."""
    value = (
        f"{formats.number(total.refused, 'call')} refused by a cap, a rate limit or a stop, counted apart; what is refused before"
        " it is a call (a wrong key, a malformed body, an unknown model) has no record; octant_http_requests_total counts it"
    )
    link, command = "/console/calls?range=24h&refused=true", "octant calls --since 24h --refused"
    return Evidence(name="Refused requests", value=value, link=link, command=command)


def _figures(total: Bucket) -> list[Evidence]:
    found = []
    day = "/console?range=24h"
    for name, latency, bands in (
        ("request", total.request_latency, total.request_cost_bands), ("call", total.latency, total.cost_bands),
    ):  # fmt: skip
        if latency:
            ttft = f"; first token {formats.ms(total.ttft)} (p50)" if total.ttft and name == "call" else ""
            p50, p95, p99 = (formats.ms(value) for value in latency)
            found.append(
                Evidence(name=f"Latency of a {name}", value=f"p50 {p50}, p95 {p95}, p99 {p99}{ttft}", link=f"{day}#kinds")
            )
        if bands:
            half, most = (formats.usd(value) for value in bands)
            value = f"p50 {half}, p95 {most}, {formats.usd(total.cost)} in all"
            found.append(Evidence(name=f"Cost of a {name}", value=value, link=f"{day}#kinds"))
    if total.calls:
        rates = ", ".join(
            f"{words} {formats.share(number / total.calls)}"
            for words, number in (
                ("failed", total.failed), ("retried", total.retried), ("fell back", total.fallen_back),
                ("repaired", total.repaired), ("degraded", total.degraded),
            )
        )  # fmt: skip
        found.append(Evidence(name="Rates", value=rates, link="/console/calls?range=24h&failed=true&refused=false"))
    return found


def dashboards(root: Path) -> Evidence:
    """Whether every declared metric stands on a panel."""
    files = sorted((root / "deploy" / "grafana").glob("*.json"))
    if not files:
        return missing("Dashboards", "deploy/grafana is not on this machine", "make generate")
    shown = "\n".join(file.read_text(encoding="utf-8") for file in files)
    unseen = [one.name for one in CATALOGUE if one.name not in shown]
    state: State = "failing" if unseen else "proved"
    value = f"{len(CATALOGUE) - len(unseen)} of {len(CATALOGUE)} metrics stand on {formats.number(len(files), 'dashboard')}"
    return Evidence(
        name="Dashboards", value=value + (f"; missing: {', '.join(unseen[:3])}" if unseen else ""), state=state,
        command="make generate",
    )  # fmt: skip


def alerts(root: Path) -> Evidence:
    """Whether every alert leads to a section of the runbook that exists."""
    rules = "\n".join(file.read_text(encoding="utf-8") for file in (root / "deploy" / "prometheus" / "rules").glob("*.yml"))
    if not rules:
        return missing("Alerts", "deploy/prometheus/rules is not on this machine", "make generate")
    known = {(page.name, section.anchor) for page in read(root / "runbook") for section in page.sections}
    known |= {(name, "") for name, _ in known}
    names, links = _ALERT.findall(rules), _RUNBOOK_URL.findall(rules)
    dead = sorted({f"{page}#{anchor}" for page, anchor in links if (page, anchor) not in known})
    value = f"{formats.number(len(names), 'alert')}, {len(links)} with a section of the runbook"
    if dead:
        return Evidence(
            name="Alerts", value=f"{value}; not there: {', '.join(dead[:3])}", state="failing", command="make generate"
        )
    return Evidence(
        name="Alerts", value=value, state="proved" if len(links) >= len(names) else "gaps", link="/console/runbook/alerts",
        closed_by="Name a section of the runbook in each alert, then `make generate`.", command="make generate",
    )  # fmt: skip
