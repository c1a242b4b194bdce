"""The help articles of this checkout: the sources of answers and of the facts that cases demand."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable


@cache
def article(article_id: str) -> str | None:
    """Title and text of an article; None if there is no such one."""
    path = _folder() / f"{article_id}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None


@cache
def all_articles() -> str:
    """Every article, one after the other."""
    return "\n".join(path.read_text(encoding="utf-8") for path in _folder().iterdir() if path.name.endswith(".md"))


def _folder() -> Traversable:
    return files("app") / "features" / "support" / "articles"
