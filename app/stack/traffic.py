"""The demo's sample traffic with its real answers, and requests to copy."""

import http.client
import json
import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from app.domain.errors import Misconfigured
from app.features.feature import Sample
from app.features.installed import installed
from app.stack.processes import Watched
from app.stack.setup import TINY

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
UNKNOWN = "unknown"  # a tenant whose key no service knows


def _chat(text: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {"model": "smart", "messages": [{"role": "user", "content": text}], **more}


def samples() -> tuple[Sample, ...]:
    """The demo's requests: the vendors' APIs, each product's, and one refusal of each kind."""
    return (
        Sample("chat", CHAT, _chat("Say hello to the team."), shown=True),
        Sample("chat, streamed", CHAT, _chat("Count to five.", stream=True)),
        Sample("chat, other route", CHAT, {**_chat("One word for rain?"), "model": "fast"}),
        Sample("messages", MESSAGES, _chat("Say hello.", max_tokens=64)),
        Sample("messages, streamed", MESSAGES, _chat("Say hello twice.", max_tokens=64, stream=True)),
        Sample("responses", RESPONSES, {"model": "smart", "input": "Say hello."}),
        *(sample for feature in installed() for sample in feature.samples),
        Sample("unknown model", CHAT, {**_chat("hello"), "model": "gpt-1"}, status=404),
        Sample("over a tiny cap", CHAT, _chat("hello"), tenant=TINY, status=429),
        Sample("not a key", CHAT, _chat("hello"), tenant=UNKNOWN, status=401),
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
    """Print requests to copy, for a shell in which KEY is set."""
    for sample in (sample for sample in samples() if sample.shown):
        print(f"""\ncurl -s {url}{sample.path} -H "authorization: Bearer $KEY" -d {shlex.quote(json.dumps(sample.body))}""")


def send(url: str, keys: Mapping[str, str], tenant: str, *, whole: bool = False) -> bool:
    """Send the samples, as ``tenant`` where they name none, and print a line for each answer.

    ``whole``: then print the answers to the shown samples as they came. Returns whether each had its expected status.
    """
    print(f"{'sample':24} {'status':>6} {'ms':>6}  {'model':20} {'cost $':>9}  answer", flush=True)
    expected, answers = True, list[str]()
    for sample in samples():
        started = time.monotonic()
        key = keys.get(sample.tenant or tenant, "oct_00000000_nothing")
        try:
            status, got, body = post(url, sample.path, json.dumps(sample.body).encode(), key)
        except (OSError, http.client.HTTPException) as error:
            status, got, body = 0, {}, json.dumps({"error": {"message": f"no answer: {type(error).__name__}"}})
        took = (time.monotonic() - started) * 1000
        cost, model = got.get("octant-cost-usd", "") or "-", got.get("octant-model", "") or "-"
        gist = _gist(body, sample.words) + ("" if status == sample.status else f" (expected: {sample.status})")
        print(f"{sample.title:24} {status or '-':>6} {took:>6.0f}  {model:20} {cost:>9}  {gist}", flush=True)
        expected &= status == sample.status
        if whole and sample.shown:
            answers.append(
                f"\nPOST {sample.path} {json.dumps(sample.body, ensure_ascii=False)}\nanswered {status}: {_readable(body)}"
            )
    print("\n".join(answers), flush=True)
    return expected


def post(url: str, path: str, body: bytes, key: str) -> tuple[int, dict[str, str], str]:
    """Send one request. Returns its status, headers in lower case and body. Raises OSError or HTTPException without an answer."""
    return _request("POST", url, path, body, {"authorization": f"Bearer {key}"})


def _request(method: str, url: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request(method, path, body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def _readable(body: str) -> str:
    """An answer with an indent, if it is JSON."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def _gist(body: str, fields: Sequence[str] = ()) -> str:
    """The first words of an answer, whatever its form."""
    try:
        answer = json.loads(body)
    except ValueError:
        return f"{body.count('data: ')} events"
    flat = " ".join(_text_of(answer, fields).split()) or "(no text)"
    return flat if len(flat) <= 70 else flat[:69] + "…"


def _text_of(answer: Mapping[str, Any], fields: Sequence[str]) -> str:
    """The text in an answer; a model may have sent none (a tool call, a refusal). ``fields``: where a product has it."""
    if answer.get("error"):  # a response has the field always
        return str(answer["error"]["message"])
    if "choices" in answer:
        return str(answer["choices"][0]["message"].get("content") or "")
    items = [answer, *(item for item in answer.get("output") or () if isinstance(item, dict))]
    if contents := [item["content"] for item in items if isinstance(item.get("content"), list)]:
        return " ".join(str(block.get("text", "")) for content in contents for block in content)
    return next((text for text in (_at(answer, field) for field in fields) if text), "")


def _at(value: Any, field: str) -> str:  # noqa: ANN401 - any JSON
    """The text under a name; a dot leads into an object."""
    for name in field.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return str(value or "")
