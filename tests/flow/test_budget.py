"""Caps, degradation and rate limits as callers and operators see them, on the running service (C4, C8, C9)."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from conftest import LIVE_RELEASE, ROOT, octant, own_database, running_service

from app.stack.embedded import embedded_valkey, free_port

DEGRADATION = """
[routes.smart.degrade]
truncate = true
shorten_to = 16
cheaper = [{ provider = "openai", model = "gpt-6-luna" }]
no_retries = true
"""


@dataclass(frozen=True, slots=True)
class Service:
    url: str
    env: dict[str, str]
    folder: Path


@pytest.fixture(scope="module")
def service(stack_env: dict[str, str], database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on stores of its own, where a release with degradation steps is live."""
    folder = tmp_path_factory.mktemp("degrading")
    for path in (ROOT / "releases").rglob("*.toml"):
        target = folder / path.relative_to(ROOT / "releases")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    newest = (folder / f"{LIVE_RELEASE}.toml").read_text()
    made = newest.replace(f'id = "{LIVE_RELEASE}"', 'id = "degrading"').replace("[routes.fast]", DEGRADATION + "\n[routes.fast]")
    (folder / "degrading.toml").write_text(made)
    env = {
        **stack_env,
        "OCTANT_RELEASES_DIR": str(folder),
        "OCTANT_PORT": str(free_port()),
        "OCTANT_METRICS_PORT": str(free_port()),
    }
    with embedded_valkey(None) as valkey, own_database(database_url, "degrading") as database:
        env |= {"OCTANT_VALKEY_URL": valkey, "OCTANT_DATABASE_URL": database}
        octant(env, "release", "activate", "degrading", "--force", "--reason", "tests")
        with running_service(env, folder / "service.log") as url:
            yield Service(url, env, folder)


def a_tenant(service: Service, *caps: str) -> tuple[str, str]:
    """A new tenant and a key of it."""
    tenant = f"t{uuid4().hex[:10]}"
    octant(service.env, "tenant", "create", tenant, "--day", "10", "--user-day", "10")
    if caps:
        octant(service.env, "budget", "set", tenant, *caps)
    return tenant, octant(service.env, "key", "create", tenant, "--name", "tests", "--quiet").strip()


def ask(service: Service, key: str, *contents: str, path: str = "/v1/chat/completions", **body: Any) -> tuple[int, Any, Any]:  # noqa: ANN401
    """Status, headers, body."""
    roles = ["user", "assistant"] * len(contents)
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    user = {} if path == "/v1/messages" else {"user": "ada"}
    data = json.dumps({"model": "smart", "messages": messages, **user, **body}).encode()
    request = urllib.request.Request(service.url + path, data, {"authorization": f"Bearer {key}"})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - loopback
            raw = answer.read()
            return answer.status, answer.headers, raw.decode() if body.get("stream") else json.loads(raw)
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            return error.code, error.headers, json.loads(error.read())


def test_over_the_cap_a_call_is_degraded_and_header_and_body_say_so(service: Service) -> None:
    _, key = a_tenant(service, "--day", "0.018")
    status, headers, body = ask(service, key, "old " * 300, "yes", "new", max_tokens=1000)
    assert status == 200
    assert headers["octant-degraded"] == "context_truncated"
    assert body["octant"] == {"degraded": ["context_truncated"]}
    _, key = a_tenant(service, "--day", "0.004")
    _, headers, body = ask(service, key, "new", max_tokens=1000)
    assert (headers["octant-degraded"], headers["octant-model"]) == ("output_shortened", "claude-sonnet-5-5")
    _, key = a_tenant(service, "--day", "0.0001")
    status, headers, body = ask(service, key, "new", max_tokens=1000, stream=True)
    assert headers["octant-degraded"] == "output_shortened,cheaper_model"
    assert headers["octant-model"] == "gpt-6-luna"
    assert '"octant": {"degraded": ["output_shortened", "cheaper_model"]}' in body or '"octant":{"degraded"' in body


def test_with_nothing_left_to_give_up_the_refusal_says_everything_in_both_envelopes(service: Service) -> None:
    tenant, key = a_tenant(service, "--day", "0.000002")
    status, headers, body = ask(service, key, "new", max_tokens=20)
    assert (status, body["error"]["code"], body["error"]["type"]) == (429, "budget_exceeded", "insufficient_quota")
    budget = body["error"]["budget"]
    assert (budget["scope"], budget["limit"], budget["spent"], budget["held"]) == ("tenant-day", 2, 0, 0)
    assert budget["needed"] > 2
    assert budget["resets_at"] > time.strftime("%Y-%m-%d")
    assert headers["retry-after"] is None  # it never fits
    assert headers["x-should-retry"] == "false"
    status, _, body = ask(service, key, "new", path="/v1/messages", max_tokens=20)
    assert (status, body["type"], body["error"]["code"]) == (429, "error", "budget_exceeded")
    assert tenant not in body["error"]["message"]
    bound = octant(service.env, "key", "create", tenant, "--name", "one", "--user", "ada", "--quiet").strip()
    status, _, body = ask(service, bound, "new", max_tokens=20)
    assert (status, body["error"]["budget"].keys()) == (429, budget.keys() - {"limit", "spent", "held"}), "a key of one user"
    assert "0.000002" not in body["error"]["message"]
    assert body["error"]["budget"]["resets_at"] == budget["resets_at"]


