"""Planted personal data and secrets are in no output (O9, S5).

They are planted wherever a caller can put text, and searched in logs, spans, records and metrics.

The service in two workers and a job worker run as chatty as they can: log level debug, content on spans, every trace sent.
"""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from conftest import ROOT, Simulator, running_service, running_worker
from otlp import Receiver, receiving
from products import WITH_EXAMPLE, probes
from redis import Redis
from sqlalchemy import create_engine, text

from app.security.redaction.detectors import luhn
from app.stack.embedded import free_port

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
FEEDBACK = "/v1/feedback"
MARK = "heliotrope"  # harmless, and sent beside each plant: a place without it was not searched

PATHS = ("/v1/{}", "/v1/models/{}", "/v1/jobs/{}", "/v1/jobs?after={}", "/v1/jobs?limit={}", "/v1/admin/calls/{}", "/?q={}")
TABLES = (
    "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace"
)

OWNER = "who owns the row: the shop, and the person who takes a case over, need the id that the tenant sent"
KEPT: Mapping[tuple[str, str], str] = {
    ("idempotency_keys", "headers"): "the answer, given again as it was (ADR 0010)",
    ("idempotency_keys", "body"): "the answer, given again as it was (ADR 0010)",
    ("jobs", "body"): "the request, to be made as it was sent; deleted when it is done (ADR 0011)",
    ("jobs", "headers"): "the answer, for who submitted it (ADR 0011)",
    ("jobs", "response"): "the answer, for who submitted it (ADR 0011)",
    ("jobs", "webhook_url"): "where to post to (ADR 0011)",
    ("jobs", "user"): OWNER,
    **{column: reason for each in probes() for column, reason in each.kept_as_sent.items()},
}


class Plants:
    """The plants and their places: each value once."""

    def __init__(self) -> None:
        self.places: dict[str, str] = {}

    def text(self, place: str) -> str:
        """A sentence with one plant of each type in it."""
        values = [self._email(place), self._card(place), self._phone(place), self.secret(place)]
        bearer = f"tok{len(self.places):06}abcdefgh12345678"
        self.places[bearer] = place
        return f"{MARK} {' and '.join(values)} with Bearer {bearer}"

    def secret(self, place: str) -> str:
        """An API key: a word that passes wherever identifiers do."""
        return self._note(f"sk-plant-{len(self.places):06}-abcdefgh12345678", place)

    def number(self, place: str) -> str:
        """A card's number in groups, which passes as an identifier too."""
        digits = self._card(place)
        del self.places[digits]
        return self._note("-".join(digits[i : i + 4] for i in range(0, 16, 4)), place)

    def _email(self, place: str) -> str:
        return self._note(f"eve{len(self.places)}@planted{len(self.places)}.example.org", place)

    def _phone(self, place: str) -> str:
        return self._note(f"+49 30 {len(self.places) + 2_000_000}", place)

    def _card(self, place: str) -> str:
        stem = f"411111{len(self.places):09}"
        return self._note(next(f"{stem}{last}" for last in range(10) if luhn(f"{stem}{last}")), place)

    def _note(self, value: str, place: str) -> str:
        self.places[value] = place
        return value

    def found_in(self, where: str) -> set[str]:
        """The places whose plants stand in a text."""
        return {place for value, place in self.places.items() if value in where}


@dataclass(frozen=True, slots=True)
class Deployment:
    url: str
    env: dict[str, str]
    logs: tuple[Path, ...]
    receiver: Receiver


