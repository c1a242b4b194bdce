"""Labelled queries of an index: how often the search finds the document that answers (B6).

They are the product's, in `queries.toml` of its suite, a section for each index::

    [support-kb]
    least = [{ first = 3, share = 0.92 }]
    queries = [["How long does a refund take?", "refund-times"]]
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from app.domain.errors import Misconfigured, OctantError
from app.domain.strict import Strict
from app.features.feature import Feature, Index

SUITES = Path(__file__).resolve().parents[2] / "evals" / "suites"
FILE = "queries.toml"
Search = Callable[[str, int], Sequence[str]]


class Least(Strict):
    """The least ``share`` of queries whose document is among the ``first`` so many."""

    first: int = Field(ge=1, le=100)
    share: float = Field(gt=0, le=1)


class Queries(Strict):
    """The labelled queries of an index, each with the id of its document."""

    least: tuple[Least, ...] = Field(min_length=1)
    queries: tuple[tuple[Annotated[str, Field(min_length=1)], Annotated[str, Field(min_length=1)]], ...] = Field(min_length=10)


_FILE: TypeAdapter[dict[str, Queries]] = TypeAdapter(dict[str, Queries])


def queries_of(feature: Feature, suites: Path = SUITES) -> Mapping[str, Queries]:
    """The queries of a product's indexes by name. Raises Misconfigured for a file that is missing or not in form."""
    path = suites / feature.suite / FILE
    try:
        return _FILE.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError:
        raise Misconfigured(f"{path} does not exist: an index needs labelled queries before a release may pin it.") from None
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise Misconfigured(f"{path}: {error}") from None


def measure(queries: Queries, search: Search) -> dict[int, float]:
    """The share of queries whose document is among the first so many, for each number that has a least share."""
    deepest = max(least.first for least in queries.least)
    found = [(list(search(question, deepest)), document) for question, document in queries.queries]
    return {
        least.first: sum(document in documents[: least.first] for documents, document in found) / len(found)
        for least in queries.least
    }


def shortfalls(queries: Queries, measured: Mapping[int, float]) -> list[str]:
    """A sentence for each share that is not reached."""
    return [
        f"finds the document of {measured[least.first]:.1%} of {len(queries.queries)} labelled queries among the first"
        f" {least.first}; {least.share:.1%} is the least."
        for least in queries.least
        if measured[least.first] < least.share
    ]


def checks(features: Iterable[Feature]) -> dict[str, Callable[[Path], list[str]]]:
    """For each index that can be searched, by name: what it does not find enough of."""
    return {index.name: partial(problems, feature, index) for feature in features for index in feature.indexes if index.search}


def problems(feature: Feature, index: Index, path: Path, suites: Path = SUITES) -> list[str]:
    """A sentence for each share that an index file does not reach, or for the reason why it cannot be searched."""
    if index.search is None:
        return []
    try:
        queries = queries_of(feature, suites).get(index.name)
        if queries is None:
            return [f"{suites / feature.suite / FILE} has no section [{index.name}] of labelled queries."]
        return shortfalls(queries, measure(queries, partial(index.search, path)))
    except (Misconfigured, OctantError) as error:
        return [str(error)]
