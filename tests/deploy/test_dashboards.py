"""Grafana's dashboards agree with the code; their queries are right (O3).

No Grafana is at hand here, so how they look is not tested. Every query is: parsed, and evaluated by Prometheus' own engine.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from conftest import ROOT

from app.telemetry.catalogue import CATALOGUE, Declared, Label
from app.telemetry.metrics import Undeclared
from deploy.dashboards import queries
from deploy.dashboards.build import dashboard_files
from deploy.dashboards.overview import FAILED
from deploy.dashboards.panels import Levels
from deploy.rules import slos
from deploy.rules.build import recorded_labels

FOLDER = ROOT / "deploy/grafana"
BOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
PANELS = [
    pytest.param(panel, id=f"{uid}: {panel['title']}")
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
EXPRESSIONS: list[str] = [target["expr"] for case in PANELS for target in case.values[0]["targets"]]  # type: ignore[index]
RECORDED = recorded_labels(slos.read())
SUFFIXES = ("_bucket", "_sum", "_count")


def plain(expression: str) -> str:
    """As Grafana sends it: its variables filled in."""
    expression = expression.replace("$__rate_interval", "5m").replace("$__range", "1h")
    return re.sub(r"\$\w+", ".*", expression)


def nodes(expression: str) -> list[Any]:
    """All parts of an expression."""
    found: list[Any] = []
    promql.walk(promql.parse(plain(expression)), found.append)
    return found


def selectors(expression: str) -> Iterator[Any]:
    for node in nodes(expression):
        if isinstance(node, promql.VectorSelector):  # those within a range are walked too
            yield node


def metric_of(series: str) -> Declared:
    """The declared metric of a series.

    A histogram has no series of its own name, and only a histogram has suffixes. The series of a recording rule is taken for
    a gauge.
    """
    if series in RECORDED:
        bounded = tuple(Label(name) for name in RECORDED[series])
        return Declared(series, series, "gauge", "ratio", "Made by a rule.", bounded)
    for metric in CATALOGUE:
        if metric.kind == "histogram" and series.removeprefix(metric.name) in SUFFIXES:
            return metric
        if metric.kind != "histogram" and series == metric.name:
            return metric
    raise AssertionError(f"{series} is not in the catalogue")


def test_what_is_committed_is_what_the_code_builds() -> None:
    """Write it anew with `make generate`."""
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == dashboard_files()


def test_building_twice_gives_the_same_bytes_and_no_address_is_used_twice() -> None:
    assert dashboard_files() == dashboard_files()
    assert {board["uid"] for board in BOARDS.values()} == set(BOARDS)
    for board in BOARDS.values():
        numbers = [panel["id"] for panel in board["panels"]]
        titles = [panel["title"] for panel in board["panels"]]
        assert len(set(numbers)) == len(numbers)
        assert len(set(titles)) == len(titles), board["uid"]


def test_panels_lie_side_by_side_and_not_over_each_other() -> None:
    for board in BOARDS.values():
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert at["x"] + at["w"] <= 24, panel["title"]
            assert not cells & taken, panel["title"]
            taken |= cells


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_says_what_it_means_and_what_to_do(panel: dict[str, Any]) -> None:
    means, when_bad, page = panel["description"].split("\n\n")
    assert len(means) > 20
    assert when_bad.startswith("**When it is bad:** ")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    steps = defaults["thresholds"]["steps"]
    assert steps[0]["value"] is None
    values = [step["value"] for step in steps[1:]]
    assert values == sorted(values), "Grafana reads thresholds from the lowest"
    target, anchor = re.fullmatch(r"Runbook: \[[^\]]+\]\(\$\{runbook\}/([\w-]+\.md)(?:#([\w-]+))?\)", page).groups()  # type: ignore[union-attr]
    text = (ROOT / "runbook" / target).read_text()
    slugs = {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    assert anchor is None or anchor in slugs, f"{target}#{anchor}"


def test_every_octant_command_that_a_panel_names_exists() -> None:
    from typer.main import get_command

    from app.cli import app

    named = {c for case in PANELS for c in re.findall(r"`octant ([^`]+)`", case.values[0]["description"])}  # type: ignore[index]
    assert named
    for command in named:
        get_command(app)([*command.split(), "--help"], standalone_mode=False)


@pytest.mark.parametrize("panel", PANELS)
def test_every_query_asks_for_series_and_labels_of_the_catalogue(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert any(selectors(target["expr"])), "a panel without a metric"
        known: set[str] = set()
        asked: set[str] = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        for selector in selectors(target["expr"]):
            labels = set(metric_of(selector.name).labels) | ({"le"} if selector.name.endswith("_bucket") else set())
            assert {matcher.name for matcher in selector.matchers.matchers} <= labels, target["expr"]
            known |= labels
        for node in nodes(target["expr"]):
            if isinstance(node, promql.AggregateExpr) and node.modifier:
                asked |= set(node.modifier.labels)
        assert asked <= known, target["expr"]


@pytest.mark.parametrize("panel", PANELS)
def test_counters_are_asked_for_their_rate_and_histograms_for_their_buckets(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        expression = target["expr"]
        ranged = [n.vector_selector.name for n in nodes(expression) if isinstance(n, promql.MatrixSelector)]
        for selector in selectors(expression):
            gauge = metric_of(selector.name).kind == "gauge"
            assert (selector.name in ranged) != gauge, selector.name
        for window in re.findall(r"\[([^\]]+)\]", expression):
            assert window in {"$__rate_interval", "$__range"}
        for node in nodes(expression):
            if isinstance(node, promql.Call) and node.func.name == "histogram_quantile":
                inner = node.args[1]
                assert "le" in inner.modifier.labels
                assert [s.name.endswith("_bucket") for s in selectors(inner.prettify())] == [True]


@pytest.mark.parametrize("panel", PANELS)
def test_a_chosen_feature_or_provider_narrows_every_series_that_has_that_label(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        for selector in selectors(target["expr"]):
            wanted = {label for label in queries.VARIABLES if label in metric_of(selector.name).labels}
            assert {m.name for m in selector.matchers.matchers if m.value == ".*"} >= wanted


def test_every_metric_of_the_catalogue_is_on_some_panel() -> None:
    """O3 and more: a metric without a panel need not be counted."""
    shown = {metric_of(selector.name).name for expression in EXPRESSIONS for selector in selectors(expression)}
    assert {metric.name for metric in CATALOGUE} - shown == set()


def test_a_metric_or_label_that_is_not_declared_breaks_the_build() -> None:
    with pytest.raises(Undeclared, match="no metric 'calls_made'"):
        queries.rate("calls_made")
    with pytest.raises(Undeclared, match="has no label tenant"):
        queries.rate("calls", ("tenant",))
    with pytest.raises(Undeclared, match="has no label colour"):
        queries.selector("calls", colour='="red"')
    with pytest.raises(Undeclared, match="outcome is never fine"):
        queries.rate("calls", outcome='=~"ok|fine"')
    with pytest.raises(Undeclared, match="no rule makes slo:luck:ratio"):
        queries.recorded("slo:luck:ratio", ("slo",))
    with pytest.raises(Undeclared, match="is a counter, not a histogram"):
        queries.quantile(0.5, "calls")


def test_the_levels_of_what_should_be_high_are_drawn_the_other_way_round() -> None:
    steps = Levels(doubtful=0.999, bad=0.99, rising=False).build().build().steps
    assert [(step.value, step.color) for step in steps] == [(None, "red"), (0.99, "yellow"), (0.999, "green")]


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.fail("promtool is not installed: `make tools`")
    return found


def series_of(metric: Declared) -> list[str]:
    """Names of series of a metric, with two values per label."""
    labels = [",".join(f'{label}="{value}"' for label in metric.labels) for value in ("one", "two")]
    if metric.kind != "histogram":
        return [f"{metric.name}{{{inner}}}" for inner in labels]
    bounds = [str(bucket) for bucket in metric.buckets] + ["+Inf"]
    buckets = [f'{metric.name}_bucket{{{inner}{"," if inner else ""}le="{le}"}}' for inner in labels for le in bounds]
    return buckets + [f"{metric.name}{suffix}{{{inner}}}" for suffix in ("_sum", "_count") for inner in labels]


def check_values(promtool: str, folder: Path, series: dict[str, str], wanted: list[tuple[str, float]]) -> None:
    """Evaluate expressions by Prometheus' engine after an hour of ``series``.

    Fails unless each gives its one number.
    """
    tests = [
        {"expr": plain(expression), "eval_time": "1h", "exp_samples": [{"labels": "{}", "value": value}]}
        for expression, value in wanted
    ]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    rules = {"evaluation_interval": "1m", "tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": tests}]}
    (folder / "test.yml").write_text(yaml.safe_dump(rules))
    run = subprocess.run([promtool, "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_prometheus_takes_every_expression_as_a_rule(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": plain(expression)} for number, expression in enumerate(EXPRESSIONS)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    run = subprocess.run([promtool, "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(rules)} rules found" in run.stdout


def test_every_expression_shows_something_where_its_metrics_have_data(promtool: str, tmp_path: Path) -> None:
    """Evaluated with data on both sides of each division.

    Matching errors appear only then.
    """
    rules = [metric_of(name) for name in RECORDED]
    series = {name: "0+7x60" for metric in (*CATALOGUE, *rules) for name in series_of(metric)}
    outcomes = {f'octant_calls_total{{feature="one",outcome="{o}"}}': "0+7x60" for o in ("ok", "internal_error")}
    steps = {'octant_repairs_total{step="invalid"}': "0+7x60", 'octant_spans_total{outcome="failed"}': "0+7x60"}
    status = {'octant_http_requests_total{path="one",status="503"}': "0+7x60"}
    everything = {**series, **outcomes, **steps, **status}
    check_values(promtool, tmp_path, everything, [(f"count({expression}) > bool 0", 1) for expression in EXPRESSIONS])


def course(title: str, uid: str = "octant-overview") -> str:
    """The first expression of a panel."""
    (found,) = [panel for panel in BOARDS[uid]["panels"] if panel["title"] == title]
    return str(found["targets"][0]["expr"])


def test_the_figures_are_what_their_panels_say(promtool: str, tmp_path: Path) -> None:
    calls = "octant_calls_total"
    series = {
        f'{calls}{{feature="answer",outcome="ok"}}': "0+90x60",
        f'{calls}{{feature="answer",outcome="providers_unavailable"}}': "0+2x60",
        f'{calls}{{feature="answer",outcome="invalid_request"}}': "0+8x60",
        'octant_calls_fallen_back_total{feature="answer"}': "0+25x60",
        'octant_attempts_total{provider="anthropic",model="m",outcome="ok"}': "0+90x60",
        'octant_attempts_total{provider="openai",model="n",outcome="provider_timeout"}': "0+60x60",
        'llm_cost_dollars_total{provider="openai",model="n",feature="answer"}': "0+0.5x60",
        "octant_records_queued": "3x60",
        'octant_breaker_state{provider="openai",model="n"}': "2x60",
        'octant_breaker_state{provider="anthropic",model="m"}': "1x60",
        **{
            f'octant_call_seconds_bucket{{feature="answer",le="{le}"}}': f"0+{count}x60"
            for le, count in (("1", 50), ("2", 100), ("+Inf", 100))
        },
    }  # fmt: skip
    wanted = [
        (course("Availability"), 0.98),
        (course("Calls per second"), 100 / 60),
        (course("Money per hour"), 30.0),
        (course("Breakers open"), 1.0),
        (course("Latency, p95"), 1.9),
        (course("Records lost"), 0.0),
        (course("Fallback share", "octant-recovery"), 0.25),
        (course("Attempts per call", "octant-recovery"), 1.5),
        (f"sum({course('Failed attempts by provider and model', 'octant-recovery')})", 1.0),
    ]
    check_values(promtool, tmp_path, series, [(f"round({e}, 0.0001)", round(v, 4)) for e, v in wanted])


def test_availability_is_whole_without_a_failure_and_absent_without_traffic(promtool: str, tmp_path: Path) -> None:
    fine = {'octant_calls_total{feature="answer",outcome="ok"}': "0+90x60"}
    check_values(promtool, tmp_path, fine, [(course("Availability"), 1.0), (course("Fallback share", "octant-recovery"), 0.0)])
    idle = {'octant_calls_total{feature="answer",outcome="ok"}': "90x60"}
    check_values(promtool, tmp_path, idle, [(f"absent({course('Availability')})", 1.0)])


def test_a_service_that_is_not_scraped_does_not_look_like_one_that_is_well(promtool: str, tmp_path: Path) -> None:
    for title in ("Breakers open", "Kill switches on", "Records lost", "Redaction failed", "Guard flags per second"):
        check_values(promtool, tmp_path, {"other": "1x60"}, [(f"absent({course(title)})", 1.0)])
    never = {"octant_rehearsals": "0x60", "octant_rehearsal_age_seconds": "0x60"}
    check_values(promtool, tmp_path, never, [(f"absent({course('Newest outage rehearsal', 'octant-service')})", 1.0)])


def test_what_callers_did_wrong_is_no_failure_of_ours() -> None:
    for code in ("invalid_request", "budget_exceeded", "cancelled", "rate_limit_exceeded"):
        assert not re.search(rf"\b{code}\b", FAILED)
    for code in ("internal_error", "providers_unavailable", "stopped_by_operator", "output_invalid"):
        assert re.search(rf"\b{code}\b", FAILED)
