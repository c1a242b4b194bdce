"""The difference between two releases for operators: prompts as text, routes and prices as tables, and the money. Pure."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from app.domain.calls import Usage
from app.domain.errors import Misconfigured, UnknownModel
from app.domain.figures import usd
from app.domain.money import to_dollars
from app.domain.routes import Price, Prompt, Route
from app.releases.manifest import Release

Cost = Callable[[Usage, Sequence[Price]], int]


@dataclass(frozen=True, slots=True)
class Traffic:
    """The answered calls of one model alias or prompt, with their tokens together."""

    calls: int
    usage: Usage


def differences(old: Release, new: Release, traffic: Mapping[str, Traffic], cost: Cost) -> Iterator[str]:
    """Lines that say what ``new`` changes, and what last week's ``traffic`` (by alias or prompt) would cost with each.

    ``cost``: micro-dollars of a usage by price tiers.
    """
    for name in sorted({*old.prompts, *new.prompts}):
        yield from _prompt(name, old.prompts.get(name), new.prompts.get(name))
    for name in sorted({*old.routes, *new.routes}):
        yield from _route(name, old.routes.get(name), new.routes.get(name))
    for name in sorted({*old.indexes, *new.indexes}):
        if old.indexes.get(name) != new.indexes.get(name):
            yield f"index {name}: {old.indexes.get(name, 'none')} -> {new.indexes.get(name, 'none')}"
    yield from _prices(old, new)
    if old.code != new.code:
        yield f"code: {old.code} -> {new.code}"
    yield from _money(old, new, traffic, cost)


def _prompt(name: str, old: Prompt | None, new: Prompt | None) -> Iterator[str]:
    if old is None or new is None:
        yield f"prompt {name}: {'added' if old is None else 'removed'}"
        return
    if old == new:
        return
    yield f"prompt {name}: {old.version} -> {new.version}"
    for part in ("route", "tools", "guard"):
        before, after = getattr(old, part), getattr(new, part)
        if before != after:
            yield f"  {part}: {before} -> {after}"
    for part in ("system", "user"):
        before, after = getattr(old, part).splitlines(), getattr(new, part).splitlines()
        lines = difflib.unified_diff(before, after, f"{part} before", f"{part} after", lineterm="", n=1)
        yield from (f"  {line}" for line in lines)


def _route(name: str, old: Route | None, new: Route | None) -> Iterator[str]:
    if old is None or new is None:
        yield f"model {name}: {'added' if old is None else 'removed'}"
        return
    changed = [field.name for field in fields(Route) if getattr(old, field.name) != getattr(new, field.name)]
    if changed:
        yield f"model {name}:"
    for field in changed:
        yield f"  {field:22} {shown(getattr(old, field))} -> {shown(getattr(new, field))}"


def shown(value: object) -> str:
    """A property of a route in words."""
    if isinstance(value, tuple):
        return ", ".join(f"{target.provider}/{target.model}" for target in value)
    return ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else str(value)


def _prices(old: Release, new: Release) -> Iterator[str]:
    if old.prices.version != new.prices.version:
        yield f"prices: {old.prices.version} -> {new.prices.version} (dollars a million tokens)"
    for key in sorted({*old.prices.prices, *new.prices.prices}):
        before, after = old.prices.prices.get(key, ()), new.prices.prices.get(key, ())
        if before != after:
            yield f"  {'/'.join(key):40} {_tiers(before)} -> {_tiers(after)}"


def _tiers(tiers: tuple[object, ...]) -> str:
    names = ("input", "output", "cached_input", "cache_write")
    shown = (" ".join(f"{name} {to_dollars(getattr(tier, name))}" for name in names) for tier in tiers)
    return "; ".join(shown) or "none"


def _money(old: Release, new: Release, traffic: Mapping[str, Traffic], cost: Cost) -> Iterator[str]:
    comparable = []
    for name, seen in sorted(traffic.items()):
        before, after = (for_thousand(release, name, seen, cost) for release in (old, new))
        if before is not None and after is not None:
            comparable.append((name, before, after))
    if not comparable:
        yield "cost: no answered calls of the last week to compare with"
        return
    yield "cost of a thousand calls like last week's, each answered by the route's first model:"
    for name, before, after in comparable:
        change = f"{after / before - 1:+.1%}" if before else "new"
        yield f"  {name:24} {usd(before)} -> {usd(after)}  {change}"


def for_thousand(release: Release, name: str, seen: Traffic, cost: Cost) -> int | None:
    """Micro-dollars of a thousand average calls; None where the release does not serve them."""
    average = Usage(**{field: round(getattr(seen.usage, field) / seen.calls) for field in _TOKENS})
    try:
        target = release.pin(name).route.targets[0]
        return 1000 * cost(average, release.prices.prices[target.provider, target.model])
    except (UnknownModel, Misconfigured, KeyError):
        return None


_TOKENS = ("input", "output", "cached_input", "cache_write", "reasoning")
