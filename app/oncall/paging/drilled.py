"""A drilled alert: what Alertmanager would post of a rule, marked as a drill, so that a person sees a page with all that follows.

It opens a page and an incident, and calls the person on duty. It counts in no figure of real ones, and gathers with none of them.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from app.domain.errors import Forbidden, InvalidRequest
from app.oncall.runbook.pages import GENERATED, Page, Section

DEFAULT = "OctantAvailabilityBurnsFast"
LABEL, MARKED = "drill", "true"
AGAIN = "repeated"  # the event of an alert whose page is open
RULE_FOR = timedelta(minutes=2)  # an alert is as old as the looks of its rule when it comes
ZERO = "0001-01-01T00:00:00Z"  # the end of an alert that fires, as Alertmanager writes it
ELSEWHERE = "An alert is drilled in a demo alone: it would call people who think that it is real. Test the alarm instead:"


def message_of(alert: str, pages: Sequence[Page], at: datetime, *, runbook_url: str = "") -> dict[str, Any]:
    """The body that Alertmanager would post. Raises InvalidRequest for an alert that no rule has.

    ``pages``: the runbook's, whose list of alerts is made from the rules. Its words are the title of the place that it leads to:
    those of the rule are of figures, and nothing is broken. The operators' log has the operator.
    """
    rule = _rule(alert, pages)
    labels = {"alertname": alert, "severity": "page", LABEL: MARKED}
    annotations = {"summary": f"Drill: {_title(rule.leads_to, pages) or alert}"}
    if rule.leads_to and runbook_url:
        annotations["runbook_url"] = runbook_url + rule.leads_to
    one = {
        "status": "firing", "labels": labels, "annotations": annotations, "startsAt": (at - RULE_FOR).isoformat(), "endsAt": ZERO,
        "fingerprint": hashlib.sha256(alert.encode()).hexdigest()[:16],
    }  # fmt: skip
    group = f'{{}}/{{{LABEL}="{MARKED}"}}:{{alertname="{alert}"}}'
    return {
        "version": "4", "groupKey": group, "status": "firing", "receiver": "pager",
        "groupLabels": {"alertname": alert}, "commonLabels": labels, "commonAnnotations": annotations, "alerts": [one],
    }  # fmt: skip


def is_drill(labels: Mapping[str, str]) -> bool:
    """Whether the labels of a page say that its alert was drilled."""
    return labels.get(LABEL) == MARKED


def allowed(environment: str) -> None:
    """Raise Forbidden where a drill would call people who think that it is real."""
    if environment != "development":
        raise Forbidden(f"{ELSEWHERE} `octant runbook test the alarm`.")


def token_of(secret: bytes) -> str:
    """What a demo's Alertmanager would send as its token: the demo and `octant oncall drill` make it of the same secret."""
    return hmac.new(secret, b"alertmanager of a demo", hashlib.sha256).hexdigest()


def _title(address: str, pages: Sequence[Page]) -> str:
    """The title of a page and, where it is another, of the section: ``An objective is being missed: availability``."""
    name, _, anchor = address.partition("#")
    page = next((one for one in pages if one.name == name), None)
    if page is None:
        return ""
    section = next((one.title for one in page.sections if one.anchor == anchor), page.title)
    return page.title if section == page.title else f"{page.title}: {section[0].lower()}{section[1:]}"


def _rule(alert: str, pages: Sequence[Page]) -> Section:
    listed = next((page for page in pages if page.name == GENERATED), None)
    rules = [section for section in listed.sections if section.level == 3] if listed else []
    for rule in rules:
        if rule.title == alert:
            return rule
    raise InvalidRequest(f"No rule has the alert {alert!r}. `octant runbook alerts` lists them, such as {DEFAULT}.")
