"""Counts the glossary's retired words and lowers their ceilings.

Run by `PYTHONPATH=. python tests/docs/retired_words.py`.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "glossary.md"
ROW = re.compile(r"^\| ([a-z ]+) \| ([^|]+) \| (\d+) \|$", re.MULTILINE)
READ = (".py", ".md", ".toml", ".lua", ".yml", ".yaml", ".env.example", "Makefile")
# Files that list the words.
LISTS = ("docs/glossary.md", "tests/docs/test_glossary.py", "tests/docs/test_plain_english.py")
# Texts of the worked example's customers and shop, past changes, and the lists.
UNREAD = (
    "app/features/support/articles/",
    "evals/cases/",
    "evals/suites/",
    "CHANGELOG.md",
    "app/migrations/",
    *LISTS,
)


def ceilings() -> dict[str, int]:
    """The most that may be there of each retired word."""
    return {word: int(most) for word, _, most in ROW.findall(PAGE.read_text())}


def text() -> str:
    """All that is counted."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    names = [name for name in listed if name.endswith(READ) and not name.startswith(UNREAD)]
    return "\n".join((ROOT / name).read_text() for name in names if (ROOT / name).is_file())


def count(word: str, text: str) -> int:
    """The count of a word, also as a part of a name."""
    pattern = r"[ _]".join(word.split())
    return len(re.findall(rf"(?<![A-Za-z]){pattern}(?![A-Za-z])", text, re.IGNORECASE))


def lower() -> None:
    """Write today's counts where they are below their ceilings."""
    whole = text()

    def row(match: re.Match[str]) -> str:
        word, instead, most = match.groups()
        return f"| {word} | {instead} | {min(int(most), count(word, whole))} |"

    PAGE.write_text(ROW.sub(row, PAGE.read_text()))


if __name__ == "__main__":
    lower()
