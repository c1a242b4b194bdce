"""The runbook's pages keep their form, and every name on them exists (K1, K2)."""

import re
import subprocess
from datetime import date
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT
from test_prose import verbs_of
from tools import tool

from app.console.readiness.document import BROWSERS
from app.features.installed import own
from app.oncall.incidents.store import SEVERITIES
from app.oncall.runbook import pages, twin
from app.oncall.runbook.pages import Page
from app.telemetry.catalogue import CATALOGUE
from deploy.rules import slos
from deploy.rules.alerts_page import incomplete
from deploy.rules.build import alerts_of
from deploy.rules.document import panels_by_metric

RUNBOOK = pages.read()
BOOK = slos.read()
NAMED = [page for page in RUNBOOK if page.name != pages.GENERATED]
CODE = re.compile(r"`([^`\n]+)`")


@pytest.mark.parametrize("page", RUNBOOK, ids=lambda page: page.name)
def test_every_page_keeps_its_form(page: Page) -> None:
    """The form stands in runbook/README.md."""
    assert pages.faults(page) == []


def test_no_command_names_what_is_at_fault_in_an_example() -> None:
    """The search prints commands: once it printed a stop of the provider that answered everything, ready to paste."""
    named = re.compile(r"\b(anthropic|openai|claude|gpt|acme|northwind|globex|ada|mallory)\b")
    lines = [f"{page.name}: {command.text}" for page in NAMED for one in page.sections for command in one.commands]
    assert [line for line in lines if named.search(line)] == []


def test_each_word_in_capitals_stands_on_the_first_page_or_on_its_own() -> None:
    first = RUNBOOK[0].prose
    for page in NAMED:
        words = {word for one in page.sections for command in one.commands for word in pages.blanks(command.text)}
        assert {word for word in words if f"`{word}`" not in first + page.prose} == set(), page.name


def test_severities_are_defined_once_as_the_commands_have_them() -> None:
    """Two pages had two tables of them, of three and of four."""
    (table,) = [page for page in NAMED if re.search(r"^\| severity \|", page.text, re.MULTILINE)]
    rows = dict(re.findall(r"^\| (sev\d) \| (.*?) \|", table.text, re.MULTILINE))
    assert rows == SEVERITIES
    assert [page.name for page in NAMED if re.search(r"severity \d", page.text)] == []


ROUTE = re.compile(r'"(/v1/[\w/-]+)')


def routes_of(*folders: str, but: str = "") -> set[str]:
    """The paths of callers in these folders, up to their first parameter and without what is only counted."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("endpoints.py") if but not in path.parts]
    found = {path.rstrip("/") for file in files for path in ROUTE.findall(file.read_text())}
    return {path for path in found if not any(path.startswith(f"{other}/") for other in found)}


def test_the_page_of_postgres_names_each_path_of_callers_as_one_that_answers_or_not() -> None:
    """A path of a product stands on no page that a fork keeps: products are named by what they need."""
    page = next(page for page in NAMED if page.name == "postgres-away.md")
    asked = re.search(r"\*\*Are callers affected\?\*\* (.*?)\n\n", page.text, re.DOTALL)
    assert asked
    answers, _, refused = asked[1].partition("These do not:")
    named = {path for path in CODE.findall(answers + refused) if path.startswith("/v1/")}
    assert named == routes_of("app/api", but="refused")
    assert "`/v1/jobs`" in refused
    assert "a product without tables of its own" in " ".join(answers.split())
    assert "The console opens" in refused
    products = routes_of("app/features")
    assert products
    assert {path: page.name for page in NAMED for path in products if path in page.text} == {}


def test_the_ten_incidents_have_pages() -> None:
    incidents = {page.name.removesuffix(".md") for page in RUNBOOK if page.is_incident}
    assert incidents >= {
        "provider-outage", "rate-limits", "latency", "cost-spike", "budget-exhausted", "eval-drift", "malformed-output",
        "injection-direct", "personal-data", "postgres-away", "valkey-away", "rollback",
    }  # fmt: skip


@pytest.mark.parametrize("page", NAMED, ids=lambda page: page.name)
def test_every_name_on_a_page_exists(page: Page) -> None:
    """Metrics, settings, alerts, verbs, panels, codes and files; commands are `test_prose`'s."""
    names = {name for text in CODE.findall(page.prose) for name in re.findall(r"[\w/.-]+", text)}
    settings = set(re.findall(r"OCTANT_[A-Z_]+", (ROOT / ".env.example").read_text()))
    alerts = (
        {alert.name for alert in alerts_of(BOOK)} | {alert.name for alert in BOOK.posted} | {"OctantName", "OctantWatchdog"}
    )  # the form's, and the one that always fires
    metrics = {entry.name for entry in CATALOGUE}
    assert {name for name in names if re.fullmatch(r"OCTANT_[A-Z_]+", name)} - settings == set()
    assert {name for name in names if re.fullmatch(r"Octant[A-Z]\w+", name)} - alerts == set()
    assert {name for name in names if name.startswith(("octant_", "llm_"))} - metrics == set()
    codes = {name for name in names if re.fullmatch(r"[a-z]+(_[a-z]+)+", name)} - metrics
    assert {code for code in codes if not re.search(rf"\b{code}\b", source())} == set()
    assert set(re.findall(r"`make ([a-z-]+)", page.prose)) - set(verbs_of("docs/verbs.md")) == set()
    files = {name for name in names if re.fullmatch(r"(app|deploy|docs|evals|releases|tests)/[\w/.-]+", name)}
    assert {name for name in files if not (ROOT / name).exists()} == set()


