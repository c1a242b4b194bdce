"""The products of this service, one line each. Everything else goes through this list, and works on an empty one too."""

from functools import cache
from importlib import import_module

from app.features.feature import Feature

PRODUCTS: tuple[str, ...] = (
    "app.features.support",
    "app.features.extract",
)  # fmt: skip


@cache
def installed() -> tuple[Feature, ...]:
    """The products, in the order of their lines."""
    return tuple(import_module(name).FEATURE for name in PRODUCTS)


def link_hosts() -> frozenset[str]:
    """The hosts that the products' answers may link to."""
    return frozenset(host for feature in installed() for host in feature.link_hosts)
