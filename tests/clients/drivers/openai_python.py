"""The official SDK of OpenAI for Python: chat completions, Responses, embeddings, models."""

import asyncio
import json

import openai
from capability import EMBEDDER, KEY, LONG, PDF, PERSON, PNG, URL, WEATHER, capability, control, holds, main, same, script, thumb
from pydantic import BaseModel

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
FAST, OTHER = "fast", "smart"  # a model of the SDK's own vendor, and one of the other
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": WEATHER}}
TOOL_2 = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


class Person(BaseModel):
    name: str
    age: int


def ask(text, **more):
    return client.chat.completions.create(**{"model": FAST, "messages": [{"role": "user", "content": text}], **more})


@capability("text")
def _():
    answer = ask(script({"say": "Hello, Ünïcode 🌍."}))
    same(answer.choices[0].message.content, "Hello, Ünïcode 🌍.")
    same(answer.choices[0].finish_reason, "stop")
    same(answer.model, FAST)


@capability("stream")
def _():
    chunks = list(ask(script({"say": LONG}), stream=True))
    texts = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert len(texts) > 10, f"{len(texts)} pieces"
    same("".join(texts), LONG)
    same([c.choices[0].finish_reason for c in chunks if c.choices][-1], "stop")


@capability("usage")
def _():
    whole = ask(script({"say": LONG})).usage
    assert whole.prompt_tokens > 10, whole
    assert whole.completion_tokens > 10, whole
    *_, last = ask(script({"say": LONG}), stream=True, stream_options={"include_usage": True})
    same(
        (last.usage.prompt_tokens, last.usage.completion_tokens, last.choices), (whole.prompt_tokens, whole.completion_tokens, [])
    )


@capability("system")
def _():
    for role in ("system", "developer"):
        answer = client.chat.completions.create(
            model=FAST,
            messages=[{"role": role, "content": "Be brief."}, {"role": "user", "content": script({"say": "%system%"})}],
        )
        same(answer.choices[0].message.content, "Be brief.")


@capability("history")
def _():
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n}"} for n in range(200)]
    answer = client.chat.completions.create(
        model=FAST, messages=[*turns, {"role": "user", "content": script({"say": "%turns%"})}]
    )
    same(answer.choices[0].message.content, "201")


@capability("late system")
def _():
    for model in (FAST, OTHER):
        messages = [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hello"},
            {"role": "system", "content": "Speak up."},
        ]
        answer = client.chat.completions.create(
            model=model, messages=[*messages, {"role": "user", "content": script({"say": "%system%"})}]
        )
        holds(answer.choices[0].message.content, "Speak up.")


@capability("system only")
def _():
    for model, role in ((FAST, "developer"), (FAST, "system"), (OTHER, "system")):
        answer = client.chat.completions.create(model=model, messages=[{"role": role, "content": script({"say": "alone"})}])
        same(answer.choices[0].message.content, "alone")


@capability("other vendor")
def _():
    same(ask(script({"say": "across"}), model=OTHER).choices[0].message.content, "across")
    texts = [c.choices[0].delta.content or "" for c in ask(script({"say": LONG}), model=OTHER, stream=True) if c.choices]
    same("".join(texts), LONG)


def loop(model, text, streamed, tools):
    """The loop that a user of the SDK writes: returns the last text and the arguments of each call."""
    messages, called = [{"role": "user", "content": text}], []
    while True:
        request = {"model": model, "messages": messages, "tools": tools}
        if streamed:
            with client.chat.completions.stream(**request) as stream:
                stream.until_done()
                message = stream.get_final_completion().choices[0].message
        else:
            message = client.chat.completions.create(**request).choices[0].message
        if not message.tool_calls:
            return message.content, called
        messages.append(spoken(message) if streamed else message)
        for call in message.tool_calls:
            called.append((call.function.name, json.loads(call.function.arguments)))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} says {len(called)}"})


def spoken(message):
    """A parsed message as the vendor takes it: the SDK's own `parsed_arguments` is not of the API."""
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
        for c in message.tool_calls
    ]
    return {"role": "assistant", "content": message.content, "tool_calls": calls}


TWO_STEPS = script({"call": [["weather", {"city": "Oslo"}]]}, {"say": "done: %results%"})


@capability("tool loop")
def _():
    same(loop(FAST, TWO_STEPS, False, [TOOL]), ("done: weather says 1", [("weather", {"city": "Oslo"})]))


@capability("streamed tool loop")
def _():
    same(loop(FAST, TWO_STEPS, True, [TOOL]), ("done: weather says 1", [("weather", {"city": "Oslo"})]))


@capability("parallel tools")
def _():
    text = script({"say": "Both.", "call": [["weather", {"city": "Oslo"}], ["clock", {}]]}, {"say": "%results%"})
    for model in (FAST, OTHER):
        for streamed in (False, True):
            wanted = ("weather says 1 | clock says 2", [("weather", {"city": "Oslo"}), ("clock", {})])
            same(loop(model, text, streamed, [TOOL, TOOL_2]), wanted)


