"""Which entries of a timeline stand aside: changes of its time that touch nothing that the incident's alerts are about. Pure.

Of an incident without an alert nothing is known, so nothing stands aside.
"""

import re
from collections.abc import Collection

from app.oncall.incidents.runbooks import Alerts

DRILLS = ("drill ", "oncall drill ", "rehearse ")  # commands that play a fault: no part of a real one
HOUSEKEEPING = ("budget ", "key ", "redaction ", "tenant ", "webhook ")  # commands that change one tenant's things
_TENANT = re.compile(
    r"\btenant(?:_id)?=([\w-]+)|^(?:kill|resume\b.* scope=)\s?(?:tenant|user) name=([\w-]+)"
    r"|^(?:stopped|released) (?:tenant|user) ([\w-]+)|^\d+ % of \S+ of ([\w-]+)$"
)


def is_aside(kind: str, text: str, alerts: Alerts) -> bool:
    """Whether an entry is of something else. ``kind`` and ``text`` as `timeline.Entry` has them."""
    if not alerts.labels or kind not in ("command", "switch", "budget"):
        return False
    if kind == "command" and text.startswith(DRILLS):
        return not alerts.drilled
    return _is_of_others(kind, text, {each["tenant"] for each in alerts.labels if each.get("tenant")}, of_caps=alerts.of_caps)


def _is_of_others(kind: str, text: str, tenants: Collection[str], *, of_caps: bool) -> bool:
    """``tenants``: those of the alerts; none where these are about all callers."""
    found = _TENANT.search(text)
    if found and tenants:
        return next(filter(None, found.groups())) not in tenants
    if kind == "budget":
        return not of_caps
    return kind == "command" and not tenants and text.startswith(HOUSEKEEPING)
