"""The one table from errors to HTTP."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from app.domain.errors import BudgetExceeded, OctantError, OutputInvalid, ProviderRejected, RateLimited
from app.edge.errors import TABLE, dialect_for, dialect_of, render
from app.gateway.recovery.final_error import final_error


def leaves(root: type[OctantError]) -> Iterator[type[OctantError]]:
    children = root.__subclasses__()
    if not children:
        yield root
    for child in children:
        yield from leaves(child)


def test_every_leaf_of_the_error_tree_has_a_row_and_every_row_is_a_leaf() -> None:
    assert set(TABLE) == set(leaves(OctantError))


def test_every_leaf_has_a_code_of_its_own() -> None:
    codes = [leaf.code for leaf in TABLE]
    assert len(set(codes)) == len(codes)


def sample(leaf: type[OctantError]) -> OctantError:
    if leaf is BudgetExceeded:
        return BudgetExceeded(scope="user-day", limit=5, spent=3, held=1, needed=2, resets_at=datetime(2026, 1, 2, tzinfo=UTC))
    if leaf is OutputInvalid:
        return OutputInvalid("no", violations=("$.a: type",))
    return leaf("no")


@pytest.mark.parametrize("leaf", TABLE, ids=lambda leaf: leaf.__name__)
def test_every_error_is_rendered_in_both_envelopes(leaf: type[OctantError]) -> None:
    """G1: each vendor's own envelope."""
    status, headers, body = render(sample(leaf), "openai", "req_12345678")
    assert status >= 400
    assert b'"error": {"message"' in body
    assert headers["x-should-retry"] in {"true", "false"}
    _, headers, body = render(sample(leaf), "anthropic", "req_12345678")
    assert body.startswith(b'{"type": "error", "error": {"type"')
    assert headers["request-id"] == "req_12345678"


def test_a_budget_refusal_carries_its_figures() -> None:
    """C4."""
    status, _, body = render(sample(BudgetExceeded), "openai", "r")
    assert status == 429
    assert b'"scope": "user-day", "limit": 5, "spent": 3, "held": 1, "needed": 2' in body
    assert b"2026-01-02T00:00:00+00:00" in body


def test_a_refusal_by_the_cap_of_all_tenants_tells_nothing_of_what_others_spend() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    _, _, body = render(BudgetExceeded(scope="global-day", limit=77, spent=66, held=55, needed=2, resets_at=at), "openai", "r")
    assert b'"budget": {"scope": "global-day", "needed": 2, ' in body
    assert not re.search(rb"77|66|55", body)


def test_a_refusal_by_a_tenants_cap_tells_a_key_of_one_user_nothing_of_the_others() -> None:
    """The time of the reset stays; of its own user's cap it may know all."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    for scope, bound, sums in (
        ("tenant-day", True, 0),
        ("tenant-month", True, 0),
        ("user-day", True, 1),
        ("tenant-day", False, 1),
    ):
        refused = BudgetExceeded(scope=scope, limit=77, spent=66, held=55, needed=2, resets_at=at, bound=bound)
        _, _, body = render(refused, "openai", "r")
        assert (len(re.findall(rb'"(?:limit|spent|held)": ', body)), bool(re.search(rb"77|66|55", body))) == (3 * sums, sums)
        assert body.count(b"2026-01-02T00:00:00+00:00") == 2


def test_a_wait_states_its_length_in_whole_seconds() -> None:
    _, headers, _ = render(RateLimited("slow down", retry_after=0.2), "openai", "r")
    assert headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("path", "header", "routed", "dialect"),
    [
        ("/v1/files", b"x-api-key", False, "anthropic"),
        ("/v1/files", b"authorization", False, "openai"),
        ("/v1/models", b"x-api-key", True, "anthropic"),
        ("/v1/jobs", b"x-api-key", True, "openai"),
        ("/v1/jobs", b"anthropic-version", True, "anthropic"),
        ("/v1/chat/completions", b"anthropic-version", True, "openai"),
    ],
)
def test_a_vendors_header_marks_its_client_where_the_path_does_not(path: str, header: bytes, routed: bool, dialect: str) -> None:
    scope = {"path": path, "headers": [(header, b"x")], "router": "r", **({"route": "a route"} if routed else {})}
    assert dialect_for(scope) == dialect
    assert dialect_for({"path": "/v1/x", "headers": [(b"x-api-key", b"x")]}) == "openai"  # before the router has looked


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/messages", "anthropic"),
        ("/v1/messages/count_tokens", "anthropic"),
        ("/v1/chat/completions", "openai"),
        ("/x", "openai"),
    ],
)
def test_the_path_decides_the_envelope(path: str, dialect: str) -> None:
    assert dialect_of(path) == dialect


def test_a_prompt_that_is_too_long_has_the_words_and_codes_that_clients_match_on() -> None:
    """G1: coding agents shorten their history on these."""
    rejected = ProviderRejected("no", provider="p", model="m")
    rejected.reason, rejected.tokens = "context_length", (9, 8)
    error = final_error([rejected])
    status, _, body = render(error, "openai", "r")
    found = json.loads(body)["error"]
    assert (status, found["type"], found["code"]) == (400, "invalid_request_error", "context_length_exceeded")
    assert "maximum context length is 8 tokens" in found["message"]
    status, _, body = render(error, "anthropic", "r")
    found = json.loads(body)["error"]
    assert (status, found["type"]) == (400, "invalid_request_error")
    assert "prompt is too long: 9 tokens > 8 maximum" in found["message"]