def test_a_name_that_does_not_exist_is_found() -> None:
    """One of each kind, on a page of its own."""
    for name in (
        "OCTANT_NO_SUCH_SETTING",
        "OctantNoSuchAlert",
        "octant_no_such_total",
        "no_such_code",
        "make nosuch",
        "app/no_such.py",
    ):
        with pytest.raises(AssertionError):
            test_every_name_on_a_page_exists(pages.page_of("x.md", f"# X\n\nSee `{name}`.\n"))


@cache
def source() -> str:
    """The code in which an operator's words are names."""
    found = (path for folder in ("app", "deploy") for path in sorted((ROOT / folder).rglob("*.py")))
    return "\n".join(path.read_text() for path in found)


@pytest.mark.parametrize("page", [page for page in RUNBOOK if page.is_incident], ids=lambda page: page.name)
def test_the_panels_that_a_page_names_exist(page: Page) -> None:
    known = {panel for panels in panels_by_metric(ROOT / "deploy/grafana").values() for panel in panels}
    (line,) = re.findall(r"^Panels in Grafana: (.*)\.$", page.prose, re.MULTILINE)
    assert set(line.split("; ")) - known == set()


def test_every_alert_has_reasons_and_a_usual_frequency() -> None:
    assert incomplete(BOOK) == []


def test_the_dashboards_of_the_first_page_are_all_that_there_are() -> None:
    linked = set(re.findall(r"/d/([\w-]+)", (ROOT / "runbook/README.md").read_text()))
    assert linked == {path.stem for path in (ROOT / "deploy/grafana").glob("*.json")}


def test_the_diagram_and_its_text_name_the_same_parts() -> None:
    text = (ROOT / "runbook/README.md").read_text()
    diagram, drawn = (re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[0] for kind in ("mermaid", "text"))
    words = set(re.findall(r"[A-Za-z]{4,}", diagram)) - {"flowchart", "edge", "switch", "release"}
    assert {word for word in words if word.rstrip("s") not in drawn} == set()


def test_no_page_is_overdue_on_the_day_of_the_newest_commit() -> None:
    """Of the commit, not of today: a checkout that no person works on stays green. `octant check --production` has today."""
    newest = subprocess.run(
        ["git", "log", "-1", "--format=%cs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert pages.overdue(RUNBOOK, date.fromisoformat(newest)) == []


def test_it_prints_on_five_to_thirty_pages(tmp_path: Path) -> None:
    """By a real browser, on A4. Each product that did not come with this project has a page of its own besides."""
    html, pdf = twin.write(RUNBOOK, tmp_path), tmp_path / "runbook.pdf"
    chromium = tool(*BROWSERS)
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--no-pdf-header-footer"]
    command = [chromium, *options, f"--print-to-pdf={pdf}", html.as_uri()]
    subprocess.run(command, capture_output=True, timeout=600, check=True)
    assert 5 <= len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) <= 30 + len(own())
