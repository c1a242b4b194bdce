"""The threat model names existing code, tests, risks and requirements (S1)."""

import ast
import re

import pytest
from conftest import ROOT

TEXT = (ROOT / "threat_model.md").read_text()
PRODUCTS = [path.read_text() for path in sorted(ROOT.glob("app/features/*/threats.md"))]
COLUMNS = ["#", "threat", "OWASP", "AISVS", "control", "proven by", "what remains"]
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for text in (TEXT, *PRODUCTS)
    for line in text.splitlines()
    if re.match(r"\|\s*\d+\s*\|", line)
]
RISKS = dict(re.findall(r"^(LLM\d\d) (.+)$", (ROOT / "tests/docs/data/owasp-llm-2025.txt").read_text(), re.MULTILINE))
REQUIREMENTS = set(re.findall(r"(?<!\S)\d+\.\d+\.\d+(?!\S)", (ROOT / "tests/docs/data/aisvs-1.0.txt").read_text()))


def section(title: str) -> str:
    return re.split(r"^## ", TEXT.split(f"## {title}\n")[1], flags=re.MULTILINE)[0]


def test_the_published_lists_are_whole() -> None:
    assert len(RISKS) == 10
    assert len(REQUIREMENTS) == 191
    assert {identity.split(".")[0] for identity in REQUIREMENTS} == {str(chapter) for chapter in range(1, 13)}


def test_ten_threats_or_more_have_every_column_and_their_own_number() -> None:
    assert all(f"| {' | '.join(COLUMNS)} |" in text for text in (TEXT, *PRODUCTS))
    assert len(ROWS) >= 10
    numbers = [row[0] for row in ROWS]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_is_whole_and_its_ids_are_published(row: list[str]) -> None:
    assert len(row) == len(COLUMNS), row
    assert all(row), row
    cells = dict(zip(COLUMNS, row, strict=True))
    assert set(cells["OWASP"].split(", ")) <= RISKS.keys()
    assert cells["AISVS"] == "none" or set(cells["AISVS"].split(", ")) <= REQUIREMENTS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_module_and_every_test_named_exists(row: list[str]) -> None:
    cells = dict(zip(COLUMNS, row, strict=True))
    modules = re.findall(r"`((?:app|supply)/[\w/]+\.(?:py|lua))`", cells["control"])
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", cells["proven by"])
    assert modules, row
    assert tests, row
    assert [m for m in modules if not (ROOT / m).is_file()] == []
    for path, name in tests:
        tree = ast.parse((ROOT / path).read_text())
        functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{path} has no {name}"


def test_every_risk_of_the_top_ten_has_a_row_or_a_reason() -> None:
    in_rows = {risk for row in ROWS for risk in row[2].split(", ")}
    reasons = dict(re.findall(r"^- \*\*(LLM\d\d)[^*]*\*\*:?\s*(\S.+)", section("Without a row of their own"), re.MULTILINE))
    assert RISKS.keys() - in_rows - reasons.keys() == set()


def test_there_is_a_diagram_with_assets_boundaries_and_attackers() -> None:
    assert "```mermaid\nflowchart" in section("Boundaries")
    crossings = re.findall(r'-- "(\d)', section("Boundaries"))
    explained = re.findall(r"^(\d)\. ", section("Boundaries"), re.MULTILINE)
    assert sorted(crossings) == explained
    assert section("Assets").count("\n|") >= 5
    assert section("Attackers").count("\n- **") >= 5
