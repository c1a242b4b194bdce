"""Budget alerts in words: for Alertmanager without the user's name, which may be personal."""

from typing import Any

from sqlalchemy import Row

from app.budget.scopes import ANONYMOUS
from app.domain.figures import usd

DRIFT = "cost-drift"


def summary(row: Row[Any], users: int = 1) -> str:
    """A sentence on whose money is spent. ``users``: how many passed the same share."""
    if row.scope == DRIFT:
        return str(row.note)
    whose, _, window = row.scope.partition("-")
    if whose == "tenant":
        return f"{row.tenant} has spent {_part(row)} cap of {usd(row.limit)} a {window}."
    if users > 1:
        return f"{users} users of {row.tenant} have spent {row.share} % of their caps of a {window}."
    if row.subject in {"", ANONYMOUS}:
        return f"Calls of {row.tenant} that name no user have spent {_part(row)} cap of {usd(row.limit)} a {window}."
    return f"One user of {row.tenant} has spent {_part(row)} cap of {usd(row.limit)} a {window}."


def _part(row: Row[Any]) -> str:
    return f"{row.share} % of the"
