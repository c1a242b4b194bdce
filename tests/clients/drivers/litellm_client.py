"""litellm, as a library: its OpenAI and its Anthropic provider."""

import json
import time

import litellm
from capability import (
    EMBEDDER,
    KEY,
    LONG,
    PDF,
    PERSON,
    PERSON_SCHEMA,
    PNG,
    URL,
    WEATHER,
    capability,
    holds,
    main,
    same,
    script,
    thumb,
)

litellm.suppress_debug_info = True
WAYS = {
    "chat": {"model": "openai/fast", "api_base": f"{URL}/v1", "api_key": KEY},
    "messages": {"model": "anthropic/smart", "api_base": URL, "api_key": KEY, "max_tokens": 500},
}
OTHER = {"chat": "openai/smart", "messages": "anthropic/fast"}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": WEATHER}}
CLOCK = {
    "type": "function",
    "function": {"name": "clock", "description": "The time.", "parameters": {"type": "object", "properties": {}}},
}
TWO_STEPS = script({"call": [["weather", {"city": "Oslo"}]]}, {"say": "done: %results%"})
WANTED = ("done: weather says 1", [("weather", {"city": "Oslo"})])
litellm.num_retries = 0


def ask(way, content, **more):
    return litellm.completion(**{**WAYS[way], "messages": [{"role": "user", "content": content}], "num_retries": 0, **more})


def loop(way, text, stream, **more):
    messages, called = [{"role": "user", "content": text}], []
    while True:
        answer = litellm.completion(**{**WAYS[way], "messages": messages, "tools": [TOOL, CLOCK], "stream": stream, **more})
        if stream:
            answer = litellm.stream_chunk_builder(list(answer), messages=messages)
        message = answer.choices[0].message
        if not message.tool_calls:
            return message.content, called
        messages.append(message)
        for call in message.tool_calls:
            called.append((call.function.name, json.loads(call.function.arguments)))
            result = f"{call.function.name} says {len(called)}"
            messages.append({"role": "tool", "tool_call_id": call.id, "name": call.function.name, "content": result})


def capabilities(way):
    @capability("text", way)
    def _():
        same(ask(way, script({"say": "Hello, Ünïcode 🌍."})).choices[0].message.content, "Hello, Ünïcode 🌍.")

    @capability("stream", way)
    def _():
        pieces = [c.choices[0].delta.content or "" for c in ask(way, script({"say": LONG}), stream=True) if c.choices]
        same("".join(pieces), LONG)
        assert len(pieces) > 10, len(pieces)

    @capability("usage", way)
    def _():
        whole = ask(way, script({"say": LONG})).usage
        assert whole.prompt_tokens > 10 < whole.completion_tokens, whole
        *_, last = ask(way, script({"say": LONG}), stream=True, stream_options={"include_usage": True})
        same((last.usage.prompt_tokens, last.usage.completion_tokens), (whole.prompt_tokens, whole.completion_tokens))

    @capability("system", way)
    def _():
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": script({"say": "%system%"})}]
        same(litellm.completion(**WAYS[way], messages=messages).choices[0].message.content, "Be brief.")

    @capability("late system", way)
    def _():
        messages = [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hello"},
            {"role": "system", "content": "Speak up."},
        ]
        messages.append(
            {"role": "user", "content": script({"say": "%system% %all%"})}
        )  # the client itself may make it a user's text
        holds(litellm.completion(**WAYS[way], messages=messages).choices[0].message.content, "Speak up.")

    @capability("other vendor", way)
    def _():
        same(ask(way, script({"say": "across"}), model=OTHER[way]).choices[0].message.content, "across")

    @capability("tool loop", way)
    def _():
        same(loop(way, TWO_STEPS, False), WANTED)

    @capability("streamed tool loop", way)
    def _():
        same(loop(way, TWO_STEPS, True), WANTED)

    @capability("tools of the other vendor", way)
    def _():
        same(loop(way, TWO_STEPS, True, model=OTHER[way]), WANTED)

    @capability("parallel tools", way)
    def _():
        text = script({"say": "Both.", "call": [["weather", {"city": "Oslo"}], ["clock", {}]]}, {"say": "%results%"})
        same(loop(way, text, True), ("weather says 1 | clock says 2", [("weather", {"city": "Oslo"}), ("clock", {})]))

    @capability("invalid call", way)
    def _():
        text = script({"call": [["weather", {"town": 1}]]}, {"say": "sorry"})
        same(loop(way, text, True), ("sorry", [("weather", {"town": 1})]))

    @capability("schema", way)
    def _():
        form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON_SCHEMA, "strict": True}}
        same(json.loads(ask(way, script({"object": PERSON}), response_format=form).choices[0].message.content), PERSON)

    @capability("json mode", way)
    def _():
        answer = ask(way, "JSON. " + script({"object": PERSON}), response_format={"type": "json_object"})
        same(json.loads(answer.choices[0].message.content), PERSON)

    @capability("image", way)
    def _():
        parts = [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {"type": "text", "text": script({"say": "%saw%"})},
        ]
        same(ask(way, parts).choices[0].message.content, f"image {thumb(PNG)}")

    @capability("pdf", way)
    def _():
        file = {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}", "format": "application/pdf"},
        }
        same(
            ask(way, [file, {"type": "text", "text": script({"say": "%saw%"})}]).choices[0].message.content,
            f"document {thumb(PDF)}",
        )

    @capability("cache", way)
    def _():
        """Marks in a system prompt, as the client's users write them for either provider."""
        part = {"type": "text", "text": f"{time.time()} " + LONG * 4, "cache_control": {"type": "ephemeral"}}
        usages = []
        for say in ("one", "two"):
            messages = [{"role": "system", "content": [part]}, {"role": "user", "content": script({"say": say})}]
            usages.append(
                litellm.completion(
                    **{**WAYS[way], "model": WAYS["messages"]["model"] if way == "messages" else OTHER[way]}, messages=messages
                ).usage
            )
        assert usages[1].prompt_tokens_details.cached_tokens > 100, usages[1]

    @capability("cut text", way)
    def _():
        same(ask(way, script({"say": "half of this", "cut": True})).choices[0].finish_reason, "length")

    @capability("bad key", way)
    def _():
        try:
            ask(way, "hi", api_key="wrong")
        except litellm.AuthenticationError:
            return
        raise AssertionError("no error")

    @capability("unknown model", way)
    def _():
        try:
            ask(way, "hi", model=OTHER[way].partition("/")[0] + "/no-such-model")
        except litellm.NotFoundError:
            return
        raise AssertionError("no error")

    @capability("context length", way)
    def _():
        code = "context_length_exceeded" if way == "chat" else "prompt is too long"
        try:
            ask(way, script({"error": [400, code]}))
        except litellm.ContextWindowExceededError:
            return
        raise AssertionError("no error")


for way_ in WAYS:
    capabilities(way_)


@capability("text", "responses")
def _():
    request = {**WAYS["chat"], "input": script({"say": "Hello."})}
    same(litellm.responses(**request).output[0].content[0].text, "Hello.")


@capability("stream", "responses")
def _():
    events = list(litellm.responses(**WAYS["chat"], input=script({"say": LONG}), stream=True))
    same("".join(e.delta for e in events if e.type == "response.output_text.delta"), LONG)


@capability("embeddings", "embeddings")
def _():
    data = litellm.embedding(model=f"openai/{EMBEDDER}", api_base=f"{URL}/v1", api_key=KEY, input=["one", "two", "one"]).data
    same(data[0]["embedding"], data[2]["embedding"])
    assert data[0]["embedding"] != data[1]["embedding"]


if __name__ == "__main__":
    main()
