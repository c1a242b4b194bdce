"""Each import contract fails on a file that breaks it.

Also on a file in a room or product that does not exist yet.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# By the beginning of a contract's name: a new file, and the import in it that the contract forbids.
BREACHES = {
    "Layers:": ("app/domain/planted.py", "app.edge.errors"),
    "The service knows the simulator": ("app/admin/planted_simulator.py", "app.simulator.faults"),
    "The service never imports its evals": ("app/features/planted_evals/__init__.py", "evals.runs"),
    "The eval harness knows": ("evals/online/planted_suite.py", "evals.__main__"),
    "The eval harness imports": ("evals/online/planted_product.py", "app.features.planted_money"),
    "Products": ("app/features/planted_product/__init__.py", "app.features.planted_money"),
    "The parts of the API": ("app/api/planted_part.py", "app.api.chat.parsing"),
    "Features and API": ("app/features/planted_money/__init__.py", "app.budget.budget"),
    "The service uses no vendor": ("app/features/planted_sdk/__init__.py", "openai"),
    "Only recovery": ("app/gateway/planted_retries.py", "tenacity"),
    "Only telemetry": ("app/gateway/planted_metrics.py", "prometheus_client"),
    "Only the console's sign-in": ("app/console/planted_tokens.py", "joserfc.jwt"),
    "No room reads the console": ("app/stack/planted_page.py", "app.console.formats"),
    "Only rooms that own keys": ("app/edge/planted_valkey.py", "redis.asyncio"),
    "Only api, features": ("app/gateway/planted_web.py", "fastapi"),
    "Security: guard may": ("app/security/keys/planted_redaction.py", "app.security.redaction.redactor"),
    "Security: guard and": ("app/security/guard/planted_keys.py", "app.security.keys.token"),
}


def contracts() -> list[str]:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return [contract["name"] for contract in configured]


def module_of(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The linter's report on a tree with every breach."""
    planted = {file: f"import {imported}\n" for file, imported in BREACHES.values()}
    return lint(tree(tmp_path_factory.mktemp("tree"), planted)).partition("Broken contracts")[2]


def tree(copy: Path, planted: Mapping[str, str]) -> Path:
    """A copy of the packages with files planted in it."""
    for folder in ("app", "evals"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=lambda at, names: [n for n in names if _is_no_module(at, n)])
    shutil.copy(ROOT / "pyproject.toml", copy)
    for file, text in planted.items():
        (copy / file).parent.mkdir(exist_ok=True)
        (copy / file).write_text(text)
    return copy


def lint(copy: Path) -> str:
    """The linter's report, which finds something broken."""
    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run = subprocess.run([sys.executable, "-c", script], cwd=copy, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stdout[-2000:] + run.stderr[-2000:]
    return run.stdout


def _is_no_module(folder: str, name: str) -> bool:
    return name == "__pycache__" or not (name.endswith(".py") or Path(folder, name).is_dir())


@pytest.mark.parametrize("name", contracts())
def test_a_planted_file_breaks_its_contract(report: str, name: str) -> None:
    (file, _) = next(breach for begins, breach in BREACHES.items() if name.startswith(begins))
    unwrapped = report.replace("\n", " ")
    sections = re.split(r" -{20,} ", unwrapped)
    heads = [at for at, section in enumerate(sections) if section.endswith(name)]
    assert heads, f"the contract is not broken: {name}"
    assert module_of(file) in sections[heads[0] + 1]


def test_a_room_without_a_place_in_the_layers_breaks_them(tmp_path: Path) -> None:
    copy = tree(tmp_path, {"app/planted_room/__init__.py": ""})
    assert "planted_room" in lint(copy)
