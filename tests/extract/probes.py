"""Requests of generic tests to this product (`tests/products.py`)."""

from collections.abc import Iterator

from products import Body, Plants, Probes


def _planted(plant: Plants) -> Iterator[tuple[str, Body]]:
    yield "/v1/extract", {"text": plant.text("extract, text"), "user": plant.secret("extract, user")}


PROBES = Probes(refused={"/v1/extract": [{"text": "Please call me back."}]}, planted=_planted)
