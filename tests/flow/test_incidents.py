"""Incidents by command: recorded, audited, closed with the runbook's change, drafted into the runbook (P4, K3)."""

import csv
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from commands import Ran, run
from conftest import ROOT, own_database
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from app.oncall.incidents.store import SEVERITIES
from app.oncall.paging.tables import metadata as paging
from app.oncall.paging.tables import pages

Octant = Callable[..., Ran]


@pytest.fixture(scope="module")
def url(database_url: str) -> Iterator[str]:
    with own_database(database_url, "incident_commands") as url:
        engine = create_engine(url, poolclass=NullPool)
        paging.create_all(engine)
        yield url


@pytest.fixture
def runbook(tmp_path: Path) -> Path:
    folder = tmp_path / "runbook"
    (folder / "postmortems").mkdir(parents=True)
    (folder / "jobs.md").write_text("# Jobs")
    return folder


@pytest.fixture
def octant(url: str, valkey_url: str, tmp_path: Path, runbook: Path) -> Octant:
    settings = {
        "DATABASE_URL": url,
        "VALKEY_URL": valkey_url,
        "STATE_DIR": str(tmp_path),
        "REHEARSALS_FILE": f"{runbook}/x.jsonl",
    }
    env = {f"OCTANT_{name}": value for name, value in settings.items()}
    return lambda *command: run(env, *command)


def test_an_incident_from_opening_to_the_draft_of_its_postmortem(octant: Octant, runbook: Path) -> None:
    opened = octant("incident", "open", "calls of ada@example.com fail", "--severity", "sev2", "--commander", "ada")
    assert (opened.returncode, "(sev2)" in opened.stdout) == (0, True), opened.stderr
    for command in (("note", "the key is refused"), ("assign", "bob"), ("severity", "sev3", "--reason", "one caller only")):
        assert octant("incident", *command).returncode == 0
    assert "bob" in octant("incident", "list").stdout
    refused = [
        octant("incident", "close", *more)
        for more in (
            (),
            ("--runbook", "jobs.md"),
            ("--runbook", "none.md", "--change", "x"),
            ("--change", "x", "--no-change", "y"),
        )
    ]
    assert [ran.returncode for ran in refused] == [1, 1, 1, 1], [ran.stderr for ran in refused]
    assert "The runbook has no page none.md. Pages: jobs.md." in refused[2].stderr
    closed = octant("incident", "close", "--runbook", "runbook/jobs.md", "--change", "names the key")
    (draft,) = (runbook / "postmortems").iterdir()
    assert str(draft) in closed.stdout
    words = draft.read_text()
    assert "- `jobs.md`: names the key" in words
    for line in ("the key is refused", "commander is bob", "sev2 -\\> sev3: one caller only", "closed; jobs.md: names the key"):
        assert line in words
    assert "ada@" not in words
    number = closed.stdout.split()[1]
    assert f'`octant incident reopen {number} --reason "…"`' in closed.stdout
    days = "within three working days"
    assert (days in closed.stdout, days in (ROOT / "runbook/README.md").read_text()) == (True, True)
    reopened = octant("incident", "reopen", number, "--reason", "ada@example.com is refused again")
    assert reopened.stdout == f"Incident {number} is open again (sev3), commander bob.\n", reopened.stderr
    assert octant("incident", "note", "a line\nincident 99: forged\x85  opened by root").returncode == 0
    assert octant("incident", "close", "--no-change", "the key is new\nincident 99: forged").returncode == 0
    heads = [
        line
        for line in octant("incident", "show", number).stdout.splitlines()
        if line.lstrip().startswith(("incident", "opened"))
    ]
    assert len(heads) == 2, "no words pass for another line"
    logged = octant("audit", "list").stdout
    names = ("open", "note", "assign", "severity", "close", "reopen")
    assert [f"incident {name}" in logged for name in names] == [True] * len(names)
    assert "ada@" not in logged


