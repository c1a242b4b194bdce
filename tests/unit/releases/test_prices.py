"""Our price tables agree with an independent source."""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from genai_prices.data import providers
from genai_prices.types import TieredPrices

TABLES = sorted((ROOT / "releases" / "prices").glob("*.toml"))
FIELDS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
}


def entries() -> list[tuple[Path, dict[str, Any]]]:
    return [(path, price) for path in TABLES for price in tomllib.loads(path.read_text())["price"]]


def theirs(entry: dict[str, Any], field: str) -> int:
    """Micro-dollars per million tokens for inputs of the entry's tier."""
    models = next(p.models for p in providers if p.id == entry["provider"])
    prices: Any = next(m.prices for m in models if m.id == entry["model"])
    price = getattr(prices, field)
    if isinstance(price, TieredPrices):
        passed = [tier.price for tier in price.tiers if entry.get("from_input_tokens", 0) > tier.start]
        price = passed[-1] if passed else price.base
    if price is None and entry["model"].startswith("text-embedding"):  # no output; no cache, so its input is paid in full
        price = 0 if field == "output_mtok" else prices.input_mtok
    return int(Decimal(price) * 1_000_000)


@pytest.mark.parametrize(
    ("path", "entry"),
    entries(),
    ids=lambda v: v.stem if isinstance(v, Path) else f"{v['model']}-{v.get('from_input_tokens', 0)}",
)
def test_every_price_is_the_one_that_the_package_knows(path: Path, entry: dict[str, Any]) -> None:
    """C2."""
    assert {ours: entry[ours] for ours in FIELDS} == {ours: theirs(entry, field) for ours, field in FIELDS.items()}


@pytest.mark.parametrize("model", sorted({(e["provider"], e["model"]) for _, e in entries()}))
def test_no_price_tier_is_missing(model: tuple[str, str]) -> None:
    """A long input priced as a short one would be spent below its bill."""
    prices: Any = next(m.prices for p in providers if p.id == model[0] for m in p.models if m.id == model[1])
    tiers = {
        tier.start
        for field in FIELDS.values()
        if isinstance(getattr(prices, field), TieredPrices)
        for tier in getattr(prices, field).tiers
    }
    ours = {e.get("from_input_tokens", 0) for _, e in entries() if (e["provider"], e["model"]) == model}
    assert ours == {0, *(start + 1 for start in tiers)}
