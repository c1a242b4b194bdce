"""The whole API against its own description: its statuses, envelopes, content types and scopes are true (S8).

Requests are generated from the document by schemathesis, valid and invalid ones, the same in every run.
"""

import json
import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from conftest import Simulator, octant
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi import checks

from app.domain.errors import ContentRefused
from app.edge.errors import TABLE
from app.features.installed import installed

ROOMS = ("responses", *(feature.name for feature in installed()), "jobs", "feedback")
EXAMPLES = 8  # of each kind and operation
PROMISES = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
WELL_FORMED = ("x" * 4000, "%f0%9f%8e%89", "%27%22%3b--")
OPEN = {"/livez", "/readyz", "/version"}  # monitoring has no key
OWN_TOKEN = {
    "/v1/admin/alertmanager",
    "/v1/hooks/pagerduty",
}  # no API key: tests/unit/edge/test_alertmanager.py, test_pagerduty.py


@pytest.fixture(scope="session")
def document(service_url: str) -> dict[str, Any]:
    return json.loads(ask(service_url, "GET", "/openapi.json")[1])  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def schema(service_url: str) -> BaseSchema:
    """Read once: it is the same for all paths."""
    return schemathesis.openapi.from_url(f"{service_url}/openapi.json")


@pytest.fixture(scope="session")
def keys(stack_env: dict[str, str]) -> dict[str, str]:
    """A key of each scope alone, and one that has all, of a tenant of their own."""
    octant(stack_env, "tenant", "create", "fuzz", "--day", "1000", "--user-day", "1000")
    scopes = {"call": ["call"], "read": ["read"], "admin": ["admin"], "all": ["call", "read", "admin"]}
    options = {name: [word for scope in given for word in ("--scope", scope)] for name, given in scopes.items()}
    return {name: octant(stack_env, "key", "create", "fuzz", "--name", name, "-q", *o).strip() for name, o in options.items()}


