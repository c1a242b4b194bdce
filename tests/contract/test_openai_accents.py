"""Servers with an accent behind the running service: OpenAI's SDK gets the answer that they mean, and pays what they say."""

import http.server
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import openai
import pytest
import pytest_asyncio
from conftest import running_service
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from app.stack.embedded import free_port

Json = dict[str, Any]
TOOLS: Any = [{"type": "function", "function": {"name": name}} for name in ("f", "g", "get_weather")]
USAGE: Json = {"prompt_tokens": 12, "completion_tokens": 3}


def chunk(finish: str | None = None, /, **delta: object) -> Json:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(id_: str | None, name: str, arguments: object, index: int | None = 0) -> Json:
    return {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}


def stream(*events: Json, done: bool = True) -> bytes:
    data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    return data + (b"data: [DONE]\n\n" if done else b"")


def whole(finish: str | None, **message: object) -> bytes:
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": USAGE}).encode()


HIDDEN: Json = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 115}  # 100 tokens of reasoning, nowhere else
STATUS = {"whole: no credit": 400, "whole: no such model": 400}
LABELS = {"called JSON": "application/json", "whole: called a stream": "text/event-stream"}
ENDED = ({"choices": [], "usage": USAGE},)
ANSWERS: dict[str, bytes] = {
    "one index for two calls": stream(
        chunk(tool_calls=[call("c1", "f", '{"a":1}')]),
        chunk(tool_calls=[call("c2", "g", '{"b":2}')]),
        chunk("tool_calls"),
        *ENDED,
    ),
    "no ids": stream(chunk(tool_calls=[call("", "f", '{"a":1}'), call(None, "g", '{"b":2}')]), chunk("tool_calls"), *ENDED),
    "null choices": stream(chunk(content="he"), {"choices": None}, chunk(content="llo"), chunk("stop"), *ENDED),
    "usage without choices": stream(chunk(content="hello"), chunk("stop"), {"usage": USAGE}),
    "half a character": stream(chunk(content="x \ud83d"), chunk(content="\ude00"), chunk("stop"), *ENDED),
    "another answer first": stream(
        {"choices": [{"index": 1, "delta": {"content": "another"}, "finish_reason": None}]},
        chunk(content="hello"),
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]},
        chunk("stop"),
        *ENDED,
    ),
    "line ends in a text, no blank lines": "".join(
        f"data: {json.dumps(event, ensure_ascii=False)}\n" for event in (chunk(content="a\u2028b"), chunk("stop"), *ENDED)
    ).encode(),
    "a name in pieces": stream(
        chunk(tool_calls=[call("c1", "f", '{"a":1}')]),
        chunk(tool_calls=[call("c2", "get_", "", 1)]),
        chunk(tool_calls=[call(None, "weather", '{"b":2}', 1)]),
        chunk("tool_calls"),
        *ENDED,
    ),
    "held open": stream(chunk(content="hello"), chunk("stop"), *ENDED, done=False),
    "a refusal": stream(chunk(refusal="I cannot "), chunk(refusal="do that."), chunk("stop"), *ENDED),
    "whole: arguments as an object": whole("tool_calls", content=None, tool_calls=[call("c1", "f", {"a": 1}, None)]),
    "whole: null usage": whole("stop", content="hello").replace(b"12", b"null").replace(b'": 3', b'": null'),
    "whole: a refusal": whole("stop", content=None, refusal="I cannot do that."),
    "whole: aborted": whole("abort", content="half an ans"),
    "whole: half a character": whole("stop", content="x \ud83d"),
    "a finish reason with each chunk": stream(chunk("stop", content="hel"), chunk("stop", content="lo"), *ENDED),
    "called JSON": stream(chunk(content="hello"), chunk("stop"), *ENDED),
    "whole: called a stream": whole("stop", content="hello") + b"data: [DONE]\n\n",
    "hidden reasoning": stream(chunk(content="hello"), chunk("stop"), {"choices": [], "usage": HIDDEN}),
    "whole: hidden reasoning": whole("stop", content="hello").replace(json.dumps(USAGE).encode(), json.dumps(HIDDEN).encode()),
    "the message at the end": stream(
        chunk(content="hel"),
        chunk(content="lo"),
        {"choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}], "usage": USAGE},
    ),
    "whole: counts of other names": whole("stop", content="hello")
    .replace(b"prompt_", b"input_")
    .replace(b"completion_", b"output_"),
    "whole: two choices": json.dumps(
        {
            "choices": [
                {"message": {"content": "I look."}, "finish_reason": "tool_calls"},
                {"message": {"tool_calls": [call("c1", "f", '{"a":1}', None)]}, "finish_reason": "tool_calls"},
            ],
            "usage": USAGE,
        }
    ).encode(),
    "whole: nothing": whole("stop", content="").replace(b'": 3', b'": 0'),
    "nothing": stream(chunk(role="assistant", content=""), chunk("stop")),
    "whole: no such model": json.dumps({"error": {"message": "Model Not Exist", "type": "invalid_request_error"}}).encode(),
    "error beside the data": b'error: {"code": 400, "message": "exceeds the available context size"}\n\ndata: [DONE]\n\n',
    "whole: no credit": json.dumps({"error": {"message": "Your credit balance is too low.", "type": "x"}}).encode(),
    "whole: busy": json.dumps({"status": "449", "msg": "You exceeded your current rate limit", "body": None}).encode(),
    "aborted": stream(chunk(content="half an ans"), chunk("abort"), *ENDED),
}


