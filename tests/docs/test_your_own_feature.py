"""The guide to an own product shows the small product's files."""

import re

import pytest
from conftest import ROOT

GUIDE = (ROOT / "docs" / "your-own-feature.md").read_text()
SHOWN = re.findall(r"^```\w+ (\S+)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
PATHS = re.findall(r"`((?:app|evals|tests|docs)/[\w/.-]+)`", GUIDE)


def test_the_guide_shows_code_of_the_small_product() -> None:
    assert {path.split("/")[0] for path, _ in SHOWN} == {"app", "evals"}


@pytest.mark.parametrize(("path", "text"), SHOWN, ids=[f"{path}-{at}" for at, (path, _) in enumerate(SHOWN)])
def test_each_piece_of_code_stands_so_in_its_file(path: str, text: str) -> None:
    assert text in (ROOT / path).read_text()


def test_each_file_that_the_guide_names_exists() -> None:
    """The reader's own are named after the small product's."""
    missing = [path for path in PATHS if not (ROOT / path.replace("clauses", "extract")).exists()]
    assert missing == []


def test_the_guide_is_linked_from_the_readme() -> None:
    assert "docs/your-own-feature.md" in (ROOT / "README.md").read_text()
