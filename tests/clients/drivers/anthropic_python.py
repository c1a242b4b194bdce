"""The official SDK of Anthropic for Python: messages, its tool runner, counting, models."""

import json
import time

import anthropic
from capability import KEY, LONG, PDF, PERSON, PNG, URL, WEATHER, capability, control, holds, main, same, script, thumb
from pydantic import BaseModel

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
SMART, OTHER = "smart", "fast"  # a model of the SDK's own vendor, and one of the other
TOOL = {"name": "weather", "description": "The weather.", "input_schema": WEATHER}
TOOL_2 = {"name": "clock", "input_schema": {"type": "object", "properties": {}}}
TWO_STEPS = script({"call": [["weather", {"city": "Oslo"}]]}, {"say": "done: %results%"})
MARK = {"type": "ephemeral"}


class Person(BaseModel):
    name: str
    age: int


def ask(text, **more):
    return client.messages.create(**{"model": SMART, "max_tokens": 500, "messages": [{"role": "user", "content": text}], **more})


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


@capability("text", "messages")
def _():
    answer = ask(script({"say": "Hello, Ünïcode 🌍."}))
    same((text_of(answer), answer.stop_reason, answer.model, answer.role), ("Hello, Ünïcode 🌍.", "end_turn", SMART, "assistant"))


@capability("stream", "messages")
def _():
    request = {"model": SMART, "max_tokens": 500, "messages": [{"role": "user", "content": script({"say": LONG})}]}
    with client.messages.stream(**request) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(texts) > 10, f"{len(texts)} pieces"
    same("".join(texts), LONG)
    same((text_of(final), final.stop_reason), (LONG, "end_turn"))
    kinds = [event.type for event in client.messages.create(**request, stream=True)]
    same((kinds[0], kinds[1], kinds[-2], kinds[-1]), ("message_start", "content_block_start", "message_delta", "message_stop"))


@capability("usage", "messages")
def _():
    whole = ask(script({"say": LONG})).usage
    assert whole.input_tokens > 10 < whole.output_tokens, whole
    with client.messages.stream(
        model=SMART, max_tokens=500, messages=[{"role": "user", "content": script({"say": LONG})}]
    ) as stream:
        streamed = stream.get_final_message().usage
    same((streamed.input_tokens, streamed.output_tokens), (whole.input_tokens, whole.output_tokens))


@capability("system", "messages")
def _():
    for system in ("Be brief.", [{"type": "text", "text": "Be brief."}]):
        same(text_of(ask(script({"say": "%system%"}), system=system)), "Be brief.")


@capability("history", "messages")
def _():
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n}"} for n in range(200)]
    same(text_of(ask("", messages=[*turns, {"role": "user", "content": script({"say": "%turns%"})}])), "201")


@capability("late system", "messages")
def _():
    turns = [{"role": "user", "content": script({"say": "%system%"})}, {"role": "system", "content": "Speak up."}]
    for model in (SMART, OTHER):
        holds(text_of(ask("", messages=turns, model=model)), "Speak up.")


@capability("other vendor", "messages")
def _():
    same(text_of(ask(script({"say": "across"}), model=OTHER)), "across")
    with client.messages.stream(
        model=OTHER, max_tokens=500, messages=[{"role": "user", "content": script({"say": LONG})}]
    ) as stream:
        same("".join(stream.text_stream), LONG)


def loop(model, text, streamed, tools, **more):
    """The loop that a user of the SDK writes: returns the last text and the input of each call."""
    messages, called = [{"role": "user", "content": text}], []
    while True:
        request = {"model": model, "max_tokens": 1500, "messages": messages, "tools": tools, **more}
        if streamed:
            with client.messages.stream(**request) as stream:
                message = stream.get_final_message()
        else:
            message = client.messages.create(**request)
        uses = [block for block in message.content if block.type == "tool_use"]
        if not uses:
            return text_of(message), called
        same(message.stop_reason, "tool_use")
        messages.append({"role": "assistant", "content": message.content})
        results = []
        for use in uses:
            called.append((use.name, use.input))
            results.append({"type": "tool_result", "tool_use_id": use.id, "content": f"{use.name} says {len(called)}"})
        messages.append({"role": "user", "content": results})


@capability("tool loop", "messages")
def _():
    same(loop(SMART, TWO_STEPS, False, [TOOL]), ("done: weather says 1", [("weather", {"city": "Oslo"})]))


@capability("streamed tool loop", "messages")
def _():
    same(loop(SMART, TWO_STEPS, True, [TOOL]), ("done: weather says 1", [("weather", {"city": "Oslo"})]))


