"""The threat model names code and tests that exist (S1)."""

import ast
import re

from conftest import ROOT

TEXT = (ROOT / "threat_model.md").read_text()
ROWS = [line for line in TEXT.splitlines() if re.match(r"\| \d+ \|", line)]


def test_there_are_at_least_ten_threats_each_with_a_control_and_a_proof() -> None:
    assert len(ROWS) >= 10
    for row in ROWS:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 6, row
        assert all(cells), row
        assert re.fullmatch(r"LLM\d\d(, LLM\d\d)*", cells[2]), row


def test_every_module_and_every_test_named_exists() -> None:
    for row in ROWS:
        control, proof = row.split("|")[4:6]
        modules = re.findall(r"`(app/[\w/]+\.py)`", control)
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", proof)
        assert modules, row
        assert tests, row
        assert [m for m in modules if not (ROOT / m).is_file()] == []
        for path, name in tests:
            tree = ast.parse((ROOT / path).read_text())
            functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
            assert name in functions, f"{path} has no {name}"
