"""The most that one short call can cost, beside a cap: below it, a cap refuses every such call. Pure."""

from collections.abc import Iterable, Mapping

from app.budget.pricing import PER_MESSAGE, tiers_of, worst_case
from app.domain.figures import usd
from app.domain.money import MicroUSD
from app.domain.routes import PriceTable, Route

CAPS = {
    "day": "the cap a day", "month": "the cap a month", "user_day": "the cap a day of each user",
    "user_month": "the cap a month of each user", "request": "the cap of one call",
}  # fmt: skip
SHORT = 2 * PER_MESSAGE  # input tokens of the shortest question, as they are bounded


def one_call(routes: Iterable[Route], prices: PriceTable, held: Mapping[str, int]) -> dict[str, int]:
    """What a call of each alias holds at the least, the cheapest first: a short question whose caller sets no ``max_tokens``.

    A route that degrades before it refuses is counted as it is then. ``held``: the least that the newest calls of each prompt
    held. A prompt has its own text, tools and articles, so it is known from records alone.
    """
    least = {**{route.name: _least(route, prices) for route in routes}, **held}
    return dict(sorted(least.items(), key=lambda pair: pair[1]))


def _least(route: Route, prices: PriceTable) -> int:
    longest = min(route.max_output_tokens, route.degrade.shorten_to or route.max_output_tokens)
    targets = [*(route.targets if route.degrade.no_retries else route.targets[:1]), *route.degrade.cheaper]
    return min(worst_case(SHORT, longest, tiers_of(prices, *target)) for target in targets)


def too_small(caps: Mapping[str, MicroUSD | None], routes: Iterable[Route], prices: PriceTable, held: Mapping[str, int]) -> str:
    """A warning of the smallest of these caps, if calls of a release do not fit into it; else empty. ``held``: see `one_call`."""
    calls = one_call(routes, prices, held)
    limited = [(cap, CAPS[name]) for name, cap in caps.items() if cap is not None]
    if not limited or not calls:
        return ""
    cap, words = min(limited)
    needs = [f"{usd(worst)} ({name})" for name, worst in calls.items()]
    refused = [name for name, worst in calls.items() if worst > cap]
    if not refused:
        return ""
    listed = " or ".join(filter(None, [", ".join(refused[:-1]), refused[-1]]))
    none = "no answer fits" if len(refused) == len(calls) else f"no answer of {listed} fits"
    needed = needs[0] if len(needs) == 1 else f"{needs[0]} to {needs[-1]}"
    return (
        f"Beware: {none} into {words}, {usd(cap)}. A call holds the most that it can cost, at the least {needed}, and is refused "
        "where that does not fit. A smaller `max_tokens` lowers it."
    )
