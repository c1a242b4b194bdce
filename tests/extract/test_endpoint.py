"""The small product on the running service.

One endpoint of forty lines, and what the service gives it without code of its own.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conftest import Simulator, running_worker

from app.domain.calls import Reply, Usage
from app.domain.errors import OutputInvalid
from app.domain.messages import Text
from app.domain.spelling import plain
from app.edge.outputs import read_output
from app.features.extract import MESSAGE
from app.features.extract.endpoints import IN_OWN_WORDS, Facts, as_written, found_in
from app.stack.embedded import free_port
from evals.suites.extract.suite import is_right

PATH = "/v1/extract"
FACTS: dict[str, Any] = {
    "sender": "Ada Byron",
    "company": "Engine Works",
    "email": "ada@engine.example",
    "phone": "+44 20 7946 0958",
    "request": "Please send me a quote for two looms.",
}


async def post(
    http: aiohttp.ClientSession, body: object, path: str = PATH, **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    async with http.post(path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}) as answer:
        return answer.status, await answer.json(), {k.lower(): v for k, v in answer.headers.items()}


async def test_a_message_becomes_a_form_with_the_headers_of_every_call(http: aiohttp.ClientSession) -> None:
    status, answer, headers = await post(http, {"text": MESSAGE, "user": "ada"})
    assert (status, answer) == (200, FACTS)
    assert float(headers["octant-cost-usd"]) > 0
    assert {"octant-release", "octant-model", "octant-provider", "octant-attempts", "x-request-id"} <= headers.keys()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": "x" * 20_001}, "text"),
        ({"text": 7}, "text"),
        ({"text": "hello", "fields": ["name"]}, "fields"),
        ({"text": "hello", "user": ""}, "user"),
    ],
)
async def test_a_request_out_of_form_is_refused_with_the_field_named(
    http: aiohttp.ClientSession, body: dict[str, Any], param: str
) -> None:
    status, answer, _ = await post(http, body)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "invalid_request", param)


async def test_output_that_no_model_gets_right_is_an_error_and_no_form(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    simulator.put_faults({"kind": "schema_violation"})
    status, answer, _ = await post(http, {"text": MESSAGE})
    assert (status, answer["error"]["code"]) == (502, "output_invalid")


async def test_a_repeated_request_gets_the_first_answer_and_costs_nothing(http: aiohttp.ClientSession) -> None:
    key = f"facts-{time.monotonic_ns()}"
    first = await post(http, {"text": MESSAGE}, idempotency_key=key)
    again = await post(http, {"text": MESSAGE}, idempotency_key=key)
    assert (first[0], first[1]) == (again[0], again[1]) == (200, FACTS)
    assert again[2]["idempotency-replayed"] == "true"
    assert again[2]["x-request-id"] != ""


async def test_a_message_can_be_deferred_as_a_job(http: aiohttp.ClientSession, stack_env: dict[str, str], tmp_path: Path) -> None:
    status, job, _ = await post(http, {"path": PATH, "body": {"text": MESSAGE}}, "/v1/jobs")
    assert (status, job["path"]) == (202, PATH)
    with running_worker({**stack_env, "OCTANT_WORKER_METRICS_PORT": str(free_port())}, tmp_path / "worker.log"):
        deadline = time.monotonic() + 120
        while job["state"] not in ("succeeded", "failed"):
            assert time.monotonic() < deadline, job
            await asyncio.sleep(0.1)
            async with http.get(f"/v1/jobs/{job['id']}") as answer:
                job = await answer.json()
    assert (job["state"], job["response"]["status"], job["response"]["body"]) == ("succeeded", 200, FACTS)


async def test_the_form_stands_in_the_description_of_the_api(http: aiohttp.ClientSession) -> None:
    async with http.get("/openapi.json") as answer:
        operation = (await answer.json())["paths"][PATH]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"text", "user"}
    assert {"200", "202", "400", "401", "429", "502", "503"} <= operation["responses"].keys()


def test_a_fact_that_is_not_in_the_message_is_left_out() -> None:
    form = Facts.model_validate(FACTS)
    assert as_written(form, MESSAGE.upper().replace(" ", "\n")) == form
    left = as_written(form, "Hello.").model_dump()
    assert left == {
        name: value if name in IN_OWN_WORDS else [] if isinstance(value, list) else None for name, value in FACTS.items()
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Ich bin Ju\u0308rgen.", "J\u00fcrgen"),
        ("\uff21\uff22\uff0d\uff11\uff12", "AB-12"),
        ("\uff94\uff8f\uff80\uff9e", "\u30e4\u30de\u30c0"),
        ("Ada Byron", "Ada\u00a0 Byron"),
    ],
)
def test_a_value_is_copied_whatever_its_spelling_of_the_same_letters(text: str, value: str) -> None:
    assert found_in(plain(text), value) == value
    assert found_in("hello.", value) is None


def test_of_a_list_the_items_that_are_in_the_message_stay() -> None:
    assert found_in(plain("I am Ada\nByron."), ["ADA byron", "Analytical Ltd", ""]) == ["ADA byron"]


def test_a_copied_field_is_a_text_or_null_or_a_list_of_texts() -> None:
    """Other types cannot be left out where the message does not have them: mark those fields with `OWN_WORDS`."""
    assert IN_OWN_WORDS, "people are shown what the model wrote"
    copied = {name: field.annotation for name, field in Facts.model_fields.items() if name not in IN_OWN_WORDS}
    assert [name for name, kind in copied.items() if kind not in (str | None, list[str])] == []


def test_the_suite_takes_the_items_of_a_list_in_any_order() -> None:
    assert is_right("parties", ["Bob", "Ada"], ["Ada", "Bob"])
    assert not is_right("parties", ["Ada"], ["Ada", "Bob"])
    assert not is_right("parties", [], None)


@pytest.mark.parametrize(("text", "stop"), [("no", "refusal"), (json.dumps({"sender": None}), "end"), ("not JSON", "end")])
def test_a_refusal_or_a_broken_form_is_no_output(text: str, stop: Any) -> None:  # noqa: ANN401 - a stop reason
    reply = Reply(parts=(Text(text),), stop=stop, usage=Usage(), provider="p", model="m")
    with pytest.raises(OutputInvalid):
        read_output(Facts, reply)
