"""A product that `make feature` makes (X3). `make fork-test` checks, tests and evaluates one."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT

from app.oncall.runbook import pages
from kit import feature
from kit.refused import Refused

FOLDERS = ("app/features/extract", "evals/suites/extract", "tests/extract")
FILES = ("app/features/installed.py", "runbook/README.md")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def contents(tree: Path) -> dict[str, str]:
    return {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}


def test_a_product_is_whole_and_bears_its_own_name_alone(tree: Path) -> None:
    was = contents(tree)
    feature.make(tree, "clauses")
    made = {name: text for name, text in contents(tree).items() if name not in was}
    small = {name.replace("extract", "clauses") for name in was if name.startswith(FOLDERS)}
    assert set(made) == {*small, "runbook/clauses.md"}
    assert [
        name for name, text in made.items() if re.search('extract(?!ion)|small product|"facts of a message', text.lower())
    ] == []
    assert [name for name, text in made.items() if re.search("[Cc]lauses[a-z]", text)] == [], "no word is cut"
    assert "Extraction accuracy" in made["evals/suites/clauses/thresholds.toml"]
    assert "example=True" not in made["app/features/clauses/__init__.py"]
    assert made["evals/suites/clauses/baseline.json"] == '{"cases": {}}\n'
    installed = contents(tree)["app/features/installed.py"]
    assert installed.index('"app.features.extract",') < installed.index('"app.features.clauses",')
    assert "[clauses](clauses.md)" in contents(tree)["runbook/README.md"]


def test_its_page_of_the_runbook_has_the_form_and_says_what_to_fill_in(tree: Path) -> None:
    feature.make(tree, "clauses")
    page = pages.page_of("clauses.md", (tree / "runbook/clauses.md").read_text())
    assert pages.faults(page) == []
    assert page.prose.count(pages.PLACEHOLDER) == 2


@pytest.mark.parametrize(
    "name", ["recall", "installed", "records", "messages", "embeddings", "files", "budget", "status", "shadow"]
)
def test_a_module_a_path_of_the_api_and_a_command_are_no_products_name(name: str) -> None:
    """A folder beside `recall.py` hides it, `POST /v1/messages` is Anthropic's, and `octant budget` sets caps."""
    assert name in feature._taken(ROOT)


def test_a_word_that_only_begins_a_path_of_the_api_may_be_a_products_name() -> None:
    """OpenAI has `/v1/fine_tuning` and `/v1/vector_stores`."""
    assert {"fine", "vector"}.isdisjoint(feature._taken(ROOT))


@pytest.mark.parametrize(
    ("name", "why"),
    [("extract", "in use"), ("chat", "in use"), ("runbook", "in use"), ("my-product", "one word"), ("keys", "is there already")],
)
def test_nothing_is_written_where_a_product_is_refused(tree: Path, name: str, why: str) -> None:
    (tree / "runbook/keys.md").write_text("# Keys\n")
    was = contents(tree)
    with pytest.raises(Refused, match=why):
        feature.make(tree, name)
    assert contents(tree) == was


def test_a_product_is_made_once(tree: Path) -> None:
    feature.make(tree, "clauses")
    was = contents(tree)
    with pytest.raises(Refused, match="in use"):
        feature.make(tree, "clauses")
    assert contents(tree) == was
