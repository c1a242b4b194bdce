"""Refusals of a hold as errors that name the remedy: over a cap, over a rate, or without counters."""

from datetime import datetime

from app.budget.hold import RATE_UNITS, Hold
from app.budget.valkey_answers import read_of
from app.domain.calls import RateState
from app.domain.errors import BudgetExceeded, DependencyUnavailable, OctantError, RateLimited
from app.domain.money import MicroUSD


def check_request_cap(hold: Hold, amount: MicroUSD) -> None:
    """Check one call with all its attempts. Raises BudgetExceeded."""
    cap = hold.identity.tenant.request_cap
    if cap is not None and hold.amount + amount > cap:
        raise BudgetExceeded(
            scope="request", limit=cap, spent=hold.spent, held=hold.amount - hold.spent, needed=amount, resets_at=None
        )


@read_of("hold.lua")
def refusal(status: str, rest: list[int], hold: Hold, amount: MicroUSD, now: datetime) -> OctantError:
    """The refusal of ``hold.lua`` as an error."""
    if status == "full":
        number, spent, held = rest
        scope = hold.scopes[number - 1]
        return BudgetExceeded(
            scope=scope.name, limit=scope.limit or 0, spent=spent, held=held, needed=amount, resets_at=scope.resets_at, now=now,
            user=hold.identity.user if scope.name.startswith("user") else "", bound=hold.identity.bound,
        )  # fmt: skip
    if status == "rate":
        number, what, limit, millis = rest[0], str(rest[1]), rest[2], rest[3]
        whose = "tenant" if hold.subjects[number - 1][0] == "tenant" else "API key"
        per = " at once" if what == "concurrency" else " per minute"
        noun = "calls" if what == "concurrency" else what
        wait = millis / 1000 if millis >= 0 else None
        rates = {what: RateState(limit, 0, wait or 0.0)} if what in RATE_UNITS else {}
        advice = "" if wait is not None else " This call alone needs more: request less, or a higher limit."
        return RateLimited(f"The {whose}'s limit of {limit:,} {noun}{per} is reached.{advice}", retry_after=wait, rates=rates)
    if status == "closed":
        return DependencyUnavailable("The budget's counters were lost and are being rebuilt.", retry_after=rest[0] / 1000)
    return DependencyUnavailable("The call's lease has ended.", retry_after=1.0)
