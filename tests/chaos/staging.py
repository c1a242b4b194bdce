"""The environment of the matrix: a service with models for each cell.

Cells share no model, so all are played at once.
A cell's route asks ``A`` first and then ``B``. Faults are put to the simulator by model; those that no server can play, a
connection that is refused or never accepted and a name that does not resolve, are providers of their own.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from conftest import Simulator, octant
from matrix import ANSWER, ATTEMPT, ATTEMPTS_PER_TARGET, CELLS, CONNECT, CUT, FIRST_TOKEN, IDLE, MATRIX, Cell, Mode, Where
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.audit.call_filter import CallFilter
from app.audit.query import find_calls, get_call
from app.releases.manifest import sha256_of
from app.stack.embedded import free_port

AT_ONCE = 8
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
PRICE = "input = 3000000\noutput = 15000000\ncached_input = 300000\ncache_write = 3750000"
ROUTE = f"""\
max_output_tokens = 200
attempts_per_target = {ATTEMPTS_PER_TARGET}
connect_timeout = {CONNECT}
first_token_timeout = {FIRST_TOKEN}
idle_timeout = {IDLE}
attempt_timeout = {ATTEMPT}
"""
RECORD_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Played:
    """The result of one cell."""

    status: int
    sees: str
    attempts: tuple[str, ...]
    attempts_reported: int
    cost: int
    paid: int


def alias(name: str, mode: Mode, where: Where) -> str:
    """The route of a cell."""
    return f"{name}-{mode}-{where}"


def providers(name: str, where: Where) -> tuple[str, str]:
    """The providers of ``A`` and ``B``."""
    if MATRIX[name].simulated is not None:
        return "anthropic", "openai"
    unreachable = name.replace("-", "_")
    return unreachable, f"{unreachable}_too" if where == "all" else "openai"


def faults() -> list[dict[str, Any]]:
    """Every fault of every cell, each for its models only."""
    return [
        {**simulated, "model": f"{alias(name, mode, where)}-{letter}"}
        for name, mode, where in CELLS
        if (simulated := MATRIX[name].simulated) is not None
        for letter in ("ab" if where == "all" else "a")
    ]


def write_release(folder: Path) -> None:
    """A release with a route for each cell."""
    prices = ['version = "chaos"', "effective = 2026-11-01", 'unit = "micro-dollars per million tokens"', 'sources = ["made up"]']
    routes = []
    for name, mode, where in CELLS:
        route = alias(name, mode, where)
        targets = [(provider, f"{route}-{letter}") for provider, letter in zip(providers(name, where), "ab", strict=True)]
        prices += [f'[[price]]\nprovider = "{provider}"\nmodel = "{model}"\n{PRICE}' for provider, model in targets]
        shown = ", ".join(f'{{ provider = "{provider}", model = "{model}" }}' for provider, model in targets)
        routes.append(f'[routes."{route}"]\ntargets = [{shown}]\n{ROUTE}')
    (folder / "prices.toml").write_text("\n".join(prices))
    pin = f'[prices]\nfile = "prices.toml"\nsha256 = "{sha256_of(folder / "prices.toml")}"'
    head = 'id = "chaos"\ncreated = 2026-11-01\nnote = "Every cell a route."\ncode = "0"'
    (folder / "chaos.toml").write_text("\n".join([head, pin, *routes]))


def environment(
    simulator: Simulator, database_url: str, valkey_url: str, folder: Path, *, black_hole: int | None = None
) -> dict[str, str]:
    """The service's settings: own stores, own release, unreachable providers.

    ``black_hole``: a port.
    """
    base = {k: v for k, v in os.environ.items() if not k.startswith(("OCTANT_", "OPENAI_", "ANTHROPIC_"))}
    unreachable = {
        "REFUSED": f"http://127.0.0.1:{free_port()}/v1",
        "REFUSED_TOO": f"http://127.0.0.1:{free_port()}/v1",
        "NEVER_ACCEPTED": f"http://127.0.0.1:{black_hole or free_port()}/v1",
        "NEVER_ACCEPTED_TOO": f"http://127.0.0.1:{black_hole or free_port()}/v1",
        "NO_DNS": "http://no-such-host.invalid/v1",
        "NO_DNS_TOO": "http://no-such-host-too.invalid/v1",
    }
    return {
        **base,
        **{f"OCTANT_PROVIDERS__{name}__BASE_URL": url for name, url in unreachable.items()},
        "OCTANT_DATABASE_URL": database_url,
        "OCTANT_VALKEY_URL": valkey_url,
        "OCTANT_OPENAI__BASE_URL": simulator.openai,
        "OCTANT_OPENAI__API_KEY": "sim",
        "OCTANT_ANTHROPIC__BASE_URL": simulator.anthropic,
        "OCTANT_ANTHROPIC__API_KEY": "sim",
        "OCTANT_STATE_DIR": str(folder / "state"),
        "OCTANT_RELEASES_DIR": str(folder),
        "OCTANT_PORT": str(free_port()),
        "OCTANT_METRICS_PORT": str(free_port()),
        "OCTANT_WORKERS": "1",
        "OCTANT_RECOVERY__RETRY_BUDGET_BURST": "1000",  # a hundred cells on two providers: each shall have its retry
    }


def set_up(env: Mapping[str, str], folder: Path) -> str:
    """Make the release live and return a key."""
    write_release(folder)
    octant(env, "tenant", "create", "chaos", "--day", "1000", "--user-day", "1000")
    octant(env, "release", "activate", "chaos", "--force", "--reason", "chaos")
    return octant(env, "key", "create", "chaos", "--name", "chaos", "--quiet").strip()


async def play_all(url: str, key: str, database_url: str) -> dict[Cell, Played]:
    """Play every cell, a few at a time; return the results."""
    slots = asyncio.Semaphore(AT_ONCE)
    async with _engine(database_url) as engine, aiohttp.ClientSession(url, headers={"authorization": f"Bearer {key}"}) as http:

        async def play(cell: Cell) -> Played:
            async with slots:
                return await _play(http, engine, cell)

        return dict(zip(CELLS, await asyncio.gather(*(play(cell) for cell in CELLS)), strict=True))


async def _play(http: aiohttp.ClientSession, engine: AsyncEngine, cell: Cell) -> Played:
    name, mode, where = cell
    body: dict[str, Any] = {"model": alias(*cell), "messages": [{"role": "user", "content": "Tell me about the sea, please."}]}
    if mode == "stream":
        body["stream"] = True
    if MATRIX[name].needs_schema:
        form = {"name": "number", "schema": SCHEMA, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    async with http.post("/v1/chat/completions", json=body) as answer:
        status, text_body, headers = answer.status, await answer.text(), answer.headers
    call = await _record(engine, headers["x-request-id"])
    letters = dict(zip(providers(name, where), "AB", strict=True))
    attempts = call["attempts"] if call else []
    shown = tuple(f"{letters[a['provider']]} {a['outcome']} {_price(a)}" for a in attempts)
    cost, paid = call["cost"] if call else 0, sum(a["cost"] for a in attempts)
    return Played(status, _seen(status, text_body, mode), shown, int(headers["octant-attempts"]), cost, paid)


def _seen(status: int, text_body: str, mode: Mode) -> str:
    """The answer or error code that a caller takes from the response."""
    if status != 200:
        return str(json.loads(text_body)["error"]["code"])
    if mode == "whole":
        return ANSWER if json.loads(text_body)["choices"][0]["message"]["content"] else "nothing"
    events = [json.loads(line[6:]) for line in text_body.splitlines() if line.startswith("data: {")]
    text = "".join(c["delta"].get("content") or "" for e in events for c in e.get("choices", ()))
    if "error" in events[-1]:
        assert "[DONE]" not in text_body, "an error and a clean end"
        return (CUT if text else "an error event: ") + str(events[-1]["error"]["code"])
    return ANSWER if text and text_body.rstrip().endswith("[DONE]") else "a stream without an end"


def _price(attempt: Mapping[str, Any]) -> str:
    if not attempt["cost"]:
        return "-"
    return "~" if attempt["usage_estimated"] else "$"


async def _record(engine: AsyncEngine, request_id: str) -> dict[str, Any] | None:
    """The call's record; None where the service wrote none.

    Every call is recorded, so the function waits for it.
    """
    for _ in range(round(RECORD_SECONDS / 0.1)):
        found = await find_calls(engine, CallFilter(request_id=request_id, limit=1))
        if found:
            return await get_call(engine, found[0]["id"])
        await asyncio.sleep(0.1)
    return None


@asynccontextmanager
async def _engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url)
    yield engine
    await engine.dispose()
