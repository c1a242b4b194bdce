"""pydantic-ai: agents on OpenAI's chat completions and Responses, and on Anthropic's messages."""

import base64
import time

from capability import EMBEDDER, KEY, LONG, PDF, PERSON, PNG, URL, capability, holds, main, same, script, thumb
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ModelHTTPError, NativeOutput, ToolOutput
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

OPENAI = OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY)
ANTHROPIC = AnthropicProvider(base_url=URL, api_key=KEY)
MODELS = {
    "chat": lambda name="fast": OpenAIChatModel(name, provider=OPENAI),
    "messages": lambda name="smart": AnthropicModel(name, provider=ANTHROPIC),
    "responses": lambda name="fast": OpenAIResponsesModel(name, provider=OPENAI),
}
OTHER = {"chat": "smart", "messages": "fast", "responses": "smart"}
TWO_STEPS = script({"call": [["weather", {"city": "Oslo"}]]}, {"say": "done: %results%"})


class Person(BaseModel):
    name: str
    age: int


def agent(model, called=None, **more):
    made = Agent(model, retries=2, **more)
    if called is not None:

        @made.tool_plain
        def weather(city: str) -> str:
            """The weather of a city."""
            called.append(city)
            return f"{city} is sunny"

        @made.tool_plain
        def clock() -> str:
            """The time."""
            called.append("noon")
            return "noon"

    return made


async def streamed(made, prompt):
    async with made.run_stream(prompt) as result:
        return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]


def capabilities(way, model):
    @capability("text", way)
    async def _():
        same((await agent(model()).run(script({"say": "Hello, Ünïcode 🌍."}))).output, "Hello, Ünïcode 🌍.")

    @capability("stream", way)
    async def _():
        pieces = await streamed(agent(model()), script({"say": LONG}))
        same("".join(pieces), LONG)
        assert len(pieces) > 10, len(pieces)

    @capability("usage", way)
    async def _():
        usage = (await agent(model()).run(script({"say": LONG}))).usage
        usage = usage() if callable(usage) else usage
        assert usage.input_tokens > 10 < usage.output_tokens, usage

    @capability("system", way)
    async def _():
        same((await agent(model(), instructions="Be brief.").run(script({"say": "%system%"}))).output, "Be brief.")

    @capability("history", way)
    async def _():
        made = agent(model())
        first = await made.run(script({"say": "one"}))
        second = await made.run(script({"say": "%turns%"}), message_history=first.all_messages())
        same(second.output, "3")

    @capability("other vendor", way)
    async def _():
        same((await agent(model(OTHER[way])).run(script({"say": "across"}))).output, "across")

    @capability("tool loop", way)
    async def _():
        called = []
        same((await agent(model(), called).run(TWO_STEPS)).output, "done: Oslo is sunny")
        same(called, ["Oslo"])

    @capability("streamed tool loop", way)
    async def _():
        called = []
        same("".join(await streamed(agent(model(), called), TWO_STEPS)), "done: Oslo is sunny")
        same(called, ["Oslo"])

    @capability("tools of the other vendor", way)
    async def _():
        called = []
        same("".join(await streamed(agent(model(OTHER[way]), called), TWO_STEPS)), "done: Oslo is sunny")
        same(called, ["Oslo"])

    @capability("parallel tools", way)
    async def _():
        called = []
        text = script({"say": "Both.", "call": [["weather", {"city": "Oslo"}], ["clock", {}]]}, {"say": "%results%"})
        same((await agent(model(), called).run(text)).output, "Oslo is sunny | noon")
        same(sorted(called), ["Oslo", "noon"])

    @capability("agent", way)
    async def _():
        called = []
        steps = [{"say": f"Step {n}.", "call": [["weather", {"city": f"City {n}"}]]} for n in range(5)]
        result = await agent(model(), called).run(script(*steps, {"say": "%results%"}))
        same((len(called), result.output), (5, " | ".join(f"City {n} is sunny" for n in range(5))))

    @capability("invalid call", way)
    async def _():
        """The client answers the model with an error and goes on."""
        called = []
        text = script({"call": [["weather", {"town": 1}]]}, {"call": [["weather", {"city": "Oslo"}]]}, {"say": "%results%"})
        output = "".join(await streamed(agent(model(), called), text))
        same(called, ["Oslo"])
        holds(output, "Field required")

    @capability("schema", way)
    async def _():
        same((await agent(model(), output_type=ToolOutput(Person)).run(script({"object": PERSON}))).output, Person(**PERSON))
        if way != "messages":  # the client does not know that a model of this name could
            same(
                (await agent(model(), output_type=NativeOutput(Person)).run(script({"object": PERSON}))).output, Person(**PERSON)
            )

    @capability("streamed schema", way)
    async def _():
        async with agent(model(), output_type=Person).run_stream(script({"object": PERSON})) as result:
            same(await result.get_output(), Person(**PERSON))

    @capability("image", way)
    async def _():
        image = BinaryContent(base64.b64decode(PNG), media_type="image/png")
        same((await agent(model()).run([script({"say": "%saw%"}), image])).output, f"image {thumb(PNG)}")

    @capability("pdf", way)
    async def _():
        pdf = BinaryContent(base64.b64decode(PDF), media_type="application/pdf")
        same((await agent(model()).run([script({"say": "%saw%"}), pdf])).output, f"document {thumb(PDF)}")

    @capability("bad key", way)
    async def _():
        bad = {
            "openai": OpenAIProvider(base_url=f"{URL}/v1", api_key="wrong"),
            "anthropic": AnthropicProvider(base_url=URL, api_key="wrong"),
        }
        made = model()
        made = type(made)(made.model_name, provider=bad[made.system])
        try:
            await agent(made).run("hi")
        except ModelHTTPError as error:
            same(error.status_code, 401)
            return
        raise AssertionError("no error")

    @capability("unknown model", way)
    async def _():
        try:
            await agent(model("no-such-model")).run("hi")
        except ModelHTTPError as error:
            same(error.status_code, 404)
            holds(error.body, "not_found_error" if way == "messages" else "model_not_found")
            return
        raise AssertionError("no error")


