"""Build the index of help articles: one read-only SQLite FTS5 file, named by its content.

The same articles and the same builder give the same name, so a version can be pinned, and switching is opening another file.
"""

import hashlib
import json
import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from app.domain.errors import Misconfigured
from app.features.support.words import searchable

NAME = "support-kb"
ARTICLES = Path(__file__).resolve().parent / "articles"
FORMAT = 1  # part of the version: raise it whenever the builder makes another file from the same articles …
OTHER_LETTERS = 2  # … and this one where it does so only for articles with other letters than English ones
_FIELDS = ("id", "title", "topic", "updated")
_SCHEMA = """
CREATE TABLE articles (id TEXT PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL, topic TEXT NOT NULL, updated TEXT NOT NULL)
WITHOUT ROWID;
CREATE VIRTUAL TABLE paragraphs USING fts5(
    article UNINDEXED, title, text, tokenize = 'porter unicode61 remove_diacritics 2'
);
"""


@dataclass(frozen=True, slots=True)
class Article:
    """One page of help: short, about one thing, its paragraphs parted by empty lines."""

    id: str
    title: str
    topic: str
    updated: date
    text: str


@dataclass(frozen=True, slots=True)
class Built:
    """An index file that exists. ``fresh`` is false if it existed before."""

    version: str
    path: Path
    articles: int
    fresh: bool


def build(directory: Path, articles: Path = ARTICLES) -> Built:
    """Index ``articles`` into ``directory``. Safe to run twice at once: each builds beside and renames.

    Raises Misconfigured for a malformed article.
    """
    return build_from(directory, read_articles(articles))


def build_from(directory: Path, found: tuple[Article, ...]) -> Built:
    """Index these articles, as `build`."""
    version = version_of(found)
    path = directory / f"{version}.sqlite"
    fresh = not path.is_file()
    if fresh:
        directory.mkdir(parents=True, exist_ok=True)
        _write(path, found)
    return Built(version, path, len(found), fresh)


def version_of(articles: tuple[Article, ...]) -> str:
    """The name of an index: twelve hex digits of a hash over articles and format."""
    form = FORMAT if all(searchable(text) == text for a in articles for text in (a.title, a.text)) else OTHER_LETTERS
    digest = hashlib.sha256(f"{NAME} {form}".encode())
    for article in sorted(articles, key=lambda a: a.id):
        for value in (article.id, article.title, article.topic, article.updated.isoformat(), article.text):
            raw = value.encode()
            digest.update(len(raw).to_bytes(8, "big") + raw)  # lengths, so that text cannot move between fields unnoticed
    return f"{NAME}-{digest.hexdigest()[:12]}"


def sources_of(articles: tuple[Article, ...]) -> str:
    """The articles as JSON text, one a line: what a released index is built from again when the folder has moved on."""
    lines = [json.dumps(asdict(a), ensure_ascii=False, default=date.isoformat) for a in sorted(articles, key=lambda a: a.id)]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def read_sources(text: str) -> tuple[Article, ...]:
    """The articles of `sources_of`. Raises Misconfigured."""
    try:
        return TypeAdapter(tuple[Article, ...]).validate_json(text)
    except ValidationError as error:
        raise Misconfigured(f"Not the sources of an index: {error.errors()[0]['msg']}.") from None


def version_in(path: Path) -> str:
    """The version of what an index file holds, whatever its name says. Raises Misconfigured where it is no index.

    The articles are hashed, and the paragraphs that are searched must be theirs.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            rows = database.execute("SELECT id, title, topic, updated, text FROM articles").fetchall()
            searched = Counter(database.execute("SELECT article, title, text FROM paragraphs").fetchall())
        articles = tuple(Article(id_, title, topic, date.fromisoformat(day), text) for id_, title, topic, day, text in rows)
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise Misconfigured(f"{path} is not a readable index: {error}.") from None
    if searched != Counter(_paragraphs(articles)):
        raise Misconfigured(f"{path}: the paragraphs that are searched are not those of its articles.")
    return version_of(articles)


def _paragraphs(articles: tuple[Article, ...]) -> Iterator[tuple[str, str, str]]:
    return ((a.id, searchable(a.title), searchable(paragraph)) for a in articles for paragraph in a.text.split("\n\n"))


def read_articles(directory: Path) -> tuple[Article, ...]:
    """Every article of a folder, by id. Raises Misconfigured, naming the file and its fault."""
    found = tuple(_read(path) for path in sorted(directory.glob("*.md")))
    if not found:
        raise Misconfigured(f"{directory} holds no articles (*.md).")
    return found


def _read(path: Path) -> Article:
    head, separator, text = path.read_text(encoding="utf-8").removeprefix("---\n").partition("\n---\n")
    lines = (line.partition(": ") for line in head.splitlines())
    fields = {name: value.strip() for name, _, value in lines}
    missing = [name for name in _FIELDS if not fields.get(name)]
    if not separator or missing or not text.strip():
        raise Misconfigured(f"{path}: an article begins with {', '.join(_FIELDS)} between two --- lines, then comes its text.")
    if fields["id"] != path.stem:
        raise Misconfigured(f"{path}: id is {fields['id']!r}, but citations need it to be the file's name.")
    try:
        updated = date.fromisoformat(fields["updated"])
    except ValueError:
        raise Misconfigured(f"{path}: updated = {fields['updated']!r} is not a date such as 2026-11-23.") from None
    return Article(fields["id"], fields["title"], fields["topic"], updated, text.strip())


def _write(path: Path, articles: tuple[Article, ...]) -> None:
    """Build beside the final place and rename, so that no process opens half an index."""
    handle, name = tempfile.mkstemp(prefix=".building-", suffix=".sqlite", dir=path.parent)
    os.close(handle)
    beside = Path(name)
    try:
        with closing(sqlite3.connect(beside)) as database, database:
            database.executescript(_SCHEMA)
            whole = ((a.id, a.title, a.text, a.topic, a.updated.isoformat()) for a in articles)
            database.executemany("INSERT INTO articles VALUES (?, ?, ?, ?, ?)", whole)
            database.executemany("INSERT INTO paragraphs VALUES (?, ?, ?)", _paragraphs(articles))
            database.execute("INSERT INTO paragraphs (paragraphs) VALUES ('optimize')")
        beside.chmod(0o444)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
