"""Runs the capabilities of a Python client, and writes one line of JSON for each.

A driver is run by its client's own interpreter: nothing of the project is imported here.
"""

import asyncio
import base64
import inspect
import json
import os
import signal
import sys
import traceback
import urllib.request
from collections.abc import Callable
from hashlib import sha256
from typing import Any

URL = os.environ["OCTANT_URL"]
KEY = os.environ["OCTANT_KEY"]
EMBEDDER = os.environ["OCTANT_EMBEDDER"]
SECONDS = 90
SHOWN = 600  # characters of a failure: its end, where chained errors say the reason
_LOOP = asyncio.new_event_loop()  # one for all: clients keep connections open
_FOUND: list[tuple[str, str, Callable[[], Any]]] = []

PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db0000000004945"
        "4e44ae426082"
    )
).decode()
PDF = base64.b64encode(
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
).decode()
LONG = "It is a long text that makes a stream of many pieces. " * 8
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
PERSON = {"name": "Ada", "age": 36}
PERSON_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def script(*steps: dict[str, Any]) -> str:
    """The text that makes the model play these steps."""
    return f"Do as follows. SCRIPT({base64.urlsafe_b64encode(json.dumps(steps).encode()).decode()})"


def capability(name: str, way: str = "chat") -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a capability. ``way`` is the path that it goes: chat, messages, responses."""

    def register(function: Callable[[], Any]) -> Callable[[], Any]:
        _FOUND.append((name, way, function))
        return function

    return register


def same(got: object, wanted: object) -> None:
    """Fail unless both are equal."""
    assert got == wanted, f"got {got!r}, wanted {wanted!r}"


def holds(text: object, part: str) -> None:
    """Fail unless a text has a part."""
    assert part in str(text), f"{part!r} is not in {text!r}"


def thumb(data: str) -> str:
    """The eight characters that the model says of an image or a document."""
    return sha256(data.encode()).hexdigest()[:8]


def control(path: str) -> list[str]:
    """What the model's server noted, and forgets now."""
    with urllib.request.urlopen(f"{os.environ['OCTANT_MODEL']}/control/{path}", timeout=10) as answer:
        return list(json.load(answer))


def main() -> None:
    """Run every capability, or those that the arguments name."""
    for name, way, function in _FOUND:
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        control("refused")
        try:
            _run(function)
            refused = control("refused")
            ok, detail = not refused, f"the provider refused: {refused[0]}" if refused else ""
        except BaseException as error:  # noqa: BLE001 - a client may raise anything: that is the finding
            ok, detail = False, f"{type(error).__name__}: {error}"
            if os.environ.get("OCTANT_TRACE"):
                traceback.print_exc()
        outcome(capability=name, way=way, ok=ok, detail=detail[-SHOWN:])
    outcome(done=True)
    sys.stdout.flush()
    os._exit(0)  # a client's threads may still wait


def outcome(**fields: Any) -> None:
    """Write a line of the results: a client may print as it likes."""
    with open(os.environ["OCTANT_OUTCOMES"], "a") as file:
        file.write(json.dumps(fields) + "\n")


def _run(function: Callable[[], Any]) -> None:
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    try:
        result = function()
        if inspect.isawaitable(result):
            _LOOP.run_until_complete(_awaited(result))
    finally:
        signal.alarm(0)


async def _awaited(result: Any) -> None:
    await result


def _too_long(*_: object) -> None:
    raise TimeoutError(f"not done after {SECONDS} s")
