"""Python reads no number of more than 4,300 digits: one is refused as any that is too large, and answers no 500."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.budget.change import change_of
from app.console import incident_actions
from app.console.pages import incident
from app.domain.errors import InvalidRequest, NotFound
from app.edge import requests
from app.gateway.providers.dialect_merge import Unfit, target_of

NINES = "9" * 5000


@pytest.mark.parametrize("sent", [NINES, "0" * 5000, "9" * 10])
def test_a_deadline_is_refused(sent: str) -> None:
    edge = SimpleNamespace(request_deadline=1.0)
    request: Any = SimpleNamespace(
        headers={requests.DEADLINE_HEADER: sent}, app=SimpleNamespace(state=SimpleNamespace(edge=edge))
    )
    with pytest.raises(InvalidRequest):
        requests._deadline(request)


def test_a_place_in_a_schema_leads_nowhere() -> None:
    with pytest.raises(Unfit):
        target_of(f"#/anyOf/{NINES}", {"anyOf": [{}]})


async def test_an_incident_is_not_found() -> None:
    unused = cast("Any", None)
    with pytest.raises(NotFound):
        await incident_actions._incident(unused, {"on": NINES})
    with pytest.raises(NotFound):
        await incident._values(unused, unused, NINES, unused)


def test_a_limit_is_refused_in_a_short_sentence() -> None:
    with pytest.raises(InvalidRequest) as refused:
        change_of({}, {"calls_per_minute": NINES})
    assert len(refused.value.message) < 100