@capability("agent")
def _():
    steps = [{"say": f"Step {n}.", "call": [["weather", {"city": f"City {n}"}]]} for n in range(5)]
    text, called = loop(FAST, script(*steps, {"say": "%results%"}), True, [TOOL])
    same(len(called), 5)
    same(text, " | ".join(f"weather says {n}" for n in range(1, 6)))


@capability("invalid call")
def _():
    for streamed in (False, True):
        _, called = loop(FAST, script({"call": [["weather", {"town": 1}]]}, {"say": "sorry"}), streamed, [TOOL])
        same(called, [("weather", {"town": 1})])


@capability("cut call")
def _():
    text = script({"call": [["weather", {"city": "A city with a long name"}]], "cut": True})
    same(ask(text, tools=[TOOL]).choices[0].finish_reason, "length")
    chunks = [c for c in ask(text, tools=[TOOL], stream=True) if c.choices]
    same(chunks[-1].choices[0].finish_reason, "length")


@capability("tools of the other vendor")
def _():
    same(loop(OTHER, TWO_STEPS, True, [TOOL]), ("done: weather says 1", [("weather", {"city": "Oslo"})]))


@capability("schema")
def _():
    for model in (FAST, OTHER):
        messages = [{"role": "user", "content": script({"object": PERSON})}]
        answer = client.chat.completions.parse(model=model, messages=messages, response_format=Person)
        same(answer.choices[0].message.parsed, Person(**PERSON))


@capability("streamed schema")
def _():
    messages = [{"role": "user", "content": script({"object": PERSON})}]
    with client.chat.completions.stream(model=FAST, messages=messages, response_format=Person) as stream:
        kinds = {event.type for event in stream}
        same(stream.get_final_completion().choices[0].message.parsed, Person(**PERSON))
    assert "content.delta" in kinds, kinds


@capability("json mode")
def _():
    for model in (FAST, OTHER):
        answer = ask("JSON. " + script({"object": PERSON}), model=model, response_format={"type": "json_object"})
        same(json.loads(answer.choices[0].message.content), PERSON)


@capability("cut output")
def _():
    messages = [{"role": "user", "content": script({"say": '{"name": "Ada", "ag', "cut": True})}]
    try:
        client.chat.completions.parse(model=FAST, messages=messages, response_format=Person)
    except openai.LengthFinishReasonError:
        return
    raise AssertionError("no LengthFinishReasonError")


def media(*parts):
    for model in (FAST, OTHER):
        content = [*parts, {"type": "text", "text": script({"say": "%saw%"})}]
        yield (
            client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
            .choices[0]
            .message.content
        )


@capability("image")
def _():
    for said in media({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}}):
        same(said, f"image {thumb(PNG)}")


