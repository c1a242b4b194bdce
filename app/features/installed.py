"""The products of this service, one line each. The list may be empty."""

from functools import cache
from importlib import import_module
from typing import Any

from app.features.feature import Feature

PRODUCTS: tuple[str, ...] = (
    "app.features.support",
    "app.features.extract",
)  # fmt: skip


@cache
def installed() -> tuple[Feature, ...]:
    """The products, in the order of their lines."""
    return tuple(import_module(name).FEATURE for name in PRODUCTS)


def own() -> tuple[str, ...]:
    """The names of the products that are no examples of this project."""
    return tuple(feature.name for feature in installed() if not feature.example)


def link_hosts() -> frozenset[str]:
    """The hosts that the products' answers may link to."""
    return frozenset(host for feature in installed() for host in feature.link_hosts)


def samples(*, streamed: bool = False) -> dict[str, dict[str, Any]]:
    """The first sample's body by each product's path, streamed or whole, for the user ada."""
    found: dict[str, dict[str, Any]] = {}
    for sample in (sample for feature in installed() for sample in feature.samples):
        if sample.status == 200 and bool(sample.body.get("stream")) is streamed:
            found.setdefault(sample.path, {**sample.body, "user": "ada"})
    return found
