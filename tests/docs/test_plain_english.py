"""The documents are in plain English: subject first, nouns for things."""

import re
from pathlib import Path

import pytest
from conftest import ROOT
from retired_words import ceilings

FOLDERS = ("*.md", "docs/**/*.md", "runbook/**/*.md", "deploy/**/*.md")
PAGES = sorted({path for folder in FOLDERS for path in ROOT.glob(folder)} - {ROOT / "CHANGELOG.md"})
WORDS = re.compile(rf"\b({'|'.join(ceilings())})\b", re.IGNORECASE)
OPENINGS = re.compile(r"(?:^|[.:;!?] |\n\n|\*\* |[-*#|] |\d\. )((?:What|Whoever|Who) [^\n]{0,40})", re.MULTILINE)


def prose(page: Path) -> str:
    """The page without code, targets of links and retired words."""
    text = page.read_text().split("## Retired words")[0]
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"\]\([^)\s]*\)", "]", text)
    return re.sub(r"`[^`\n]*`", "", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_sentence_begins_with_what_or_who_or_uses_a_retired_word(page: Path) -> None:
    text = prose(page)
    assert OPENINGS.findall(text) == []
    assert [text[max(0, m.start() - 40) : m.end() + 20] for m in WORDS.finditer(text)] == []


def test_openings_and_words_are_found() -> None:
    assert OPENINGS.findall("It is so. What is found goes.\n\nWho reads: x\n- What\n| What it is |") == [
        "What is found goes.",
        "Who reads: x",
        "What it is |",
    ]
    assert WORDS.findall("Nobody told anybody; retold") == ["Nobody", "told"]
