"""README, documents, runbook and settings agree with the code."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from products import WITH_EXAMPLE
from typer.main import get_command

from app.cli import app
from app.edge.errors import TABLE
from app.oncall.paging.settings import PagingSettings
from app.security.oidc_settings import OidcSettings
from app.settings import BudgetSettings, DeploySettings, EvalsSettings, HttpSettings, RecoverySettings, Settings

PAGES = sorted(ROOT.glob("runbook/*.md"))
DOCUMENTS = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])
OCTANT = get_command(app)  # built once: it takes longer than to parse a command by it
PROSE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "threat_model.md", *PAGES, *DOCUMENTS]


def commands(page: Path) -> list[str]:
    """The commands of a page: lines `$ …` in console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    return [line.strip()[2:] for block in blocks for line in block.splitlines() if line.strip().startswith("$ ")]


@pytest.mark.parametrize("page", PROSE, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_octant_command_in_prose_exists_with_its_options(page: Path) -> None:
    """K2: commands of the runbook parse.

    `--help` at the end makes the command line parse the rest without running it.
    """
    text = page.read_text()
    inline = re.findall(r"`(octant [^`\n]+)`", text)
    found = {c for c in [*commands(page), *inline] if c.startswith("octant ") and "…" not in c}
    for command in found:
        arguments = shlex.split(re.sub(r"\b[A-Z]{2,}\b", "x", command))[1:]
        try:
            OCTANT([*arguments, "--help"], standalone_mode=False)
        except Exception as error:  # noqa: BLE001 - whatever the parser says, with the command beside it
            pytest.fail(f"{command}: {error}")


@pytest.mark.parametrize("page", PROSE, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)", page.read_text()):
        path = page.parent / target if target else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{page.name}: {target}#{anchor}"


QUOTED = re.compile(r"`((?:app|benchmarks|deploy|docs|evals|kit|releases|requirements|runbook|supply|tests)/[\w./-]+\.\w+)`")
COMMENTED = sorted([*ROOT.glob("deploy/**/*.toml"), *ROOT.glob("evals/suites/**/*.toml"), *ROOT.glob("runbook/**/*.toml")])
# Files that a reader makes, or a vendor's run would leave.
MADE = re.compile(r"clauses|2027-01-01|/(ID|NAME)\.|real-models\.jsonl")


@pytest.mark.parametrize("page", [*PROSE, *COMMENTED], ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_that_prose_names_is_there(page: Path) -> None:
    named = {name for name in QUOTED.findall(page.read_text()) if not MADE.search(name)}
    if not WITH_EXAMPLE:
        named = {name for name in named if not name.startswith("evals/suites/support/")}
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", PROSE, ids=lambda p: str(p.relative_to(ROOT)))
def test_an_error_has_the_status_of_the_table_of_errors(page: Path) -> None:
    """As in "503 `dependency_unavailable`"."""
    statuses = {error.code: row.status for error, row in TABLE.items()}
    said = re.findall(r"\b([45]\d\d)\s`([a-z_]+)`", page.read_text())
    assert {(status, code) for status, code in said if code in statuses and int(status) != statuses[code]} == set()


@pytest.mark.parametrize("page", PROSE, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_table_begins_with_its_head(page: Path) -> None:
    """A blank line within a table makes text of the rows behind it."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    heads = re.findall(r"(?:\A|\n\n)\|[^\n]*\n([^\n]*)", text)
    assert [line for line in heads if not re.fullmatch(r"\|[ :|-]+\|", line)] == []


def verbs_of(page: str) -> list[str]:
    """The verbs that a page describes: first cells of its rows."""
    return re.findall(r"^\| `make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE)


def test_every_make_verb_is_described_once_and_no_other() -> None:
    verbs = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(verbs_of("docs/verbs.md")) == sorted(verbs)


def test_the_readme_shows_about_ten_verbs_and_where_the_others_are() -> None:
    shown = verbs_of("README.md")
    assert set(shown) <= set(verbs_of("docs/verbs.md"))
    assert {"demo", "test", "help"} <= set(shown)
    assert 8 <= len(shown) <= 12
    assert "docs/verbs.md" in (ROOT / "README.md").read_text()


def test_the_readme_is_short() -> None:
    assert (ROOT / "README.md").read_text().count("\n") <= 120


def test_every_room_of_the_service_is_described() -> None:
    listed = set(re.findall(r"^\| `app/(\w+)/` \|", (ROOT / "docs/rooms.md").read_text(), re.MULTILINE))
    assert listed == {path.parent.name for path in ROOT.glob("app/*/__init__.py")}


def test_the_readme_claims_the_pythons_that_ci_runs_the_tests_on() -> None:
    """And no other; the oldest is the one that the package requires."""
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]
    run = job["strategy"]["matrix"]["python"]
    assert any("${{ matrix.python }}" in str(step.get("with", {}).get("python-version")) for step in job["steps"])
    claimed = re.search(r"Python (3\.\d+) to (3\.\d+)", (ROOT / "README.md").read_text())
    assert claimed is not None
    assert run == [f"3.{minor}" for minor in range(int(claimed[1][2:]), int(claimed[2][2:]) + 1)]
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"] == f">={claimed[1]}"


def test_the_readme_opens_with_the_two_commands() -> None:
    first = re.search(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert first is not None
    assert [line.split("#")[0].strip() for line in first.group(1).strip().splitlines()] == ["$ make demo", "$ make test"]


NESTED = ("openai", "anthropic", "providers", "recovery", "budget", "http", "evals", "deploy", "console_oidc", "paging")


def test_the_example_environment_lists_every_setting_and_no_other() -> None:
    documented = set(re.findall(r"^#? ?OCTANT_([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    plain = {name.upper() for name in Settings.model_fields if name not in NESTED}
    nested = {f"{v}__{f}" for v in ("OPENAI", "ANTHROPIC") for f in ("BASE_URL", "API_KEY", "HEADERS")}
    nested |= {f"RECOVERY__{name.upper()}" for name in RecoverySettings.model_fields}
    nested |= {f"HTTP__{name.upper()}" for name in HttpSettings.model_fields}
    nested |= {f"EVALS__{name.upper()}" for name in EvalsSettings.model_fields}
    nested |= {f"DEPLOY__{name.upper()}" for name in DeploySettings.model_fields}
    nested |= {f"PAGING__{name.upper()}" for name in PagingSettings.model_fields}
    nested |= {f"CONSOLE_OIDC__{name.upper()}" for name in OidcSettings.model_fields}
    nested |= {f"BUDGET__{name.upper()}" for name in BudgetSettings.model_fields}
    assert documented == plain | nested | {"PROVIDERS__LOCAL__BASE_URL", "PROVIDERS__LOCAL__LEGACY_MAX_TOKENS", "SECRETS_DIR"}


REGISTRIES = re.compile("|".join(["files.python" + "hosted.org", "pypi" + r"\.org/simple", "registry.npm" + "js.org"]))


def test_no_file_holds_the_address_of_a_package_registry() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = [ROOT / name for name in tracked if name and (ROOT / name).is_file()]
    assert [str(f) for f in files if REGISTRIES.search(f.read_text(errors="replace"))] == []
