"""Requests in both vendors' forms against servers that refuse what the vendors refuse (G1, R5).

Real adapters and real HTTP; the servers go by `vendor_rules`, which was written apart from the service.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
import vendor_rules
from aiohttp import web
from scripted import call_state, outcomes, recovery

from app.api.chat import anthropic_request, openai_request
from app.domain.calls import Call, Deadline, Done, Identity, Tenant
from app.domain.errors import (
    BodyTooLarge,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    OctantError,
    ProvidersUnavailable,
    TranslationRefused,
    UnsupportedParameter,
)
from app.domain.money import MicroUSD
from app.edge.requests import CallContext
from app.gateway.call_state import CallState
from app.gateway.providers.anthropic import AnthropicProvider
from app.gateway.providers.openai import OpenAIProvider
from app.gateway.recovery.recovery import Recovery

Json = dict[str, Any]
TENANT = Tenant("t", "t", MicroUSD(10**9), MicroUSD(10**9))
LONG_NAME = "mcp__plugin_chrome-devtools-mcp_chrome-devtools__get_console_message"
OPEN: Json = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOO_LONG = "SECRET PROMPT. This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."


@dataclass(slots=True)
class Vendor:
    """A vendor that answers ``hi`` to what its rules allow. ``failing``: the status and body of every answer instead."""

    says: str = '{"n": 1}'
    failing: tuple[int, Any] | None = None
    bodies: list[Json] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        anthropic = request.path == "/v1/messages"
        problems = vendor_rules.anthropic_messages(body) if anthropic else vendor_rules.openai_chat(body)
        status, error = self.failing or (400, {"error": {"type": "invalid_request_error", "message": "; ".join(problems)}})
        if self.failing and status == 200:
            return await self.stream(request, [error])
        if self.failing or problems:
            return web.json_response(error, status=status)
        made = self.anthropic() if anthropic else self.openai()
        return await self.stream(request, made[1]) if body.get("stream") else web.json_response(made[0])

    def anthropic(self) -> tuple[Json, list[Json]]:
        usage = {"input_tokens": 10, "output_tokens": 5}
        whole = {"type": "message", "model": "m", "content": [{"type": "text", "text": self.says}], "stop_reason": "end_turn"}
        events: list[Json] = [
            {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None, "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": self.says}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
            {"type": "message_stop"},
        ]
        return {**whole, "usage": usage}, events

    def openai(self) -> tuple[Json, list[Json]]:
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        message = {"role": "assistant", "content": self.says}
        whole = {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
        return whole, [{"choices": [{"index": 0, "delta": message, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]

    @staticmethod
    async def stream(request: web.Request, events: list[Json]) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        for event in events:
            name = f"event: {event['type']}\n" if "type" in event else ""
            await answer.write(f"{name}data: {json.dumps(event)}\n\n".encode())
        return answer


@dataclass(slots=True)
class Both:
    """A Claude first and an OpenAI model second, behind one route."""

    claude: Vendor
    gpt: Vendor
    room: Recovery

    def state(self, call: Call, **fields: Any) -> CallState:  # noqa: ANN401 - as `call_state`
        state = call_state(called=call, **fields)
        self.room.choose(state)
        return state


@pytest_asyncio.fixture
async def both() -> AsyncIterator[Both]:
    async with AsyncExitStack() as stack:
        claude, gpt = Vendor(), Vendor()
        for vendor in (claude, gpt):
            app = web.Application()
            app.router.add_post("/{path:.*}", vendor.handle)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            vendor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        first = AnthropicProvider("a", base_url=claude.url, api_key="k")
        second = OpenAIProvider("b", base_url=f"{gpt.url}/v1", api_key="k")
        stack.push_async_callback(first.aclose)
        stack.push_async_callback(second.aclose)
        room = recovery()
        room = Recovery(providers={"a": first, "b": second}, stopped=lambda _: False, metrics=room.metrics)
        yield Both(claude, gpt, room)


def context() -> CallContext:
    return CallContext(
        request_id="r", identity=Identity(tenant=TENANT, key_id="k", user="u"), deadline=Deadline.after(3600)
    )  # calls are made at collection


def openai(**body: object) -> Call:
    whole = {"model": "smart", "messages": [{"role": "user", "content": "hi"}], **body}
    return openai_request.read(json.dumps(whole).encode(), context())[1]


def anthropic(**body: object) -> Call:
    whole = {"model": "smart", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}], **body}
    return anthropic_request.read(json.dumps(whole).encode(), context())[1]


async def run(both: Both, state: CallState) -> str:
    """The provider that answered, whole or as a stream."""
    if not state.call.stream:
        return (await both.room.complete(state)).provider
    chunks = [chunk async for chunk in await both.room.open(state)]
    return next(chunk.reply.provider for chunk in chunks if isinstance(chunk, Done))


def tool(name: str, schema: Json) -> Json:
    return {"name": name, "input_schema": schema}


def function(name: str, schema: Json, **more: object) -> Json:
    return {"type": "function", "function": {"name": name, "parameters": schema, **more}}


CALLED = [
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": None,
     "tool_calls": [{"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "functions.f:0", "content": "42"},
]  # fmt: skip
BLANK = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "\n\n"}, {"role": "user", "content": "go on"}]
JPG = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/jpg;base64,/9j/4AAQSkZJRg=="}}]}]
STRICT = {"type": "json_schema", "json_schema": {"name": "x", "schema": {**OPEN, "additionalProperties": False}, "strict": True}}
LOOSE = {"type": "json_schema", "json_schema": {"name": "x", "schema": OPEN}}
OPTIONAL = {"format": {"type": "json_schema", "schema": {**OPEN, "required": [], "additionalProperties": False}}}

# The call, and the provider that answers first. With Claude down, OpenAI's model must take every one of them.
CALLS: list[tuple[str, Call, str]] = [
    ("blank assistant text", openai(messages=BLANK), "a"),
    ("ids of another server", openai(messages=CALLED, tools=[function("f", OPEN)]), "a"),
    ("a blank stop sequence", openai(stop=["\n"]), "b"),
    ("image/jpg", openai(messages=JPG), "a"),
    ("an open schema, not strict", openai(response_format=LOOSE), "a"),
    ("a strict schema", openai(response_format=STRICT), "a"),
    ("an optional property", anthropic(output_config=OPTIONAL), "a"),
    ("a tool without properties", anthropic(tools=[tool("list_all", {"type": "object"})]), "a"),
    ("a long tool name", anthropic(tools=[tool(LONG_NAME, {"type": "object", "properties": {}})]), "a"),
    ("a union at a tool's top", openai(tools=[function("f", {"anyOf": [OPEN, {"type": "object"}]})]), "a"),
    ("a strict tool", openai(tools=[function("f", {**OPEN, "additionalProperties": False}, strict=True)]), "a"),
    ("a strict tool with a limit", anthropic(tools=[{**tool("f", {"type": "object", "properties": {
        "n": {"type": "integer", "minimum": 1}}, "additionalProperties": False}), "strict": True}]), "a"),
    ("names that only OpenAI takes", openai(tools=[function("f", {"type": "object", "properties": {"$filter": {}}})]), "b"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "first"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
async def test_what_one_vendor_takes_the_other_takes_too_or_is_passed_over(both: Both, call: Call, first: str) -> None:
    state = both.state(call)
    assert await run(both, state) == first
    assert [outcome for _, outcome in outcomes(state)] == ["ok"]
    both.claude.failing = (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    state = both.state(call)
    assert await run(both, state) == "b"
    assert "provider_rejected" not in [outcome for _, outcome in outcomes(state)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "refusal",
    [
        (400, {"type": "error", "error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}),
        (413, {"type": "error", "error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}}),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "messages.0: something new"}}),
        (422, {"detail": "no"}),
        (200, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}}),
    ],
)  # fmt: skip
async def test_a_refusal_of_one_model_is_answered_by_the_next(both: Both, stream: bool, refusal: tuple[int, Json]) -> None:
    if refusal[0] == 200 and not stream:
        pytest.skip("An error event needs a stream.")
    both.claude.failing = refusal
    state = both.state(openai(stream=stream))
    assert await run(both, state) == "b"
    assert outcomes(state) == [("a", "provider_rejected"), ("b", "ok")]
    assert len(both.claude.bodies) == 1
    assert state.spending.attempts[1].cost == 15
    assert refusal[0] == 200 or state.spending.cost == 15, "a refused request costs nothing"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("claude", "gpt", "kind"),
    [
        ((400, {"error": {"message": "prompt is too long: 205284 tokens > 200000 maximum"}}),
         (400, {"error": {"message": TOO_LONG, "code": "context_length_exceeded"}}), ContextLengthExceeded),
        ((529, {}), (400, {"error": {"message": TOO_LONG, "code": "context_length_exceeded"}}), ProvidersUnavailable),
        ((400, {"error": {"message": "no"}}), (400, {"error": {"message": "no", "code": "content_filter"}}), ContentFiltered),
        ((413, {}), (413, {}), BodyTooLarge),
        ((400, {"error": {"message": "no"}}), (400, {"error": {"message": "no"}}), InvalidRequest),
    ],
)  # fmt: skip
async def test_if_all_refuse_the_reason_reaches_the_caller_in_our_own_words(
    both: Both, stream: bool, claude: tuple[int, Json], gpt: tuple[int, Json], kind: type[OctantError]
) -> None:
    both.claude.failing, both.gpt.failing = claude, gpt
    with pytest.raises(kind) as caught:
        await run(both, both.state(openai(stream=stream), attempts=1))
    assert type(caught.value) is kind
    assert "SECRET" not in caught.value.message
    assert "SECRET" not in str([vars(error) for error in (caught.value, caught.value.__cause__) if hasattr(error, "__dict__")])


async def test_a_request_that_was_only_ever_translated_is_not_called_the_caller_s_fault(both: Both) -> None:
    """Only Claude is left for a caller who used OpenAI's form."""
    both.claude.failing = (400, {"error": {"message": "no"}})
    state = both.state(openai())
    state.targets = state.targets[:1]
    with pytest.raises(TranslationRefused):
        await both.room.complete(state)
    state = both.state(anthropic())
    state.targets = state.targets[:1]
    with pytest.raises(InvalidRequest):
        await both.room.complete(state)


async def test_with_no_model_that_takes_it_the_call_is_refused_by_name_before_it_costs_anything(both: Both) -> None:
    call = openai(stop=["\n"], tools=[function(f"f{n}", OPEN) for n in range(3)])
    state = call_state(called=call)
    both.room.choose(state)
    assert state.degraded == ["narrowed"]
    with pytest.raises(UnsupportedParameter) as refused:
        both.room.choose(call_state(called=anthropic(stop_sequences=["\n", "1", "2", "3", "4"])))
    assert refused.value.param == "stop"
    assert both.claude.bodies == both.gpt.bodies == []


async def test_a_parameter_that_claude_lost_costs_no_fallback_where_the_route_ignores_it(both: Both) -> None:
    state = both.state(openai(temperature=0.2), ignore=frozenset({"temperature"}))
    assert await run(both, state) == "a"
    assert "temperature" not in both.claude.bodies[0]
    assert state.receipt().degraded == ("ignored_temperature",)
    both.claude.failing = (529, {})
    state = both.state(openai(temperature=0.2), ignore=frozenset({"temperature"}))
    assert await run(both, state) == "b"
    assert both.gpt.bodies[0]["temperature"] == 0.2
    assert state.receipt().degraded == ()