def test_without_a_runbook_beside_it_the_draft_is_printed(octant: Octant, runbook: Path) -> None:
    """As after an installation from a wheel, or in the image, whose files are read-only."""
    octant("incident", "open", "no runbook here")
    (runbook / "postmortems").rmdir()
    (runbook / "jobs.md").unlink()
    runbook.rmdir()
    closed = octant("incident", "close", "--runbook", "jobs.md", "--change", "x")
    assert closed.returncode == 0
    assert ": no runbook here\n\n- **Impact:**\n  - sev3, " in closed.stdout
    assert "takes no file" in closed.stderr
    number = closed.stdout.split()[1]
    again = octant("incident", "show", number, "--postmortem").stdout
    assert again.strip() in closed.stdout
    shown = json.loads(octant("incident", "show", number, "--json").stdout)
    assert (shown["runbook_page"], shown["timeline"][-1]["kind"]) == ("jobs.md", "incident")


def test_a_drills_incident_leaves_no_postmortem_unless_one_is_wished(octant: Octant, url: str, runbook: Path) -> None:
    """A checkout that a drill changes is a surprise, and nothing happened of which to learn."""
    drafts = runbook / "postmortems"
    for wished, number in ((), 0), (("--draft",), 1):
        octant("incident", "open", "Drill: nothing is broken")
        one = json.loads(octant("incident", "show", "--json").stdout)
        engine = create_engine(url, poolclass=NullPool)
        page = {"id": uuid4(), "dedup_key": str(uuid4()), "alert": "OctantDown", "severity": "page", "summary": "s", "level": 0,
                "labels": {"drill": "true"}, "status": "resolved", "triggered_at": datetime.now(UTC), "test": False,
                "incident_id": one["id"]}  # fmt: skip
        with engine.begin() as connection:
            connection.execute(pages.insert().values(page))
        assert "  see runbook/observability.md#prometheus-sees-no-service\n" in octant("incident", "show").stdout
        closed = octant("incident", "close", "--no-change", "a drill", *wished)
        assert (closed.returncode, "postmortem" in closed.stdout) == (0, bool(wished)), closed.stderr
        assert len(list(drafts.iterdir())) == number


def test_the_runbook_defines_the_severities_as_the_code_does() -> None:
    page = (ROOT / "runbook/incidents.md").read_text()
    assert [f"| {name} | {words} |" in page for name, words in SEVERITIES.items()] == [True] * 4


def test_a_report_is_printed_and_written_as_csv(octant: Octant) -> None:
    printed = octant("incident", "report", "--since", "2w")
    assert printed.returncode == 0, printed.stderr
    assert "weeks and hours in Europe/Berlin" in printed.stdout
    assert printed.stdout.count("  week of ") == 3
    rows = list(csv.DictReader(octant("incident", "report", "--since", "2w", "--csv").stdout.splitlines()))
    assert sum(float(row["hours"]) for row in rows) == pytest.approx(14 * 24, abs=0.1)
    assert octant("incident", "report", "--since", "soon").returncode == 2


def test_operators_tools_read_incidents_and_add_notes(service_url: str, stack_env: dict[str, str], api_key: str) -> None:
    """Only with an operator's key, and logged."""
    opened = run(stack_env, "incident", "open", "calls fail").stdout
    number = opened.split()[1]
    admin = run(stack_env, "key", "create", "acme", "--name", "incidents", "--scope", "admin", "--quiet").stdout.strip()

    def ask(path: str, key: str = admin, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{service_url}/v1/admin/{path}", data, {"x-api-key": key})  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - loopback
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    try:
        assert ask(f"incidents/{number}/notes", body={"text": "seen by ada@example.com"})[0] == 200
        status, shown = ask(f"incidents/{number}")
        assert (status, [e["text"][:8] for e in shown["timeline"] if e["kind"] == "note"]) == (200, ["seen by "])
        assert "ada@" not in json.dumps(shown)
        assert int(number) in {one["number"] for one in ask("incidents")[1]["data"]}
        assert ask("incident-report?days=7")[1]["total"]["pages"] >= 0
        assert [ask(path)[0] for path in ("incidents/999999", "incidents/0", f"incidents?days={10**9}")] == [404, 404, 400]
        assert ask(f"incidents/{number}/notes", body={"text": " "})[0] == 400
        assert ask(f"incidents/{number}", key=api_key)[0] == 403
        assert "incident note  on=" in run(stack_env, "audit", "list", "--count", "20").stdout
    finally:
        run(stack_env, "incident", "close", "--on", number, "--no-change", "a test", "--no-draft")
