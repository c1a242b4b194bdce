"""The products of this service, one line each. Everything else goes through this list, and works on an empty one too."""

from functools import cache
from importlib import import_module
from pathlib import Path
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


def link_hosts() -> frozenset[str]:
    """The hosts that the products' answers may link to."""
    return frozenset(host for feature in installed() for host in feature.link_hosts)


def samples(*, streamed: bool = False) -> dict[str, dict[str, Any]]:
    """The body of the first sample that is answered, by the path of each product, streamed or whole, for the user ada."""
    found: dict[str, dict[str, Any]] = {}
    for sample in (sample for feature in installed() for sample in feature.samples):
        if sample.status == 200 and bool(sample.body.get("stream")) is streamed:
            found.setdefault(sample.path, {**sample.body, "user": "ada"})
    return found


def fitting(releases: Path) -> list[str]:
    """The ids of the manifests in a folder that can be live here, in the order of their names.

    A manifest that pins a product's prompts or index fits only where that product is installed. Raises Misconfigured for one
    that cannot be read.
    """
    from app.releases.manifest import parse

    prompts = {feature.name for feature in installed()}
    indexes = {index.name for feature in installed() for index in feature.indexes}
    found = []
    for path in sorted(releases.glob("*.toml")):
        manifest = parse(path.read_text(encoding="utf-8"), str(path))
        if {name.partition("/")[0] for name in manifest.prompts} <= prompts and set(manifest.indexes) <= indexes:
            found.append(path.stem)
    return found