for way_, model_ in MODELS.items():
    capabilities(way_, model_)


@capability("thinking", "messages")
async def _():
    called = []
    settings = AnthropicModelSettings(max_tokens=1500, anthropic_thinking={"type": "enabled", "budget_tokens": 1024})
    text = script({"think": "I need it.", "call": [["weather", {"city": "Oslo"}]]}, {"think": "So.", "say": "%results%"})
    result = await agent(MODELS["messages"](), called, model_settings=settings).run(text)
    same(result.output, "Oslo is sunny")
    thoughts = [part.content for message in result.all_messages() for part in message.parts if isinstance(part, ThinkingPart)]
    same(thoughts, ["I need it.", "So."])


@capability("cache", "messages")
async def _():
    settings = AnthropicModelSettings(anthropic_cache_instructions=True, anthropic_cache_tool_definitions=True)
    made = agent(MODELS["messages"](), [], model_settings=settings, instructions=f"{time.time()} " + LONG * 4)
    usages = []
    for say in ("one", "two"):
        usage = (await made.run(script({"say": say}))).usage
        usages.append(usage() if callable(usage) else usage)
    assert usages[0].cache_write_tokens > 100, usages[0]
    same(usages[1].cache_read_tokens, usages[0].cache_write_tokens)


@capability("embeddings", "embeddings")
async def _():
    from pydantic_ai import Embedder
    from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel

    result = await Embedder(OpenAIEmbeddingModel(EMBEDDER, provider=OPENAI)).embed_documents(["one", "two", "one"])
    same(list(result.embeddings[0]), list(result.embeddings[2]))
    assert list(result.embeddings[0]) != list(result.embeddings[1])


if __name__ == "__main__":
    main()
