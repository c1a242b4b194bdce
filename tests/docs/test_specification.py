"""The specification's ids and proofs agree with code, tests and documents."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

PAGE = ROOT / "docs" / "specification.md"
ID = r"[GEORCSPBKXV]\d{1,2}[a-z]?"
ROWS = re.findall(rf"^\| ({ID}) \| (.+?) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
# Ids are quoted in prose; these files hold text that is not ours to read ids from.
UNREAD = ("docs/specification.md", "app/features/support/articles/", "evals/cases/", "tests/docs/data/")


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in listed if name and not name.startswith(UNREAD) and (ROOT / name).is_file()]


def prose(name: str) -> str:
    """A document whole; of Python its comments and docstrings."""
    text = (ROOT / name).read_text()
    if not name.endswith(".py") or not quoted(text):  # most files quote none; taking them apart is slow
        return text
    parts = [t.string for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type == tokenize.COMMENT]
    parts += [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, DOCUMENTED)]
    return "\n".join(parts)


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def quoted(text: str) -> set[str]:
    """Ids in a text.

    In brackets, at the beginning of a line, or after "Shows".
    """
    found: set[str] = set()
    for inside in re.findall(r"\(([^()]{2,60})\)", text):
        found |= {part for part in re.split(r"[,;:]? ", inside) if re.fullmatch(ID, part)}
    found |= set(re.findall(rf"^\s*({ID})[.:,] ", text, re.MULTILINE))
    return found | set(re.findall(rf"\bShows ({ID})\b", text))


def sources() -> Iterator[str]:
    yield from (name for name in tracked() if name.endswith((".py", ".md", ".toml", ".yml", ".yaml", ".lua")) or "/" not in name)


def test_every_id_stands_once_and_has_a_promise() -> None:
    ids = [row[0] for row in ROWS]
    assert len(ids) == len(set(ids))
    assert len(ids) == len(re.findall(r"^\| (?!id )(?!-)", PAGE.read_text(), re.MULTILINE)), "a row is out of form"
    assert len(ids) > 80


def test_every_id_that_is_quoted_anywhere_is_specified() -> None:
    known = {row[0] for row in ROWS}
    found = {name: quoted(prose(name)) for name in sources()}
    assert sum(map(len, found.values())) > 70, "the quotes were not found"
    assert {name: sorted(ids - known) for name, ids in found.items() if ids - known} == {}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_proof_exists_or_is_marked_not_yet(row: tuple[str, str, str]) -> None:
    """A proof is a test, a make verb, or a document."""
    proof = row[2]
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", proof)
    verbs = re.findall(r"`make ([a-z-]+)`", proof)
    documents = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", proof)
    rest = re.sub(r"`tests/[\w/]+\.py::\w+`|`make [a-z-]+`|\[[^]]+\]\([^)]+\)", "", proof)
    missing = [part.strip(" ,") for part in rest.split(";") if part.strip(" ,") and not re.search(r"\bnot yet$", part.strip())]
    assert missing == [], "neither a proof nor `not yet`"
    assert tests or verbs or documents or "not yet" in proof
    for path, name in tests:
        assert removed(path) or name in functions(ROOT / path), f"{path} has no {name}"
    known = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(verbs) <= known
    assert [path for path in documents if not (PAGE.parent / path).exists()] == []


def removed(path: str) -> bool:
    """Whether a proof left with the worked example, as in a fork."""
    example = re.findall(r"Proofs in\s`tests/(\w+)/` belong to the worked example", PAGE.read_text())
    return any(path.startswith(f"tests/{name}/") and not (ROOT / "app" / "features" / name).exists() for name in example)


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_only_proofs_of_an_example_that_is_gone_may_be_missing() -> None:
    assert removed("tests/support/test_tools.py") is not (ROOT / "app/features/support").exists()
    assert not removed("tests/unit/security/test_gone.py")


def test_quotes_are_found_in_every_form() -> None:
    """Codes in other text, such as `x{C0}` or `B4-2511`, are no quotes."""
    text = "Money is held (C1, ADR 0015).\nShows O2.\nS9. A tag can be moved.\nR4: no guess. x{C0} B4-2511 %E2 (V3: 100 at most)"
    assert quoted(text) == {"C1", "O2", "S9", "R4", "V3"}