def ask(url: str, method: str, path: str, *, key: str | None = None, body: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url + path, data=body, method=method)  # noqa: S310 - loopback
    if key:
        request.add_header("x-api-key", key)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "paths",
    [
        "^/v1/chat",
        "^/v1/messages$",
        "^/v1/messages/",
        *(f"^/v1/{name}" for name in ROOMS),
        "^/v1/admin/(?!alarm-test)",  # that one breaks on purpose
        f"^/(?!v1/(chat|messages|admin|{'|'.join(ROOMS)}))",
    ],
)
def test_no_request_is_answered_500_or_otherwise_than_described(
    schema: BaseSchema, keys: dict[str, str], simulator: Simulator, paths: str
) -> None:
    broken: dict[str, str] = {}
    answered: Counter[str] = Counter()
    for found in schema.include(path_regex=paths).get_all_operations():
        operation = found.ok()  # type: ignore[union-attr] # Err would raise by itself, and so it should
        for mode in GenerationMode:

            @settings(
                max_examples=EXAMPLES,
                derandomize=True,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def send(case: schemathesis.Case[Any]) -> None:
                answer = case.call(session=session, headers={"x-api-key": keys["all"]}, timeout=120)
                if answer.status_code in (503, 504):  # of a busy machine: a request that causes it does so again
                    answer = case.call(session=session, headers={"x-api-key": keys["all"]}, timeout=120)
                answered[case.operation.label] += 1
                gave_up = answer.status_code == 504 and "octant-deadline-ms" in answer.request.headers  # milliseconds of its own
                promises = [check for check in PROMISES if not (gave_up and check is not_a_server_error)]
                try:
                    case.validate_response(answer, checks=promises)
                except FailureGroup as failures:
                    broken[f"{case.operation.label}: {failures}"[:2000]] = case.as_curl_command()

            with requests.Session() as session:
                send()
    assert broken == {}
    assert answered
    assert min(answered.values()) >= EXAMPLES


def test_every_operation_needs_the_scope_it_says_and_refuses_a_key_without_it(
    service_url: str, document: dict[str, Any], keys: dict[str, str]
) -> None:
    """S6: 401 without a key, 403 with one of another scope, each in its vendor's envelope."""
    seen: dict[str, set[str]] = {}
    for method, path, operation in operations(document):
        if path in OPEN:
            assert "security" not in operation
            continue
        if path in OWN_TOKEN:
            assert (
                ask(service_url, method, path, body=b"{}")[0]
                == ask(service_url, method, path, key=keys["all"], body=b"{}")[0]
                == 403
            )
            continue
        wanted = set(operation["security"][0]["bearer"])
        seen[f"{method} {path}"] = wanted
        concrete, body = path.replace("{", "").replace("}", ""), b"{}" if method == "POST" else None
        status, answer = ask(service_url, method, concrete, body=body)
        assert (status, json.loads(answer)["error"]["code"]) == (401, "invalid_api_key"), path
        for scope in ("call", "read", "admin"):
            status, answer = ask(service_url, method, concrete, key=keys[scope], body=body)
            if scope in wanted:
                assert status not in (401, 403), (path, scope)
                continue
            assert (status, json.loads(answer)["error"]["code"]) == (403, "permission_denied"), (path, scope)
            anthropics = path.startswith(("/v1/messages", "/v1/models"))  # the latter for a key that came as x-api-key
            assert json.loads(answer).get("type") == ("error" if anthropics else None)
    assert seen["POST /v1/chat/completions"] == {"call"}
    assert seen["GET /v1/admin/calls"] == {"admin", "read"}
    assert all("call" not in scopes for at, scopes in seen.items() if " /v1/admin" in at)


@pytest.mark.parametrize("hostile", ["%00", "a%00b", "%1f", "%7f", "%ed%a0%80", "%ff", *WELL_FORMED])
def test_no_id_in_a_path_or_query_reaches_a_store_that_cannot_hold_it(
    service_url: str, document: dict[str, Any], keys: dict[str, str], hostile: str
) -> None:
    """An unknown id is not found; a query with such a value is refused.

    Neither is a fault of the service, or a reason to try again.
    """
    tried = 0
    for method, path, operation in operations(document):
        inside = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
        if inside:
            concrete = re.sub(r"\{[^}]*\}", hostile, path)
            answer = ask(service_url, method, concrete, key=keys["all"], body=b'{"token": "x"}' if method == "POST" else None)
            if "/traces/" in path and hostile in WELL_FORMED:  # a trace of which there is no record has no calls
                assert (answer[0], json.loads(answer[1])) == (200, {"data": []})
            else:
                assert (answer[0], json.loads(answer[1])["error"]["code"]) == (404, "not_found"), concrete
            tried += 1
        for name in (p["name"] for p in operation.get("parameters", []) if p["in"] == "query"):
            status, body = ask(service_url, method, f"{path.replace('{', '').replace('}', '')}?{name}={hostile}", key=keys["all"])
            assert status in ((200, 400, 404) if hostile in WELL_FORMED else (400, 404)), (path, name, body)
            tried += 1
    assert tried > 20


@pytest.mark.parametrize(
    "query",
    ["limit=1e400", "limit=-1", "limit=99999999999999999999999", "limit=true", "limit=", "stream=2", "failed=maybe", "after=AAAA",
     "after=" + "A" * 4000, "since=0000-01-01", "since=9999999", "since=inf", "since=nan", "since=-inf", "since=1e400",
     "since=-1e15", "since=0001-01-01T00:00:00%2B14:00", "until=9999-12-31T23:59:59-14:00", "until=0001-01-01T00:00:00%2B14:00",
     "since=9999-12-31T23:59:59-14:00", "since=0001-01-01T00:00:00%2B14:00&until=9999-12-31T23:59:59-14:00",
     "at_least=cost=1e308", "at_least=cost=inf", "at_least=latency_ms=-1e308", "at_most=held=1e30", "at_least=" + "9" * 400,
     "at_least=fallbacks=" + "9" * 400, "sort=id", "ascending=2", "text=%22", "text=-", "text=%5c%5c%27", "user=" + "u" * 3000,
     "degraded=%25", "trace_id=%2e%2e%2f"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/admin/calls", "/v1/admin/calls/export", "/v1/jobs"])
def test_a_search_with_values_out_of_range_is_answered_or_refused(
    service_url: str, keys: dict[str, str], path: str, query: str
) -> None:
    status, answer = ask(service_url, "GET", f"{path}?{query}", key=keys["all"])
    assert status in (200, 400), answer


@pytest.mark.parametrize("url", ["https://[", "https://[::1", "https://[abc]/", "https://a.example/\x00", "\x00", "https://a:b/"])
def test_a_webhook_address_that_is_none_is_refused_by_name(service_url: str, keys: dict[str, str], url: str) -> None:
    job = {"path": "/v1/chat/completions", "body": {"model": "fast", "messages": []}, "webhook_url": url}
    status, answer = ask(service_url, "POST", "/v1/jobs", key=keys["all"], body=json.dumps(job).encode())
    assert (status, json.loads(answer)["error"]["param"]) == (400, "webhook_url")


def test_every_error_of_the_table_is_described_where_it_can_happen(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/messages"]["post"]["responses"]
    for kind, row in TABLE.items():
        assert f"`{kind.code}`" in responses[str(row.status)]["description"]
        schema = responses[str(row.status)]["content"]["application/json"]["schema"]["properties"]
        assert kind.code in schema["error"]["properties"]["code"]["enum"]
        assert schema["type"] == {"const": "error"}
    reading = document["paths"]["/v1/models"]["get"]["responses"]
    assert not any(f"`{ContentRefused.code}`" in response["description"] for response in reading.values())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"x": ' + b"[" * 100 + b"]" * 100 + b"}", "The body is nested more than 64 deep."),
        (b'{"x": 1e400}', "The body holds a number that is none or too large: NaN, an infinity, or one of over 400 digits."),
    ],
    ids=["depth", "number"],
)
def test_too_deep_a_body_is_refused_by_every_route_that_takes_one(
    service_url: str, document: dict[str, Any], keys: dict[str, str], body: bytes, message: str
) -> None:
    """S8: deeper than is allowed, not so deep that the parser itself gives up; and what no vendor could read."""
    taking = [path for method, path, operation in operations(document) if method == "POST" and "requestBody" in operation]
    taking = [path for path in taking if path not in OWN_TOKEN]
    assert len(taking) >= 6
    for path in taking:
        status, answer = ask(service_url, "POST", path.replace("{number}", "1"), key=keys["all"], body=body)
        assert (status, json.loads(answer)["error"]["message"]) == (400, message), path


def test_every_route_and_every_early_error_carries_its_ids(
    service_url: str, document: dict[str, Any], keys: dict[str, str]
) -> None:
    """G10: with and without a key, on valid and invalid requests.

    The invalid ones have a wrong body, a wrong method or an unknown path.
    """
    trace = "7af92f3577b34da6a3ce929d0e0e4736"
    head = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    statuses: Counter[int] = Counter()

    def look(method: str, path: str, *, body: bytes | None = None, **headers: str) -> None:
        sent = head | {name.replace("_", "-"): value for name, value in headers.items()}
        answer = requests.request(method, service_url + path, data=body, headers=sent, timeout=120)
        statuses[answer.status_code] += 1
        found = answer.headers.get("octant-trace-id", "")
        assert found == trace or (path in OPEN and len(found) == 32), (method, path, answer.status_code)
        assert answer.headers["x-request-id"]
        assert answer.headers["request-id"]

    for method, template, _ in operations(document):
        path = "/".join("none" if part.startswith("{") else part for part in template.split("/"))
        look(method, path)
        look(method, path, body=b"{", x_api_key=keys["all"])
        look(method, path, body=b"[" * 300 + b"]" * 300, x_api_key=keys["all"])
        look("PATCH", path, x_api_key=keys["all"])
        look(method, path + "/none/none", x_api_key=keys["all"])
        look(method, path, body=b"{}", x_api_key=keys["all"], octant_deadline_ms="soon")
    look("POST", "/v1/chat/completions", body=b" " * (5 << 20), x_api_key=keys["all"])
    look("GET", "/v1/models?" + "x" * 20_000, x_api_key=keys["all"])
    look("POST", "/v1/chat/completions", body=b"{}", x_api_key=keys["all"], idempotency_key="two words")
    job = {"path": "/v1/chat/completions", "body": {"model": "smart", "messages": [{"role": "user", "content": "hi"}]}}
    look("POST", "/v1/jobs", body=json.dumps(job).encode(), x_api_key=keys["all"])
    assert {202, 400, 401, 404, 405, 413, 414} <= set(statuses), statuses
