"""The tenant and the user of a call."""

import pytest

from app.domain.calls import Deadline, Identity, Tenant
from app.domain.errors import InvalidRequest
from app.domain.money import MicroUSD
from app.edge.requests import CallContext

ACME = Tenant("acme", "Acme", MicroUSD(1), MicroUSD(1))
CONTEXT = CallContext(request_id="req_1", identity=Identity(tenant=ACME, key_id="k", user=""), deadline=Deadline.after(1))


@pytest.mark.parametrize("user", ["x" * 129, "a\0b", "a\nb", "a\x7f", "half a pair \ud800"])
def test_a_user_that_the_ledger_could_not_store_is_refused(user: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        CONTEXT.identity_for(user)
    assert refused.value.param == "user"


@pytest.mark.parametrize("user", ["x" * 128, "Zoë Ångström", "user@example.com", "客户-7"])
def test_any_other_is_taken_as_it_is(user: str) -> None:
    assert CONTEXT.identity_for(user).user == user
