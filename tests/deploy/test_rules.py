"""Objectives, alerts and generated rules, checked by promtool and amtool (O6)."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from tools import tool

from app.domain.records import REFUSALS
from app.settings import Settings
from deploy import generate
from deploy.rules import slos
from deploy.rules.build import Unfit, alerts_of, recorded_labels, rule_files, scaled
from deploy.rules.promql import FROM_PROMETHEUS, faults, labels_of, named
from deploy.rules.slos import Objective

PROMETHEUS = ROOT / "deploy/prometheus"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
BOOK = slos.read()
ALERTS = alerts_of(BOOK)
POSTED = {"OctantBudget", "OctantCostDrift"}  # by app/budget/alerts.py
SECTION = re.compile(r"^#+ (.*)$", re.MULTILINE)


def run(*command: str) -> str:
    env = {**os.environ, "GOGC": "400"}  # Go looks for garbage less often: a fifth of promtool's CPU
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_made_from_something_else_is_as_it_would_be_made_now() -> None:
    assert generate.stale() == [], "run `make generate`"


def test_the_metrics_document_lists_the_alerts_that_the_service_posts() -> None:
    shown = (ROOT / "docs/metrics.md").read_text()
    assert BOOK.posted
    assert [posted.name for posted in BOOK.posted if f"| `{posted.name}` | {posted.severity} |" not in shown] == []


def test_a_stale_file_is_reported_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "RULES", tmp_path / "rules")
    monkeypatch.setattr(sys, "argv", ["generate"])
    generate.main()
    assert generate.stale() == []
    (tmp_path / "docs/metrics.md").write_text("by hand")
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    with pytest.raises(SystemExit, match="1"):
        generate.main()


def test_promtool_and_amtool_accept_rules_and_configurations() -> None:
    assert "SUCCESS" in run(tool("promtool"), "check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert "SUCCESS" in run(tool("amtool"), "check-config", str(ROOT / "deploy/alertmanager/alertmanager.yml"))


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.name)
def test_alerts_fire_when_they_should_and_not_before(path: Path) -> None:
    assert "SUCCESS" in run(tool("promtool"), "test", "rules", str(path))


def test_the_calls_that_were_let_through_are_those_that_the_records_count_as_such() -> None:
    """One list of refusals: the rule repeats it, because Prometheus reads no Python."""
    (names,) = re.findall(r'octant_calls_total\{outcome!~"([^"]+)"', (PROMETHEUS / "rules" / "axes.yml").read_text())
    assert names == "|".join(sorted(REFUSALS))


def test_every_alert_has_a_moment_where_it_fires_and_one_where_it_does_not() -> None:
    """Both in the same test: silence proves something only beside noise."""
    shown = set()
    for group in (g for path in TESTS for g in yaml.safe_load(path.read_text())["tests"]):
        fired = [
            {str(sample["labels"]).split('"')[1] for sample in expected["exp_samples"]}
            for expected in group.get("promql_expr_test", ())
        ]
        shown |= {name for name in set().union(*fired) if any(name not in moment for moment in fired)}
    assert {alert.name for alert in ALERTS} - shown == set()


def test_names_are_unique_and_expressions_look_at_metrics_of_the_catalogue() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    for alert in ALERTS:
        assert re.fullmatch(r"Octant[A-Za-z]+", alert.name)
        assert list(faults(alert.expr, recorded_labels(BOOK))) == []
        assert named(alert.expr)


def test_templates_name_labels_that_the_alert_has() -> None:
    for alert in ALERTS:
        available = set().union(*(labels_of(one.metric, recorded_labels(BOOK)) or () for one in named(alert.expr)))
        wanted = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
        assert wanted <= available, alert.name
        by = re.search(r"\bby \(([^)]*)\)", alert.expr)
        assert wanted <= ({name.strip() for name in by.group(1).split(",")} if by else set()), alert.name


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(octant_callz_total[5m])", ["no process emits octant_callz_total"]),
        ('octant_calls_total{tenant="acme"}', ["octant_calls_total has no label tenant"]),
        ('octant_calls_total{outcome=~"ok|provider_timeout"}', ["octant_calls_total: outcome is never ok|provider_timeout"]),
        ('octant_call_seconds_bucket{le="9.0"}', ["octant_call_seconds_bucket has no bucket 9.0"]),
        ("sum by (tenant) (octant_calls_total)", ["no metric of the expression has the label tenant"]),
        ("octant_calls_bucket", ["no process emits octant_calls_bucket"]),
        ("octant_calls_total_sum", ["no process emits octant_calls_total_sum"]),
        ("slo:bad_ratio:rate7m", ["no process emits slo:bad_ratio:rate7m"]),
        ('up{job="octant"} == 0 and on(job) sum by (le) (octant_call_seconds_bucket)', []),
    ],
)
def test_an_expression_that_asks_for_what_is_not_there_is_found_out(expression: str, expected: list[str]) -> None:
    assert list(faults(expression, recorded_labels(BOOK))) == expected


def test_a_rule_without_a_metric_is_not_made() -> None:
    wrong = replace(BOOK.alerts[0], expr="octant_invented > 1")
    with pytest.raises(Unfit, match="octant_invented"):
        rule_files(replace(BOOK, alerts=[wrong]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": 0.9}, "more than all"),
        ({"objective": 1.0}, "more than all"),
        ({"at_most": 9.0}, "no bucket"),
        ({"bad": "octant_calls_total", "total": "octant_calls_total"}, "an indicator is"),
        ({"histogram": "", "at_most": 0.0}, "an indicator is"),
    ],
)
def test_an_objective_that_could_never_alert_is_refused(changes: dict[str, Any], message: str) -> None:
    slo: Objective = BOOK.objectives["latency"]
    with pytest.raises(ValueError, match=message):
        replace(slo, **changes)


def test_windows_and_burn_rates_are_those_of_the_workbook() -> None:
    """Google's table 5-8, on the objective of 99.9 %."""
    rules = yaml.safe_load(rule_files(BOOK)["slo.yml"])["groups"][0]["rules"]
    expressions = {r["alert"]: r["expr"] for r in rules if "alert" in r and r["alert"].startswith("OctantAvailability")}
    found = {
        (name.removeprefix("OctantAvailabilityBurns"), window, float(limit))
        for name, expression in expressions.items()
        for window, limit in re.findall(r"rate(\w+)\{[^}]*\} > ([\d.]+)", expression)
    }
    assert found == {
        ("Fast", "5m", 0.0144), ("Fast", "1h", 0.0144), ("Fast", "30m", 0.006), ("Fast", "6h", 0.006),
        ("Slowly", "2h", 0.003), ("Slowly", "1d", 0.003), ("Slowly", "6h", 0.001), ("Slowly", "3d", 0.001),
    }  # fmt: skip