@pytest.fixture(scope="module")
def deployment(stack_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("leaks")
    logs = (folder / "service.log", folder / "worker.log")
    ports = {name: str(free_port()) for name in ("OCTANT_PORT", "OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT")}
    with receiving() as receiver:
        chatty = {"OCTANT_LOG_LEVEL": "debug", "OCTANT_OTLP_ENDPOINT": receiver.endpoint, "OCTANT_OTLP_CONTENT": "true"}
        env = {**stack_env, **ports, **chatty}
        with running_service(env, logs[0]) as url, running_worker(env, logs[1]):
            yield Deployment(url, env, logs, receiver)


@pytest_asyncio.fixture(scope="module")
async def http(deployment: Deployment, api_key: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(deployment.url, headers={"authorization": f"Bearer {api_key}"}) as session:
        yield session


def chat(words: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {"model": "smart", "messages": [{"role": "user", "content": words}], **more}


def _headers(plant: Plants) -> Iterator[tuple[str, str]]:
    """Every header that we or others read, each with something planted."""
    for name in ("user-agent", "tracestate", "baggage", "cookie", "referer", "x-forwarded-for", "anthropic-version", "octant-x"):
        yield name, plant.text(f"header {name}")
    for name in ("authorization", "x-api-key", "traceparent", "octant-deadline-ms", "octant-when-limited", "content-type"):
        yield name, plant.text(f"header {name}")
    yield "authorization", f"Bearer {plant.secret('header authorization, a key')}"
    yield "x-request-id", plant.secret("header x-request-id, a key")
    yield "x-request-id", plant.number("header x-request-id, a card")
    yield "idempotency-key", plant.secret("header idempotency-key")


def _bodies(plant: Plants) -> Iterator[tuple[str, object]]:
    """Every kind of field, known and unknown, valid and not."""
    yield CHAT, chat(plant.text("chat, content"))
    yield CHAT, chat(plant.text("chat, streamed"), stream=True)
    yield CHAT, chat("hi", user=plant.text("chat, user")[:100])
    yield CHAT, chat("hi", user=plant.secret("chat, user that is a key"))
    yield CHAT, chat("hi", metadata={plant.secret("chat, metadata's name"): plant.text("chat, metadata")})
    yield CHAT, chat("hi", **{plant.text("chat, unknown field"): plant.text("chat, unknown field's value")})
    yield CHAT, {**chat("hi"), "model": plant.text("chat, model")}
    yield CHAT, {**chat("hi"), "messages": [{"role": plant.text("chat, role"), "content": "hi"}]}
    yield CHAT, chat("hi", stop=[plant.text("chat, stop")], seed=plant.text("chat, wrong type"))
    schema = {"type": "object", "properties": {plant.secret("schema, property"): {"type": "string"}}}
    named = {"name": plant.secret("schema, name"), "schema": schema}
    yield CHAT, chat("hi", response_format={"type": "json_schema", "json_schema": named})
    about = {"description": plant.text("tool, description"), "parameters": schema}
    yield CHAT, chat("hi", tools=[{"type": "function", "function": {"name": plant.secret("tool, name"), **about}}])
    arguments = json.dumps({plant.text("tool call, argument's name"): plant.text("tool call, argument")})
    used = {"id": plant.secret("tool call, id"), "type": "function", "function": {"name": "look", "arguments": arguments}}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [used]},
        {"role": "tool", "tool_call_id": used["id"], "content": plant.text("tool result")},
    ]
    yield CHAT, {**chat("hi"), "messages": turns}
    picture = {"type": "image_url", "image_url": {"url": f"https://x.example/{plant.secret('image, url')}.png"}}
    yield CHAT, {**chat("hi"), "messages": [{"role": "user", "content": [picture]}]}
    yield MESSAGES, chat(plant.text("messages, content"), max_tokens=64, system=plant.text("messages, system"))
    yield MESSAGES, chat("hi", max_tokens=64, metadata={"user_id": plant.text("messages, user_id")[:100]})
    yield MESSAGES + "/count_tokens", chat(plant.text("count_tokens"))
    for each in probes():
        yield from each.planted(plant)
    bad = {"rating": "bad", "comment": plant.text("feedback, comment"), "user": plant.secret("feedback, user")}
    yield FEEDBACK, {**bad, "request_id": plant.secret("feedback, request_id")}
    yield FEEDBACK, {"request_id": "some-request", "rating": plant.text("feedback, rating")}
    yield (
        FEEDBACK,
        {"request_id": "some-request", "rating": "bad", plant.secret("feedback, field"): plant.text("feedback, field's value")},
    )
    yield CHAT, b'{"model": "smart", "messages": [' + plant.text("malformed JSON").encode()
    yield CHAT, b"\xff\xfe" + plant.text("not UTF-8").encode()
    yield CHAT, plant.text("not an object")


async def test_what_is_planted_is_found_nowhere(
    deployment: Deployment, http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    plant = Plants()
    statuses = [await _post(http, CHAT, chat("hi"), {name: value}) for name, value in _headers(plant)]
    statuses += [await _post(http, path, body) for path, body in _bodies(plant)]
    for path in (
        "/v1/{}",
        "/v1/models/{}",
        "/v1/jobs/{}",
        "/v1/jobs?after={}",
        "/v1/jobs?limit={}",
        "/v1/admin/calls/{}",
        "/?q={}",
    ):
        async with http.get(path.format(plant.secret(f"path {path}"))) as answer:
            statuses.append(answer.status)
    for status in (200, 400, 401, 429, 500):
        simulator.put_faults({"kind": "echo", "status": status})
        for path, more in ((CHAT, {}), (CHAT, {"stream": True}), (MESSAGES, {"max_tokens": 64})):
            words = f"{plant.text(f'echoed with {status}')} {plant.secret(f'echoed as a word with {status}')}"
            statuses.append(await _post(http, path, chat(words, **more)))
    simulator.clear()
    statuses += [await _submit(http, plant)]
    assert {200, 202, 400, 401, 404} <= set(statuses) <= {200, 202, 400, 401, 403, 404, 422, 502, 503}, "all of it reached code"
    last = await _last_call(deployment, http)

    await asyncio.to_thread(deployment.receiver.trace, last, lambda names: f"POST {CHAT}" in names)
    spans = [span.whole for span in deployment.receiver.wait(lambda _: True)]
    logs = {path.name: path.read_text() for path in deployment.logs}
    logs["scorer"] = await asyncio.to_thread(_scored, deployment.env)
    rows = await asyncio.to_thread(_rows, deployment.env["OCTANT_DATABASE_URL"])
    metrics = [await asyncio.to_thread(_metrics, deployment.env[name]) for name in _METRICS]
    assert MARK in "".join(spans), "content is on spans"
    assert MARK in rows["calls"], "and in records"
    assert MARK in rows["eval_candidates"] or not WITH_EXAMPLE, "and in what the evals make of them"
    assert all('"level": "debug"' in logs[path.name] for path in deployment.logs), "as chatty as they can be"
    counters = await asyncio.to_thread(_valkey_keys, deployment.env["OCTANT_VALKEY_URL"])
    assert "user:user#" in counters, "a user is counted under a pseudonym"
    looked_at = {"counters": counters, **logs, **rows, "spans": "\n".join(spans), "metrics": "\n".join(metrics)}
    leaks = {where: found for where, what in looked_at.items() if (found := plant.found_in(what))}
    assert leaks == {}


def _valkey_keys(url: str) -> str:
    """The names of all keys."""
    with Redis.from_url(url, decode_responses=True) as valkey:
        return "\n".join(str(name) for name in valkey.scan_iter(count=1000))


def _scored(env: Mapping[str, str]) -> str:
    """The output of a round of scoring."""
    command, at_once = [sys.executable, "-m", "evals", "online", "--once"], {"OCTANT_EVALS__LATE": "0"}
    run = subprocess.run(command, cwd=ROOT, env={**env, **at_once}, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout + run.stderr


_METRICS = ("OCTANT_METRICS_PORT", "OCTANT_WORKER_METRICS_PORT")


async def test_a_line_for_each_request_and_each_call_with_its_ids(
    deployment: Deployment, http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    async with http.post(CHAT, json=chat("hello")) as answer:
        ids = {"request_id": answer.headers["x-request-id"], "trace_id": answer.headers["octant-trace-id"]}
    lines = await asyncio.to_thread(_lines_with, deployment, ids["request_id"], "request")
    mine = [line for line in lines if line.get("request_id") == ids["request_id"]]
    assert [line["event"] for line in mine if line["level"] == "info"] == ["call", "request"]
    assert all(line["trace_id"] == ids["trace_id"] for line in mine)
    assert all({"event", "level", "logger", "timestamp"} <= line.keys() for line in lines), "of every process and library"
    assert {"gunicorn.error", "uvicorn.error"} <= {line["logger"] for line in lines}


def _lines_with(deployment: Deployment, request_id: str, event: str) -> list[dict[str, Any]]:
    """All log lines of all processes, once there is one of ``event``.

    A request's line is written after its answer has been sent.
    """
    for _ in range(100):
        lines = [json.loads(line) for log in deployment.logs for line in log.read_text().splitlines()]
        if any(line.get("request_id") == request_id and line["event"] == event for line in lines):
            return lines
        time.sleep(0.05)
    pytest.fail("no such line")


async def _post(http: aiohttp.ClientSession, path: str, body: object, headers: Mapping[str, str] | None = None) -> int:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with http.post(path, data=data, headers=headers) as answer:
        await answer.read()
        return answer.status


async def _submit(http: aiohttp.ClientSession, plant: Plants) -> int:
    """A job with everything planted, run to its end; and one whose webhook's address is refused."""
    wanted = {"path": CHAT, "body": chat(plant.text("job, body")), "webhook_url": f"https://x.example/{plant.secret('webhook')}"}
    await _post(http, "/v1/jobs", {**wanted, "webhook_url": f"http://{plant.secret('webhook, refused')}"})
    await _post(http, "/v1/jobs", {**wanted, "path": plant.text("job, path")[:100]})
    async with http.post("/v1/jobs", json=wanted, headers={"idempotency-key": plant.secret("job, idempotency-key")}) as answer:
        job, status = (await answer.json())["id"], answer.status
    for _ in range(200):
        async with http.get(f"/v1/jobs/{job}") as answer:
            if (await answer.json())["state"] == "succeeded":
                return status
        await asyncio.sleep(0.1)
    pytest.fail("the job did not end")


async def _last_call(deployment: Deployment, http: aiohttp.ClientSession) -> str:
    """Make one more call and wait for its record. Returns its trace id.

    All earlier records are there then.
    """
    async with http.post(CHAT, json=chat("the last one")) as answer:
        trace = answer.headers["octant-trace-id"]
    engine = create_engine(deployment.env["OCTANT_DATABASE_URL"])
    with engine.connect() as connection:
        for _ in range(100):
            if connection.scalar(text("SELECT count(*) FROM calls WHERE trace_id = :trace"), {"trace": trace}):
                break
            await asyncio.sleep(0.1)
            connection.rollback()
        await asyncio.sleep(1)  # the other worker's records come within as much
    engine.dispose()
    return trace


def _rows(database: str) -> dict[str, str]:
    """All rows of all tables as JSON text, without the columns that are kept as sent."""
    engine = create_engine(database)
    found = {}
    with engine.connect() as connection:
        for table in connection.scalars(text(TABLES)).all():
            rows = connection.scalars(text(f'SELECT row_to_json(t) FROM "{table}" t')).all()  # noqa: S608 - our own names
            kept = {column for of_table, column in KEPT if of_table == table}
            assert all(kept <= row.keys() for row in rows), f"{table} has no column {kept}"
            found[table] = "\n".join(
                json.dumps({k: v for k, v in row.items() if k not in kept}, ensure_ascii=False) for row in rows
            )
    engine.dispose()
    assert {table for table, _ in KEPT} <= found.keys()
    return found


def _metrics(port: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=120) as answer:
        return str(answer.read().decode())
