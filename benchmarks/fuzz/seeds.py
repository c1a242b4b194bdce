"""Valid requests of every route, as the start of the fuzz. A route without one of its own gets an empty body."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.fuzz.case import Case
from benchmarks.products import REQUESTS

Json = dict[str, Any]
IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA: Json = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]", "maxLength": 40}, "n": {"type": "integer", "minimum": 0}},
    "required": ["name", "n"],
    "additionalProperties": False,
}
HELLO = {"role": "user", "content": "Say hello."}
FUNCTION = {"name": "look_up", "description": "Look up an order.", "strict": True, "parameters": SCHEMA}
CHAT: tuple[Json, ...] = (
    {"model": "fast", "messages": [HELLO]},
    {
        "model": "smart",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}},
                ],
            },
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 7,
        "user": "fuzz-user",
        "metadata": {"a": "b"},
    },
    {
        "model": "fast",
        "messages": [
            HELLO,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"name":"A","n":1}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "found"},
        ],
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    },
    {
        "model": "fast",
        "messages": [HELLO],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}},
    },
)
MESSAGES: tuple[Json, ...] = (
    {"model": "fast", "max_tokens": 50, "messages": [HELLO]},
    {
        "model": "smart",
        "max_tokens": 50,
        "stream": True,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t1", "name": "look_up", "input": {"name": "A", "n": 1}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "found"}]},
        ],
        "tools": [{"name": "look_up", "description": "Look up.", "input_schema": SCHEMA}],
        "tool_choice": {"type": "auto"},
        "stop_sequences": ["END"],
        "metadata": {"user_id": "fuzz-user"},
        "temperature": 0.5,
    },
)
RESPONSES: tuple[Json, ...] = (
    {"model": "fast", "input": "Say hello."},
    {
        "model": "smart",
        "stream": True,
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is it?"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "x"},
            {"type": "function_call", "call_id": "c1", "name": "look_up", "arguments": '{"name":"A","n":1}'},
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "found"}]},
        ],
        "tools": [{"type": "function", **FUNCTION}, {"type": "custom", "name": "note"}, {"type": "web_search"}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look_up"}]},
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 50,
        "user": "fuzz-user",
    },
)
COUNTED = ("model", "messages", "system", "tools")
JOB = {"path": "/v1/chat/completions", "body": CHAT[0], "deadline_ms": 5000}
SEARCHES = (
    b"limit=5&sort=cost&ascending=true&at_least=cost=0&at_most=latency_ms=1000000",
    b"tenant=acme&since=2026-01-01T00:00:00Z&until=2099-01-01&text=shipping&failed=false&stream=true&user=ada",
)


def seeds(url: str, admin_url: str, key: str) -> list[Case]:
    """Every seed, each route's, with ids that exist."""
    about = ((b"host", b"127.0.0.1"), (b"x-api-key", key.encode()), (b"content-type", b"application/json"))

    def get(path: str, port: str = "public") -> Case:
        return Case(target=path.encode(), headers=about, port=port)

    def post(path: str, tree: Any) -> Case:  # noqa: ANN401 - any JSON
        return Case(method=b"POST", target=path.encode(), headers=about, tree=tree)

    products = [(path, body, _ask(url + path, key, body)) for path, body in REQUESTS.values() if not body.get("stream")]
    described = _ask(url + "/openapi.json", key)
    job = _ask(url + "/v1/jobs", key, JOB)["id"]
    known = _record(admin_url, key)
    found = [
        *(post("/v1/chat/completions", tree) for tree in CHAT),
        *(post("/v1/messages", tree) for tree in MESSAGES),
        *(post("/v1/responses", tree) for tree in RESPONSES),
        *(post("/v1/messages/count_tokens", {k: v for k, v in tree.items() if k in COUNTED}) for tree in MESSAGES),
        *(post(path, body) for path, body in REQUESTS.values()),
        *(post(target, body) for request in products for target, body in _follow_ups(described, *request)),
        post("/v1/jobs", JOB),
        *(
            post("/v1/jobs", {"path": p, "body": b, "webhook_url": "https://127.0.0.1/hook"})
            for p, b in [*REQUESTS.values()][-1:]
        ),
        get("/v1/jobs?limit=5&after=" + job),
        get(f"/v1/jobs/{job}"),
        post(f"/v1/jobs/{job}/cancel", None),
        post("/v1/feedback", {"request_id": "req_0123456789abcdef", "rating": "bad", "comment": "It was wrong.", "user": "ada"}),
        *(get(path) for path in ("/v1/models", "/v1/models/fast", "/livez", "/readyz", "/version", "/openapi.json")),
        *(get(f"/v1/admin/calls{verb}?{search.decode()}", "admin") for verb in ("", "/export") for search in SEARCHES),
        get(f"/v1/admin/calls/{known['id']}", "admin"),
        get(f"/v1/admin/traces/{known['trace_id']}", "admin"),
        Case(target=b"/metrics", headers=about[:1], port="metrics"),
    ]
    covered = [(seed.method.decode(), seed.target.decode().partition("?")[0]) for seed in found]
    for path, item in described["paths"].items():
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))
        for method in item:
            if not any(method.upper() == known_method and re.fullmatch(pattern, target) for known_method, target in covered):
                concrete, port = re.sub(r"\{[^}]*\}", "x", path), "admin" if path.startswith("/v1/admin") else "public"
                new = Case(method=method.upper().encode(), target=concrete.encode(), headers=about, port=port)
                found.append(
                    new if method == "get" else Case(method=new.method, target=new.target, headers=about, tree={}, port=port)
                )
    return found


def _follow_ups(described: Json, path: str, body: Json, answer: Json) -> Iterator[tuple[str, Json]]:
    """The requests that an answer makes possible: ``/v1/shop/actions/{action_id}/confirm`` where ``actions`` have ids.

    Of the fields that such a path takes, those of the offer and of the request are sent.
    """
    folder = path.rpartition("/")[0]
    for target, item in described["paths"].items():
        parameter = re.search(r"\{(\w+)_id\}", target)
        if not parameter or "post" not in item or not target.startswith(f"{folder}/{parameter[1]}s/"):
            continue
        for offer in answer.get(f"{parameter[1]}s") or ():
            fields = {"token": offer.get("token"), "user": body.get("user")}
            yield target.replace(parameter[0], offer["id"]), {name: value for name, value in fields.items() if value}


def _record(admin_url: str, key: str) -> Json:
    """A call's record, once one is there."""
    for _ in range(100):
        found: list[Json] = _ask(admin_url + "/v1/admin/calls?limit=1", key)["data"]
        if found:
            return found[0]
        time.sleep(0.1)
    raise SystemExit("No record of a call came within ten seconds.")


def _ask(url: str, key: str, body: Mapping[str, Any] | None = None) -> Json:
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode())  # noqa: S310 - loopback
    request.add_header("x-api-key", key)
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        parsed: Json = json.loads(answer.read())
        return parsed
