"""Requests of generic tests to the installed products.

Each product's own tests add theirs.

A product's tests lie in ``tests/<product>/``; its ``probes.py`` holds `PROBES`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

import pytest

from app.features.installed import installed

WITH_EXAMPLE = "support" in {feature.name for feature in installed()}  # a fork has it no more
needs_example = pytest.mark.skipif(not WITH_EXAMPLE, reason="its releases, tools or answers are the worked example's")

Body = Mapping[str, Any]


class Plants(Protocol):
    """Makes personal data and secrets, each value once.

    It remembers the place of each.
    """

    def text(self, place: str) -> str:
        """A sentence with one value of each kind in it."""
        ...

    def secret(self, place: str) -> str:
        """An API key: a word that passes as an identifier."""
        ...


def _no_bodies(_: Plants) -> Iterator[tuple[str, Body]]:
    return iter(())


def _no_rows(_tenant: str, _user: str, _request_id: str) -> dict[Any, list[dict[str, Any]]]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """The requests and rows of one product for generic tests.

    ``refused``: bodies of each POST path that a stop refuses; ``goes_on``: paths that a stop leaves alone.

    ``planted``: requests with personal data in every field. ``kept_as_sent``: columns that hold it, with reasons. ``rows``: rows
    of a user in each table of the product, tied to a call by its request id.
    """

    refused: Mapping[str, Sequence[Body]]
    goes_on: frozenset[str] = frozenset()
    planted: Callable[[Plants], Iterator[tuple[str, Body]]] = _no_bodies
    kept_as_sent: Mapping[tuple[str, str], str] = field(default_factory=dict)
    rows: Callable[[str, str, str], dict[Any, list[dict[str, Any]]]] = _no_rows


def probes() -> tuple[Probes, ...]:
    """The probes of each product."""
    return tuple(import_module(f"{feature.name}.probes").PROBES for feature in installed())
