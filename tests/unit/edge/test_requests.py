"""The tenant and the user of a call."""

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from app.domain.calls import Deadline, Identity, Tenant
from app.domain.errors import InvalidRequest
from app.domain.money import MicroUSD
from app.edge.requests import CallContext, parsed

ACME = Tenant("acme", "Acme", MicroUSD(1), MicroUSD(1))
CONTEXT = CallContext(request_id="req_1", identity=Identity(tenant=ACME, key_id="k", user=""), deadline=Deadline.after(1))


@pytest.mark.parametrize(
    "user",
    ["x" * 129, "a\0b", "a\nb", "a\x7f", "half a pair \ud800", "a\x9bb", "ad\u200ba", "\u202eada", "ada\u2060", "a\U000e0041"],
)
def test_a_user_that_the_ledger_could_not_store_or_a_page_not_show_is_refused(user: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        CONTEXT.identity_for(user)
    assert refused.value.param == "user"


@pytest.mark.parametrize(
    "user", ["x" * 128, "Zoë Ångström", "user@example.com", "客户-7", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "👩\u200d💻"]
)
def test_any_other_is_taken_as_it_is(user: str) -> None:
    assert CONTEXT.identity_for(user).user == user


class Rated(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    rating: Literal["good", "bad"]
    stars: int | None = Field(default=None, ge=1)


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"{}", "rating", "Missing required parameter: 'rating'."),
        (b'{"rating": "fine"}', "rating", "expected 'good' or 'bad'"),
        (b'{"rating": "good", "stars": "5"}', "stars", "expected an integer"),
        (b'{"rating": "good", "stars": 0}', "stars", "expected at least 1"),
        (b'{"rating": "good", "star": 1}', "star", "the field is not known"),
        (b'{"rating": "good", "call 555 1234": 1}', "body", "the field is not known"),
        (b"[]", "body", "expected an object"),
        (b'{"rating": ', None, "at line 1 column 11"),
    ],
)
def test_a_body_of_our_own_endpoints_is_refused_with_the_rule_and_without_the_value(
    body: bytes, param: str | None, words: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parsed(Rated, body)
    assert refused.value.param == param
    assert words in refused.value.message
    assert "555" not in refused.value.message