@capability("pdf")
def _():
    for said in media({"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}}):
        same(said, f"document {thumb(PDF)}")


@capability("parameters")
def _():
    answer = ask(
        script({"say": "fine"}), temperature=0.2, top_p=0.9, seed=7, stop=["END"], max_completion_tokens=200,
        presence_penalty=0.1, frequency_penalty=0.1, user="ada", store=False, metadata={"a": "b"}, service_tier="auto",
        logit_bias={"50256": -100},
        reasoning_effort="low", verbosity="medium", parallel_tool_calls=True, prompt_cache_key="k", tools=[TOOL],
        tool_choice="auto",
    )  # fmt: skip
    same(answer.choices[0].message.content, "fine")


@capability("choices")
def _():
    answer = ask(script({"say": "one of two"}), n=2)
    same([(c.index, c.message.content) for c in answer.choices], [(0, "one of two"), (1, "one of two")])


@capability("logprobs")
def _():
    answer = ask(script({"say": "likely"}), logprobs=True, top_logprobs=2)
    tokens = answer.choices[0].logprobs.content
    same("".join(t.token for t in tokens), "likely")
    same(len(tokens[0].top_logprobs), 2)


@capability("cut text")
def _():
    answer = ask(script({"say": "half of this", "cut": True}))
    same((answer.choices[0].finish_reason, answer.choices[0].message.content), ("length", "half o"))


@capability("bad key")
def _():
    for key in ("", "wrong", KEY[:-1] + ("x" if KEY[-1] != "x" else "y")):
        try:
            openai.OpenAI(base_url=f"{URL}/v1", api_key=key, max_retries=0).models.list()
        except openai.AuthenticationError as error:
            same(error.status_code, 401)
        except openai.OpenAIError as error:
            if key:  # the SDK itself refuses an empty key
                raise AssertionError(type(error)) from None
        else:
            raise AssertionError("no error")


@capability("unknown model")
def _():
    try:
        ask("hi", model="no-such-model")
    except openai.NotFoundError as error:
        same(error.code, "model_not_found")
        return
    raise AssertionError("no NotFoundError")


@capability("context length")
def _():
    try:
        ask(script({"error": [400, "context_length_exceeded"]}))
    except openai.BadRequestError as error:
        same(error.code, "context_length_exceeded")
        return
    raise AssertionError("no BadRequestError")


@capability("abort")
def _():
    text = f"abort of {openai.__name__} " + LONG
    control("left")
    stream = ask(script({"say": text, "pause": 0.2}), stream=True)
    for _, _chunk in zip(range(4), stream, strict=False):
        pass
    stream.close()
    asyncio.run(until_left(text))


async def until_left(text):
    for _ in range(200):
        if text in control("left"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the provider's stream was not left")


@capability("models", "models")
def _():
    listed = {model.id for model in client.models.list()}
    assert {FAST, OTHER} <= listed, listed
    same(client.models.retrieve(FAST).id, FAST)


@capability("embeddings", "embeddings")
def _():
    answer = client.embeddings.create(model=EMBEDDER, input=["one", "two", "one"])
    same(len(answer.data), 3)
    same(answer.data[0].embedding, answer.data[2].embedding)
    assert answer.data[0].embedding != answer.data[1].embedding
    assert answer.usage.prompt_tokens > 0


def respond(text, **more):
    return client.responses.create(**{"model": FAST, "input": text, **more})


@capability("text", "responses")
def _():
    answer = respond(script({"say": "Hello."}))
    same((answer.output_text, answer.status), ("Hello.", "completed"))


@capability("stream", "responses")
def _():
    events = list(respond(script({"say": LONG}), stream=True))
    same("".join(e.delta for e in events if e.type == "response.output_text.delta"), LONG)
    same(events[0].type, "response.created")
    same((events[-1].type, events[-1].response.output_text), ("response.completed", LONG))


@capability("usage", "responses")
def _():
    usage = respond(script({"say": LONG})).usage
    assert usage.input_tokens > 10 < usage.output_tokens, usage
    same(usage.total_tokens, usage.input_tokens + usage.output_tokens)


@capability("system", "responses")
def _():
    same(respond(script({"say": "%system%"}), instructions="Be brief.").output_text, "Be brief.")


@capability("other vendor", "responses")
def _():
    same(respond(script({"say": "across"}), model=OTHER).output_text, "across")


RESPONSES_TOOL = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}


def responses_loop(model, text, streamed):
    items, called = [{"role": "user", "content": text}], []
    while True:
        request = {"model": model, "input": items, "tools": [RESPONSES_TOOL]}
        if streamed:
            with client.responses.stream(**request) as stream:
                stream.until_done()
                answer = stream.get_final_response()
        else:
            answer = client.responses.create(**request)
        calls = [item for item in answer.output if item.type == "function_call"]
        if not calls:
            return answer.output_text, called
        items += answer.output
        for call in calls:
            called.append((call.name, json.loads(call.arguments)))
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": f"{call.name} says {len(called)}"})


@capability("tool loop", "responses")
def _():
    same(responses_loop(FAST, TWO_STEPS, False), ("done: weather says 1", [("weather", {"city": "Oslo"})]))


@capability("streamed tool loop", "responses")
def _():
    same(responses_loop(FAST, TWO_STEPS, True), ("done: weather says 1", [("weather", {"city": "Oslo"})]))


@capability("tools of the other vendor", "responses")
def _():
    same(responses_loop(OTHER, TWO_STEPS, True), ("done: weather says 1", [("weather", {"city": "Oslo"})]))


@capability("schema", "responses")
def _():
    answer = client.responses.parse(model=FAST, input=script({"object": PERSON}), text_format=Person)
    same(answer.output_parsed, Person(**PERSON))


@capability("image", "responses")
def _():
    content = [
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
        {"type": "input_text", "text": script({"say": "%saw%"})},
    ]
    same(respond([{"role": "user", "content": content}]).output_text, f"image {thumb(PNG)}")


@capability("pdf", "responses")
def _():
    file = {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
    content = [file, {"type": "input_text", "text": script({"say": "%saw%"})}]
    same(respond([{"role": "user", "content": content}]).output_text, f"document {thumb(PDF)}")


@capability("cut text", "responses")
def _():
    answer = respond(script({"say": "half of this", "cut": True}))
    same((answer.status, answer.incomplete_details and answer.incomplete_details.reason), ("incomplete", "max_output_tokens"))


@capability("unknown model", "responses")
def _():
    try:
        respond("hi", model="no-such-model")
    except openai.NotFoundError as error:
        same(error.code, "model_not_found")
        return
    raise AssertionError("no NotFoundError")


if __name__ == "__main__":
    main()
