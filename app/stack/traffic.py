"""What the demo shows: the address, the key, three requests to copy, and a little mixed traffic with its real answers."""

import http.client
import json
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.domain.errors import Misconfigured
from app.stack.processes import Watched

CHAT, MESSAGES, ANSWER, TICKETS = "/v1/chat/completions", "/v1/messages", "/v1/support/answer", "/v1/support/tickets"


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of the sample traffic."""

    what: str
    path: str
    body: Mapping[str, Any]
    tenant: str = "acme"
    status: int = 200


def _chat(text: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {"model": "smart", "messages": [{"role": "user", "content": text}], **more}


SAMPLES = (
    Sample("chat", CHAT, _chat("Say hello to the team.")),
    Sample("chat, streamed", CHAT, _chat("Count to five.", stream=True)),
    Sample("chat, other route", CHAT, {**_chat("One word for rain?"), "model": "fast"}),
    Sample("messages", MESSAGES, _chat("Say hello.", max_tokens=64)),
    Sample("messages, streamed", MESSAGES, _chat("Say hello twice.", max_tokens=64, stream=True)),
    Sample("answer from an article", ANSWER, {"question": "How long does standard shipping take?", "user": "ada"}),
    Sample("answer with a tool", ANSWER, {"question": "Where is my order NW-10001?", "user": "ada"}),
    Sample("answer, streamed", ANSWER, {"question": "How do I return boots?", "user": "grace", "stream": True}),
    Sample("handed over", ANSWER, {"question": "Which horse will win the derby on Sunday?", "user": "grace"}),
    Sample("ticket", TICKETS, {"text": "My tent from order NW-10001 arrived torn, I want my money back now!", "user": "ada"}),
    Sample("unknown model", CHAT, {**_chat("hello"), "model": "gpt-1"}, status=404),
    Sample("over a tiny cap", CHAT, _chat("hello"), tenant="tiny", status=429),
    Sample("not a key", CHAT, _chat("hello"), tenant="nobody", status=401),
)


def wait_until_ready(url: str, service: Watched, seconds: float) -> None:
    """Poll `/readyz`. Raises Misconfigured with the log's end if the service dies or takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and service.alive():
        try:
            status, _, _ = _request("GET", url, "/readyz", None, {})
        except (OSError, http.client.HTTPException):
            status = 0
        if status == 200:
            return
        time.sleep(0.03)
    raise Misconfigured(f"The service did not become ready. Its log ends:\n{service.last_lines()}")


def introduce(url: str) -> None:
    """Print three requests to copy, for a shell in which KEY is set."""
    for sample in (SAMPLES[0], SAMPLES[5], SAMPLES[9]):
        print(f"""\ncurl -s {url}{sample.path} -H "authorization: Bearer $KEY" -d {shlex.quote(json.dumps(sample.body))}""")


def send(url: str, keys: Mapping[str, str]) -> bool:
    """Send the samples and print what came back. Returns whether each was answered as it should be."""
    print(f"{'sample':24} {'status':>6} {'ms':>6}  {'model':20} {'cost $':>9}  answer", flush=True)
    expected = True
    for sample in SAMPLES:
        started = time.monotonic()
        headers = {"authorization": f"Bearer {keys.get(sample.tenant, 'oct_00000000_nothing')}"}
        try:
            status, got, body = _request("POST", url, sample.path, json.dumps(sample.body).encode(), headers)
        except (OSError, http.client.HTTPException) as error:
            status, got, body = 0, {}, json.dumps({"error": {"message": f"no answer: {type(error).__name__}"}})
        took = (time.monotonic() - started) * 1000
        cost, model = got.get("octant-cost-usd", "") or "-", got.get("octant-model", "") or "-"
        told = _gist(body) + ("" if status == sample.status else f" (expected: {sample.status})")
        print(f"{sample.what:24} {status or '-':>6} {took:>6.0f}  {model:20} {cost:>9}  {told}", flush=True)
        expected &= status == sample.status
    return expected


def _request(method: str, url: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request(method, path, body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def _gist(body: str) -> str:
    """The first words of an answer, whatever its form."""
    try:
        told = json.loads(body)
    except ValueError:
        return f"{body.count('data: ')} events"
    flat = " ".join(_words(told).split()) or "(no words)"
    return flat if len(flat) <= 70 else flat[:69] + "…"


def _words(told: Mapping[str, Any]) -> str:
    """The text in an answer; a model may have sent none (a tool call, a refusal)."""
    if "error" in told:
        return str(told["error"]["message"])
    if "choices" in told:
        return str(told["choices"][0]["message"].get("content") or "")
    if isinstance(told.get("content"), list):
        return " ".join(str(block.get("text", "")) for block in told["content"])
    return str(told.get("answer") or (told.get("handover") or {}).get("reason") or told.get("summary") or "")