class _Accented(http.server.BaseHTTPRequestHandler):
    """A server of OpenAI's protocol that answers with the entry that the last message names."""

    stopped: threading.Event

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = body["messages"][-1]["content"]
        answer, label = ANSWERS[name], "text/event-stream" if body.get("stream") else "application/json"
        self.send_response(STATUS.get(name, 200))
        self.send_header("content-type", LABELS.get(name, label))
        self.end_headers()
        self.wfile.write(answer)
        self.wfile.flush()
        if name == "held open":
            self.stopped.wait(120)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def service(stack_env: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service whose OpenAI is that server; its Anthropic is the simulator."""
    stopped = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Accented,), {"stopped": stopped})) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        env = {
            **stack_env,
            "OCTANT_PORT": str(free_port()),
            "OCTANT_METRICS_PORT": str(free_port()),
            "OCTANT_WORKERS": "1",
            "OCTANT_OPENAI__BASE_URL": f"http://127.0.0.1:{server.server_address[1]}/v1",
        }
        try:
            with running_service(env, tmp_path_factory.mktemp("accents") / "service.log") as url:
                yield url
        finally:
            stopped.set()
            server.shutdown()
            thread.join()


@pytest_asyncio.fixture
async def client(service: str, api_key: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{service}/v1", api_key=api_key, max_retries=0) as made:
        yield made


async def answered(client: openai.AsyncOpenAI, name: str) -> ChatCompletion:
    """The SDK's own final object, from a stream or whole."""
    about: Any = {"model": "fast", "messages": [{"role": "user", "content": name}], "tools": TOOLS}
    if name.startswith("whole"):
        return await client.chat.completions.create(**about)  # type: ignore[no-any-return]
    async with client.chat.completions.stream(**about, stream_options={"include_usage": True}) as stream:
        return await stream.get_final_completion()


async def test_a_name_in_pieces_reaches_the_sdk_whole(client: openai.AsyncOpenAI) -> None:
    found = (await answered(client, "a name in pieces")).choices[0].message.tool_calls or ()
    assert [call.function.name for call in found if call.type == "function"] == ["f", "get_weather"]


@pytest.mark.parametrize("name", ["one index for two calls", "no ids", "whole: arguments as an object", "whole: two choices"])
async def test_calls_reach_the_sdk_whole(client: openai.AsyncOpenAI, name: str) -> None:
    choice = (await answered(client, name)).choices[0]
    calls = [(c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls or () if c.type == "function"]
    assert calls == [("f", {"a": 1}), ("g", {"b": 2})][: len(calls)]
    assert len(calls) == (1 if name.startswith("whole") else 2)
    assert len({c.id for c in choice.message.tool_calls or ()}) == len(calls)
    assert choice.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("null choices", "hello"),
        ("usage without choices", "hello"),
        ("half a character", "x \U0001f600"),
        ("another answer first", "hello"),
        ("line ends in a text, no blank lines", "a\u2028b"),
        ("held open", "hello"),
        ("whole: null usage", "hello"),
        ("a finish reason with each chunk", "hello"),
        ("called JSON", "hello"),
        ("whole: called a stream", "hello"),
        ("whole: half a character", "x \ufffd"),
        ("the message at the end", "hello"),
        ("whole: counts of other names", "hello"),
    ],
)
async def test_a_good_answer_is_never_garbled(client: openai.AsyncOpenAI, name: str, text: str) -> None:
    answer = await answered(client, name)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (text, "stop")
    assert answer.usage
    if "null" not in name or name == "null choices":
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12, 3)