@capability("tool runner", "messages")
def _():
    called = []

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        called.append(city)
        return f"{city} is sunny"

    for streamed in (False, True):
        runner = client.beta.messages.tool_runner(
            model=SMART, max_tokens=500, tools=[weather], messages=[{"role": "user", "content": TWO_STEPS}], stream=streamed
        )
        same(text_of(runner.until_done()), "done: Oslo is sunny")
    same(called, ["Oslo", "Oslo"])


@capability("parallel tools", "messages")
def _():
    text = script({"say": "Both.", "call": [["weather", {"city": "Oslo"}], ["clock", {}]]}, {"say": "%results%"})
    for model in (SMART, OTHER):
        for streamed in (False, True):
            wanted = ("weather says 1 | clock says 2", [("weather", {"city": "Oslo"}), ("clock", {})])
            same(loop(model, text, streamed, [TOOL, TOOL_2]), wanted)


@capability("agent", "messages")
def _():
    steps = [{"say": f"Step {n}.", "call": [["weather", {"city": f"City {n}"}]]} for n in range(5)]
    text, called = loop(SMART, script(*steps, {"say": "%results%"}), True, [TOOL])
    same((len(called), text), (5, " | ".join(f"weather says {n}" for n in range(1, 6))))


@capability("invalid call", "messages")
def _():
    for streamed in (False, True):
        _, called = loop(SMART, script({"call": [["weather", {"town": 1}]]}, {"say": "sorry"}), streamed, [TOOL])
        same(called, [("weather", {"town": 1})])


@capability("cut call", "messages")
def _():
    text = script({"call": [["weather", {"city": "A city with a long name"}]], "cut": True})
    same(ask(text, tools=[TOOL]).stop_reason, "max_tokens")
    events = list(ask(text, tools=[TOOL], stream=True))
    same(next(e.delta.stop_reason for e in events if e.type == "message_delta"), "max_tokens")


@capability("tools of the other vendor", "messages")
def _():
    same(loop(OTHER, TWO_STEPS, True, [TOOL]), ("done: weather says 1", [("weather", {"city": "Oslo"})]))


@capability("tool fields", "messages")
def _():
    fields = {
        "eager_input_streaming": True,
        "allowed_callers": ["direct"],
        "defer_loading": False,
        "input_examples": [{"city": "Oslo"}],
    }
    wanted = ("done: weather says 1", [("weather", {"city": "Oslo"})])
    for streamed in (False, True):
        same(loop(SMART, TWO_STEPS, streamed, [{**TOOL, **fields}]), wanted)


@capability("schema", "messages")
def _():
    for model in (SMART, OTHER):
        messages = [{"role": "user", "content": script({"object": PERSON})}]
        same(
            client.messages.parse(model=model, max_tokens=500, messages=messages, output_format=Person).parsed_output,
            Person(**PERSON),
        )


@capability("streamed schema", "messages")
def _():
    messages = [{"role": "user", "content": script({"object": PERSON})}]
    with client.messages.stream(model=SMART, max_tokens=500, messages=messages, output_format=Person) as stream:
        same(stream.get_final_message().parsed_output, Person(**PERSON))


@capability("cut output", "messages")
def _():
    form = {"format": {"type": "json_schema", "schema": {**Person.model_json_schema(), "additionalProperties": False}}}
    same(ask(script({"say": '{"name": "Ada", "ag', "cut": True}), output_config=form).stop_reason, "max_tokens")


def media(block):
    for model in (SMART, OTHER):
        yield text_of(
            ask(
                "",
                model=model,
                messages=[{"role": "user", "content": [block, {"type": "text", "text": script({"say": "%saw%"})}]}],
            )
        )


@capability("image", "messages")
def _():
    for said in media({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}):
        same(said, f"image {thumb(PNG)}")


@capability("pdf", "messages")
def _():
    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    for said in media({"type": "document", "source": source, "title": "A page", "citations": {"enabled": False}}):
        same(said, f"document {thumb(PDF)}")


@capability("thinking", "messages")
def _():
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = ask(script({"think": "Let me see.", "say": "Seen."}), thinking=thinking, max_tokens=1500)
    same([block.type for block in answer.content], ["thinking", "text"])
    same(answer.content[0].thinking, "Let me see.")
    assert answer.content[0].signature
    text = script({"think": "I need it.", "call": [["weather", {"city": "Oslo"}]]}, {"think": "So.", "say": "%results%"})
    for streamed in (False, True):
        same(loop(SMART, text, streamed, [TOOL], thinking=thinking)[0], "weather says 1")


