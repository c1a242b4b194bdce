"""Each fault has one stated outcome (E7, R1 to R6).

Chaos cases at the product's own endpoints.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conftest import ROOT, Simulator, octant, own_database, running_service
from matrix import ATTEMPT, CONNECT, FIRST_TOKEN, IDLE, Where
from staging import environment
from support.chaos.product import CELLS, FAULTS, PRODUCT, Cell, Endpoint, Seen

from app.stack.embedded import embedded_valkey
from evals.chain import newest
from evals.suites.support.suite import SUITE

pytestmark = pytest.mark.timeout(900)  # the first test sets a service up

FIRST = {"answer": "claude-sonnet-5-5", "stream": "claude-sonnet-5-5", "ticket": "gpt-6-luna"}
QUESTION = {"question": "How long does standard shipping take?", "user": "ada"}
TICKET = {"text": "My parcel with order NW-10013 has not arrived.", "user": "ada"}
SHORT = {"connect": CONNECT, "first_token": FIRST_TOKEN, "idle": IDLE, "attempt": ATTEMPT}


def release(folder: Path) -> None:
    """The newest release, with short timeouts.

    So that the matrix plays in a minute.
    """
    path, _ = newest()
    text = re.sub(r"(?m)^(\w+)_timeout = .*$", lambda found: f"{found[1]}_timeout = {SHORT[found[1]]}", path.read_text())
    shutil.copytree(path.parent / "prices", folder / "prices")
    (folder / path.name).write_text(text)


@pytest.fixture(scope="module")
def service(
    simulator_process: Simulator, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("product")
    release(folder)
    with ExitStack() as stack:
        url, valkey = stack.enter_context(own_database(database_url, "product")), stack.enter_context(embedded_valkey(None))
        env = environment(simulator_process, url, valkey, folder)
        env["OCTANT_RECOVERY__BREAKER_FAILURES"] = "1000"  # a cell must not give the next one's provider a rest
        env["OCTANT_DEFAULT_USER_DAILY_CAP"] = "25.00"
        octant(env, "setup")
        key = json.loads((folder / "state" / "demo.json").read_text())["acme"]
        yield stack.enter_context(running_service(env, folder / "service.log")), key


async def play(service: tuple[str, str], endpoint: Endpoint) -> Seen:
    url, key = service
    body: dict[str, Any] = TICKET if endpoint == "ticket" else QUESTION | ({"stream": True} if endpoint == "stream" else {})
    path = "/v1/support/tickets" if endpoint == "ticket" else "/v1/support/answer"
    headers = {"authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(url, headers=headers) as http, http.post(path, json=body) as answer:
        text = await answer.text()
        payload = last_event(text) if endpoint == "stream" and answer.status == 200 else json.loads(text)
        return Seen(
            answer.status,
            outcome_of(payload),
            fallback=int(payload.get("fallbacks") or answer.headers.get("octant-fallbacks") or 0) > 0,
        )


def last_event(text: str) -> dict[str, Any]:
    data = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return dict(data[-1])


def outcome_of(payload: Mapping[str, Any]) -> str:
    if "error" in payload:
        return str(payload["error"]["code"])
    return str(payload["outcome"]) if "outcome" in payload else "filed"


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
async def test_a_broken_provider_has_one_stated_end_for_the_customer(
    service: tuple[str, str], simulator: Simulator, cell: Cell
) -> None:
    name, endpoint, where = cell
    fault = FAULTS[name]
    assert fault is not None
    models = ("*",) if where == "all" else (FIRST[endpoint],)
    simulator.put_faults(*({**fault, "model": model} for model in models))
    seen, stated = await play(service, endpoint), PRODUCT[name][endpoint, where]
    if stated.sees.startswith("an error event: "):
        seen = Seen(seen.status, f"an error event: {seen.sees}")
    fallback = seen.fallback if stated.sees in {"answered", "filed"} else stated.fallback
    assert Seen(seen.status, seen.sees, fallback) == stated


@pytest.mark.parametrize("where", ["first", "all"])
async def test_one_vendor_down_falls_back_and_both_down_hands_over(
    service: tuple[str, str], simulator: Simulator, where: Where
) -> None:
    """R5: every connection is refused."""
    simulator.put_faults({"kind": "refuse", "provider": "*" if where == "all" else "anthropic"})
    seen = await play(service, "answer")
    assert (seen.status, seen.sees) == (200, "answered" if where == "first" else "handed_over")
    assert seen.fallback is (where == "first") or where == "all"


async def test_when_the_providers_are_back_so_is_the_product(service: tuple[str, str], simulator: Simulator) -> None:
    assert (await play(service, "answer")).sees == "answered"
    assert (await play(service, "ticket")).sees == "filed"


def test_every_fault_of_the_product_is_one_of_the_matrix() -> None:
    assert all(FAULTS.values())
    assert (ROOT / "docs" / "recovery.md").exists()


def test_the_eval_cases_state_the_same_ends_as_this_table() -> None:
    """E7: the gate and its report have them.

    The streams, and the outage of a vendor, are here alone.
    """
    rows = {str(fault["kind"]) + str(fault.get("sends", "")): name for name, fault in FAULTS.items() if fault}
    found: set[tuple[str, str, str]] = set()
    for case in (case for case in SUITE.load() if case.chaos and case.chaos.fault["kind"] != "refuse"):
        assert case.chaos is not None
        name = rows[case.chaos.fault["kind"] + case.chaos.fault.get("sends", "")]
        endpoint: Endpoint = "ticket" if case.endpoint == "support/tickets" else "answer"
        stated = PRODUCT[name][endpoint, case.chaos.strikes]
        sees = case.chaos.code or ("filed" if endpoint == "ticket" else case.expect.model_dump()["outcome"])
        assert (case.chaos.status, sees, bool(case.chaos.fallback)) == (stated.status, stated.sees, stated.fallback), case.id
        found.add((name, endpoint, case.chaos.strikes))
    assert len(found) >= 18