def test_scaled_rules_are_the_same_but_shorter() -> None:
    assert scaled("rate(a[5m]) > 5 and b[1d] offset 6h", 60) == "rate(a[5000ms]) > 5 and b[1440000ms] offset 360000ms"
    plain, shorter = (yaml.safe_load(rule_files(BOOK, scale=s)["axes.yml"])["groups"][0]["rules"] for s in (1, 60))
    assert [r.get("alert") for r in plain] == [r.get("alert") for r in shorter]
    assert next(r["for"] for r in shorter if r.get("alert") == "OctantDown") == "1000ms"


def sections(page: Path) -> dict[str, str]:
    """Anchor to text, as far as the next heading of any level."""
    text = page.read_text()
    found = list(SECTION.finditer(text))
    ends = [*(m.start() for m in found[1:]), len(text)]
    slug = {m: re.sub(r"[^\w\- ]", "", m.group(1).lower()).strip().replace(" ", "-") for m in found}
    return {slug[m]: text[m.end() : end] for m, end in zip(found, ends, strict=True)}


def alerts_in(text: str) -> set[str]:
    lines = re.findall(r"^Alerts: (.*)$", text, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", " ".join(lines)))


def test_every_alert_leads_to_a_section_of_the_runbook_that_names_it() -> None:
    """K2."""
    for alert in ALERTS:
        page, _, anchor = alert.runbook.partition("#")
        by_anchor = sections(ROOT / "runbook" / page)
        assert anchor in by_anchor, f"{alert.name}: no section {alert.runbook}"
        assert alert.name in alerts_in(by_anchor[anchor]), f"{alert.runbook} does not name {alert.name}"


def test_every_alert_that_the_runbook_names_exists_and_is_named_once() -> None:
    """K2, the other way round."""
    named_alerts = [
        name for page in sorted((ROOT / "runbook").glob("*.md")) for text in sections(page).values() for name in alerts_in(text)
    ]
    assert sorted(named_alerts) == sorted({alert.name for alert in ALERTS} | POSTED)


def test_alerts_of_caps_lead_to_sections_too() -> None:
    source = (ROOT / "app/budget/alerts.py").read_text()
    pages = re.findall(r'"([\w-]+\.md)#([\w-]+)"', source)
    assert pages
    for page, anchor in pages:
        assert anchor in sections(ROOT / "runbook" / page)
    assert {name for name in POSTED if f'"{name}"' in source} == POSTED


def test_the_rules_and_the_service_know_the_runbook_by_one_address() -> None:
    assert Settings.model_fields["runbook_url"].default == BOOK.runbook
    assert BOOK.runbook.endswith("/runbook/")
    assert BOOK.dashboards.endswith("/")


def test_every_dashboard_that_an_alert_links_to_exists() -> None:
    """Checked where dashboards are built."""
    boards = {yaml.safe_load(path.read_text())["uid"] for path in (ROOT / "deploy/grafana").glob("*.json")}
    assert not boards or {alert.dashboard for alert in ALERTS} <= boards


def test_the_jobs_that_alerts_select_are_scraped() -> None:
    jobs = {job["job_name"] for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]}
    selected = {
        v
        for a in ALERTS
        for one in named(a.expr)
        if one.metric in FROM_PROMETHEUS
        for label, _, v in one.matchers
        if label == "job"
    }
    assert selected
    assert selected <= jobs