def cached(mark):
    """The second turn of a conversation reads from the cache what the first has written."""
    text = f"{mark} {time.time()} " + LONG * 4
    block = {"type": "text", "text": text, "cache_control": mark}
    first = ask("", system=[block], messages=[{"role": "user", "content": script({"say": "one"})}]).usage
    second = ask("", system=[block], messages=[{"role": "user", "content": script({"say": "two"})}]).usage
    return first, second


@capability("cache", "messages")
def _():
    first, second = cached(MARK)
    assert first.cache_creation_input_tokens > 100, first
    same(second.cache_read_input_tokens, first.cache_creation_input_tokens)
    long_result = f"{time.time()} " + LONG * 4
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": long_result, "cache_control": MARK}
    turns = [
        {"role": "user", "content": script({"say": "-"}, {"say": "read"})},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    places = [
        ("tool result", turns, {}),
        ("tool", turns[:1], {"tools": [{**TOOL, "description": long_result, "cache_control": MARK}]}),
    ]
    places.append(("whole request", [{"role": "user", "content": script({"say": long_result})}], {"cache_control": MARK}))
    for place, messages, more in places:
        usage = ask("", messages=messages, **{"tools": [TOOL], **more}).usage
        assert usage.cache_creation_input_tokens > 100, f"{place}: {usage}"


@capability("long cache", "messages")
def _():
    first, _ = cached({"type": "ephemeral", "ttl": "1h"})
    assert first.cache_creation.ephemeral_1h_input_tokens > 100, first
    same(first.cache_creation.ephemeral_5m_input_tokens, 0)


@capability("parameters", "messages")
def _():
    answer = ask(
        script({"say": "fine"}), stop_sequences=["END"], metadata={"user_id": "u" * 200}, service_tier="auto",
        tool_choice={"type": "auto", "disable_parallel_tool_use": True}, tools=[TOOL],
        extra_headers={"anthropic-beta": "interleaved-thinking-2025-05-14"},
    )  # fmt: skip
    same(text_of(answer), "fine")
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    request = {"model": SMART, "max_tokens": 500, "messages": [{"role": "user", "content": script({"say": "fine"})}]}
    answer = client.beta.messages.create(**request, context_management=edits, betas=["context-management-2025-06-27"])
    same(text_of(answer), "fine")


@capability("count tokens", "messages")
def _():
    few = client.messages.count_tokens(model=SMART, messages=[{"role": "user", "content": "hi"}]).input_tokens
    many = client.messages.count_tokens(
        model=SMART, messages=[{"role": "user", "content": LONG * 4}], tools=[TOOL], system="x"
    ).input_tokens
    assert 0 < few < many, (few, many)


@capability("models", "messages")
def _():
    strict = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, _strict_response_validation=True)
    listed = {model.id for model in strict.models.list()}
    assert {SMART, OTHER} <= listed, listed
    same(strict.models.retrieve(SMART).id, SMART)


@capability("cut text", "messages")
def _():
    answer = ask(script({"say": "half of this", "cut": True}))
    same((answer.stop_reason, text_of(answer)), ("max_tokens", "half o"))


def error_of(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


@capability("bad key", "messages")
def _():
    bad = anthropic.Anthropic(base_url=URL, api_key="wrong", max_retries=0)
    request = {"model": SMART, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    for call in (lambda: bad.messages.create(**request), bad.models.list):
        same(error_of(anthropic.AuthenticationError, call).body["error"]["type"], "authentication_error")


@capability("unknown model", "messages")
def _():
    for call in (lambda: ask("hi", model="no-such-model"), lambda: client.models.retrieve("no-such-model")):
        same(error_of(anthropic.NotFoundError, call).body["error"]["type"], "not_found_error")


@capability("context length", "messages")
def _():
    error = error_of(anthropic.BadRequestError, lambda: ask(script({"error": [400, "prompt is too long"]})))
    same(error.body["error"]["type"], "invalid_request_error")
    holds(json.dumps(error.body).lower(), "too long")


@capability("abort", "messages")
def _():
    text = f"abort {time.time()} " + LONG
    control("left")
    with client.messages.stream(
        model=SMART, max_tokens=500, messages=[{"role": "user", "content": script({"say": text, "pause": 0.2})}]
    ) as stream:
        next(stream.text_stream)
    for _ in range(200):
        if text in control("left"):
            return
        time.sleep(0.1)
    raise AssertionError("the provider's stream was not left")


if __name__ == "__main__":
    main()
