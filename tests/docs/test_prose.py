"""README, runbook and settings agree with the code."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from typer.main import get_command

from app.cli import app
from app.settings import BudgetSettings, EvalsSettings, HttpSettings, RecoverySettings, Settings

PAGES = sorted(ROOT.glob("runbook/*.md"))
PROSE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "threat_model.md", *PAGES]


def commands(page: Path) -> list[str]:
    """The commands of a page: lines that begin with `$ ` in console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    return [line.strip()[2:] for block in blocks for line in block.splitlines() if line.strip().startswith("$ ")]


@pytest.mark.parametrize("page", PROSE, ids=lambda p: p.name)
def test_every_octant_command_in_prose_exists_with_its_options(page: Path) -> None:
    """K2. `--help` at the end makes the command line parse whatever comes before it, without running anything."""
    text = page.read_text()
    inline = re.findall(r"`(octant [^`\n]+)`", text)
    found = {c for c in [*commands(page), *inline] if c.startswith("octant ") and "…" not in c}
    for command in found:
        words = shlex.split(re.sub(r"\b[A-Z]{2,}\b", "x", command))[1:]
        try:
            get_command(app)([*words, "--help"], standalone_mode=False)
        except Exception as error:  # noqa: BLE001 - whatever the parser says, with the command beside it
            pytest.fail(f"{command}: {error}")


@pytest.mark.parametrize("page", PROSE, ids=lambda p: p.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)", page.read_text()):
        path = page.parent / target if target else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{page.name}: {target}#{anchor}"


def test_the_readme_says_what_each_make_verb_does() -> None:
    verbs = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = set(re.findall(r"^\| `make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert told == verbs


def test_the_readme_opens_with_the_two_commands() -> None:
    first = re.search(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert first is not None
    assert [line.split("#")[0].strip() for line in first.group(1).strip().splitlines()] == ["$ make demo", "$ make test"]


NESTED = ("openai", "anthropic", "providers", "recovery", "budget", "http", "evals")


def test_the_example_environment_lists_every_setting_and_no_other() -> None:
    told = set(re.findall(r"^#? ?OCTANT_([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    plain = {name.upper() for name in Settings.model_fields if name not in NESTED}
    nested = {f"{v}__{f}" for v in ("OPENAI", "ANTHROPIC") for f in ("BASE_URL", "API_KEY")}
    nested |= {f"RECOVERY__{name.upper()}" for name in RecoverySettings.model_fields}
    nested |= {f"HTTP__{name.upper()}" for name in HttpSettings.model_fields}
    nested |= {f"EVALS__{name.upper()}" for name in EvalsSettings.model_fields}
    nested |= {f"BUDGET__{name.upper()}" for name in BudgetSettings.model_fields}
    assert told == plain | nested | {"PROVIDERS__LOCAL__BASE_URL", "PROVIDERS__LOCAL__LEGACY_MAX_TOKENS", "SECRETS_DIR"}


def test_the_runbook_fits_on_five_to_thirty_printed_pages() -> None:
    """K1: about 500 words a page."""
    words = sum(len(page.read_text().split()) for page in ROOT.glob("runbook/**/*.md"))
    assert 900 <= words <= 15_000


REGISTRIES = re.compile("|".join(["files.python" + "hosted.org", "pypi" + r"\.org/simple", "registry.npm" + "js.org"]))


def test_no_file_holds_the_address_of_a_package_registry() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = [ROOT / name for name in tracked if name and (ROOT / name).is_file()]
    assert [str(f) for f in files if REGISTRIES.search(f.read_text(errors="replace"))] == []