@pytest.mark.parametrize("name", ["a refusal", "whole: a refusal"])
async def test_a_refusal_reaches_the_sdk_as_one(client: openai.AsyncOpenAI, name: str) -> None:
    choice = (await answered(client, name)).choices[0]
    assert (choice.message.refusal, choice.finish_reason) == ("I cannot do that.", "stop")
    assert not choice.message.content


@pytest.mark.parametrize("name", ["hidden reasoning", "whole: hidden reasoning"])
async def test_reasoning_that_only_the_total_holds_is_reported_as_output(client: openai.AsyncOpenAI, name: str) -> None:
    """C2."""
    usage = (await answered(client, name)).usage
    assert usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (12, 103, 115)


@pytest.mark.parametrize(("name", "attempts"), [("whole: no credit", "2"), ("whole: busy", "3"), ("whole: no such model", "2")])
async def test_trouble_of_our_account_is_no_fault_of_the_caller(client: openai.AsyncOpenAI, name: str, attempts: str) -> None:
    """The next model answers; only a limit is tried again."""
    about: Any = {"model": "fast", "messages": [{"role": "user", "content": name}]}
    raw = await client.chat.completions.with_raw_response.create(**about)
    assert raw.headers["octant-provider"] == "anthropic"
    assert raw.headers["octant-attempts"] == attempts
    assert "credit" not in str(raw.headers)


@pytest.mark.parametrize(("name", "streamed"), [("whole: nothing", False), ("nothing", True)])
async def test_an_answer_of_nothing_is_answered_by_the_next_model(client: openai.AsyncOpenAI, name: str, streamed: bool) -> None:
    about: Any = {"model": "fast", "messages": [{"role": "user", "content": name}], "stream": streamed}
    raw = await client.chat.completions.with_raw_response.create(**about)
    assert (raw.headers["octant-provider"], raw.headers["octant-attempts"]) == ("anthropic", "3")


async def test_a_refusal_beside_the_data_of_a_stream_is_not_tried_again(client: openai.AsyncOpenAI) -> None:
    about: Any = {"model": "fast", "messages": [{"role": "user", "content": "error beside the data"}], "stream": True}
    raw = await client.chat.completions.with_raw_response.create(**about)
    assert (raw.headers["octant-provider"], raw.headers["octant-attempts"]) == ("anthropic", "2")


async def test_half_an_answer_is_never_passed_on_as_whole(client: openai.AsyncOpenAI) -> None:
    """Whole, the next model answers; in a stream, the caller has seen the half already (R6)."""
    about: Any = {"model": "fast", "messages": [{"role": "user", "content": "whole: aborted"}]}
    raw = await client.chat.completions.with_raw_response.create(**about)
    assert raw.headers["octant-provider"] == "anthropic"
    assert raw.parse().choices[0].message.content != "half an ans"
    stream = await client.chat.completions.create(**{**about, "messages": [{"role": "user", "content": "aborted"}]}, stream=True)
    seen: list[str | None] = []
    with pytest.raises(openai.APIError):
        await _finishes(stream, seen)
    assert seen
    assert not any(seen)


async def _finishes(stream: openai.AsyncStream[ChatCompletionChunk], seen: list[str | None]) -> None:
    async for event in stream:
        seen += [choice.finish_reason for choice in event.choices]
