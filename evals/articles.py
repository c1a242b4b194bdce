"""The help articles of this checkout: what an answer may rest on, and what a case may demand."""

from functools import cache
from importlib.resources import files


@cache
def article(article_id: str) -> str | None:
    """Title and text of an article; None if there is no such one."""
    path = files("app") / "features" / "support" / "articles" / f"{article_id}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None
