"""A server's word on how long to wait is read in the forms that servers have, as public reports and vendors' docs show them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.providers.waits import wait_of

SOON = 45.0  # seconds; of moments, which pass while the test runs
NEAR: Any = pytest.approx(SOON, abs=5)


def moment(form: str) -> str:
    """In ``SOON`` seconds."""
    at = datetime.now(UTC) + timedelta(seconds=SOON)
    return {"seconds": f"{at.timestamp():.0f}", "millis": f"{at.timestamp() * 1000:.0f}"}.get(form) or at.strftime(form)


STANDARD: list[tuple[str, Any]] = [
    ("3", 3), ("2.5s", 2.5), ("0", 0), ("30, 30", 30), ("1m30s", 90), ("6m0s", 360), ("2h", 7200), ("250ms", 0.25),
    ("500µs", 0.0005), ("30 seconds", 30), ("1 minute", 60), ("1 min 30 sec", 90), ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
    ("soon", None), ("-1", None), ("nan", None), ("", None), ("1e9", None), ("5 apples", None), ("99999999999999999999s", 1e20),
]  # fmt: skip


@pytest.mark.parametrize(("value", "seconds"), STANDARD)
def test_retry_after_is_a_number_a_duration_or_a_date(value: str, seconds: float | None) -> None:
    """R3. Huge ones stay huge: recovery bounds them."""
    assert wait_of({"Retry-After": value}) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("form", ["seconds", "millis", "%a, %d %b %Y %H:%M:%S GMT", "%Y-%m-%dT%H:%M:%SZ", "%a %b %d %H:%M:%S %Y"])
def test_retry_after_may_be_the_moment_itself(form: str) -> None:
    """Since 1970: cloudfoundry/cloud_controller_ng#2544."""
    assert wait_of({"retry-after": moment(form)}) == NEAR


# dirge-code/dirge#719, everruns/everruns#2280, Lore-Hex/QuillCode#868, huggingface/huggingface_hub#4460
WINDOWS: list[tuple[dict[str, str], Any]] = [
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360),
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2m59.56s"}, 179.56),
    ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "8s", "x-ratelimit-reset-tokens": "3s"}, 3),
    ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "8s"}, None),
    ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "millis"}, NEAR),
    ({"x-rate-limit-reset": "seconds"}, NEAR),
    ({"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": "%Y-%m-%dT%H:%M:%SZ"}, NEAR),
    ({"ratelimit-limit": "100", "ratelimit-remaining": "0", "ratelimit-reset": "30"}, 30),
    ({"ratelimit": "limit=100, remaining=0, reset=30"}, 30),
    ({"ratelimit": '"day";r=9;t=9000, "minute";r=0;t=12', "ratelimit-policy": '"minute";q=10;w=60'}, 12),
    ({"ratelimit": '"day";r=9;t=9000'}, None),
    ({"retry-after": "1", "ratelimit-reset": "30"}, 1),
    ({"x-ratelimit-reset": "1", "x-ratelimit-remaining": "0", "x-ratelimit-limit": "x"}, 1),
]


@pytest.mark.parametrize(("headers", "seconds"), WINDOWS)
def test_without_retry_after_the_window_that_is_used_up_says_it(headers: dict[str, str], seconds: Any) -> None:  # noqa: ANN401
    """R3."""
    sent = {name: moment(value) if value in ("seconds", "millis") or "%" in value else value for name, value in headers.items()}
    assert wait_of(sent) == seconds


BODIES: list[tuple[object, Any]] = [
    ([{"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38.2s"}]}}], 38.2),
    ({"error": {"type": "usage_limit_reached", "resets_in_seconds": 900}}, 900),  # Codex
    ({"error": {"retry_after": 2520}}, 2520),  # diegosouzapw/OmniRoute#14188
    ({"error": {"message": "Rate limit reached for x. Limit 3, Used 3. Please try again in 7m12.48s. Visit y."}}, 432.48),  # Groq
    ({"error": {"message": "Rate limit reached. Please try again in 254ms."}}, 0.254),  # OpenAI
    (
        {"error": {"code": "429", "message": "... pricing tier. Please retry after 26 seconds. Please go here."}},
        26,
    ),  # Azure OpenAI
    ({"statusCode": 429, "message": "Rate limit is exceeded. Try again in 12 seconds."}, 12),  # Azure API Management
    ("error code: 1015. Please wait 1 minute", 60),
    ({"error": {"message": "Please try again later."}}, None),
    ({"error": {"message": "Too many tokens, please wait before trying again."}}, None),  # Bedrock
    ({"error": {"message": "x", "retry_after": True}}, None),
    ({"messages": ["try again in 9s"], "input": {"retry_after": 3}}, None),  # the caller's words
]


@pytest.mark.parametrize(("body", "seconds"), BODIES)
def test_a_wait_that_only_the_body_names_is_read(body: object, seconds: float | None) -> None:
    """R3."""
    assert wait_of({}, body) == seconds


def test_a_moment_that_only_the_body_names_is_read() -> None:
    """R3. OpenRouter's."""
    headers = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": moment("millis")}
    assert wait_of({}, {"error": {"message": "Rate limit exceeded", "metadata": {"headers": headers}}}) == NEAR
    zai = f"Usage limit reached for 5 hour. Your limit will reset at {moment('%Y-%m-%d %H:%M:%S')}"
    assert wait_of({}, {"error": {"code": "1308", "message": zai}}) == NEAR  # NousResearch/hermes-agent#103038


@given(value=st.text(max_size=40) | st.from_regex(r"[\d ,.:;=hmsT/Zrt\"-]{0,30}", fullmatch=True))
def test_any_value_is_a_number_of_seconds_or_nothing(value: str) -> None:
    for found in (
        wait_of({"retry-after": value}),
        wait_of({"ratelimit": value}),
        wait_of({}, {"message": value, "reset_at": value}),
    ):
        assert found is None or found >= 0


def test_long_values_cost_no_more_than_their_length() -> None:
    began = time.thread_time()
    for text in ("1" * 60_000, "1s" * 30_000, "try again in 1" * 5_000, "1 " * 30_000, "r=0;" * 15_000, '"' * 60_000):
        wait_of(
            {"retry-after": text, "ratelimit": text, "x-ratelimit-reset": text}, {"message": text, "deep": [[[[[[[[text]]]]]]]]}
        )
    assert time.thread_time() - began < 1