def test_the_user_whose_cap_refused_a_call_is_named_to_the_operator_alone(service: Service) -> None:
    """C4: in the records, and in the log by the name that `octant budget top` knows; the caller's words name no user."""
    tenant, key = a_tenant(service, "--user-day", "0.000002")
    for user, name in (("customer-7", "customer-7"), ("ada@example.com", "user#")):
        status, _, body = ask(service, key, "new", max_tokens=20, user=user)
        assert (status, body["error"]["budget"]["scope"]) == (429, "user-day")
        assert user not in body["error"]["message"]
        lines = [json.loads(line) for line in (service.folder / "service.log").read_text().splitlines() if '"call"' in line]
        (line,) = [one for one in lines if one["tenant"] == tenant and one.get("user", "").startswith(name)]
        assert line["scope"] == "user-day"
        assert "ada@" not in line["user"]
    until = time.monotonic() + 30
    while "customer-7" not in octant(service.env, "calls", "--tenant", tenant, "--outcome", "budget_exceeded"):
        assert time.monotonic() < until
        time.sleep(0.2)


def test_rate_limits_are_in_both_vendors_headers_and_refusals_have_retry_after(service: Service) -> None:
    _, key = a_tenant(service, "--requests-per-minute", "2", "--tokens-per-minute", "100000")
    status, headers, _ = ask(service, key, "hello", max_tokens=10)
    assert status == 200
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("2", "1")
    assert headers["x-ratelimit-reset-requests"].endswith("s")
    assert int(headers["x-ratelimit-remaining-tokens"]) < 100_000
    assert headers["anthropic-ratelimit-requests-limit"] == "2"
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    ask(service, key, "hello", max_tokens=10)
    status, headers, body = ask(service, key, "hello", max_tokens=10)
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(headers["retry-after"]) <= 30
    assert (headers["x-ratelimit-remaining-requests"], headers["x-should-retry"]) == ("0", "true")


def test_an_operator_sees_and_sets_caps_and_sees_the_worst_case(service: Service) -> None:
    tenant, key = a_tenant(service, "--day", "2.5", "--month", "20", "--request", "0.10", "--time-zone", "Europe/Berlin")
    octant(service.env, "budget", "set", tenant, "--user", "ada", "--day", "3")
    ask(service, key, "hello", max_tokens=10)
    shown = octant(service.env, "budget", "show", tenant, "--user", "ada")
    assert "tenant-month" in shown
    whose = {name: re.findall(rf"(?m)^{name} .* UTC(.*)$", shown) for name in ("tenant-day", "user-day", "user-month")}
    assert whose == {"tenant-day": [""], "user-day": [", ada"], "user-month": [", ada"]}
    assert "UTC, calls that name no user" in octant(service.env, "budget", "show", tenant)
    assert "cap     $3.00" in shown
    assert re.search(r"(?m)^request +cap     \$0\.10$", shown)
    worst = octant(service.env, "budget", "worst-case", tenant)
    assert "$2.50  tenant-day cap" in worst
    assert "app/budget/hold.lua" in worst
    assert "All tenants together" not in worst, "one tenant was asked for"
    assert re.search(r"(?m)^All tenants together: \$[\d,.]+", octant(service.env, "budget", "worst-case"))
    deadline = time.monotonic() + 120
    while tenant not in octant(service.env, "budget", "top", "--count", "1000"):
        assert time.monotonic() < deadline, "the call is not in the ledger"
    assert "ada" in octant(service.env, "budget", "top", tenant)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--day", "1.1234567"), "is not an amount in dollars"),
        (("--requests-per-minute", "0"), "is not a whole number above zero"),
        (("--time-zone", "Mars/Base"), "no time zone 'Mars/Base'"),
        (("--day", "none"), "always has a cap"),
        ((), "Nothing to set"),
    ],
)
def test_what_cannot_be_set_is_refused_in_a_sentence(
    service: Service, words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=message):
        octant(service.env, "budget", "set", a_tenant(service)[0], *words)
