"""Budget alerts in words: for Alertmanager without the user's name, which may be personal."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from app.budget.scopes import ANONYMOUS
from app.domain.figures import usd

DRIFT = "cost-drift"
LOWERED = "it was lowered"  # the note of a cap that is below what was spent when it was set


def summary(row: Row[Any], users: int = 1) -> str:
    """A sentence on whose money is spent. ``users``: how many passed the same share."""
    if row.scope == DRIFT:
        return str(row.note)
    whose, _, window = row.scope.partition("-")
    how_far = f"spent {usd(row.spent)}, over the" if row.spent > row.limit else f"spent {row.share} % of the"
    how_far = f"{how_far} cap of {usd(row.limit)} a {window}{f'; {row.note}' if row.note else ''}."
    if whose == "tenant":
        return f"{row.tenant} has {how_far}"
    if users > 1:
        return f"{users} users of {row.tenant} have spent {row.share} % of their caps of a {window} or more."
    if row.subject in {"", ANONYMOUS}:
        return f"Calls of {row.tenant} that name no user have {how_far}"
    return f"One user of {row.tenant} has {how_far}"


def reached(row: Mapping[str, Any]) -> str:
    """How far a cap is used, beside its scope and its subject: ``95 % spent``, ``over its cap; it was lowered``."""
    note = str(row["note"])
    if row["scope"] == DRIFT:
        return note
    return f"over its cap{f'; {note}' if note else ''}" if row["spent"] > row["limit"] else f"{row['share']} % spent"
