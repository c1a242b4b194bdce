"""Strands Agents: its agent on OpenAI's chat completions and Anthropic's messages."""

from capability import KEY, LONG, PERSON, PNG, URL, capability, main, same, script, thumb
from pydantic import BaseModel
from strands import Agent, tool
from strands.models.anthropic import AnthropicModel
from strands.models.openai import OpenAIModel

CALLED = []
TWO_STEPS = script({"call": [["weather", {"city": "Oslo"}]]}, {"say": "done: %results%"})


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    CALLED.append(city)
    return f"{city} is sunny"


@tool
def clock() -> str:
    """The time."""
    CALLED.append("noon")
    return "noon"


def chat(name="fast"):
    return OpenAIModel(client_args={"api_key": KEY, "base_url": f"{URL}/v1", "max_retries": 0}, model_id=name)


def claude(name="smart"):
    return AnthropicModel(client_args={"api_key": KEY, "base_url": URL, "max_retries": 0}, model_id=name, max_tokens=1500)


def run(model, prompt, **more):
    CALLED.clear()
    return Agent(model=model, tools=[weather, clock], callback_handler=None, **more)(prompt)


for way, make, other in (("chat", chat, "smart"), ("messages", claude, "fast")):

    @capability("text", way)
    def _(make=make):
        same(str(run(make(), script({"say": "Hello."}))).strip(), "Hello.")

    @capability("stream", way)
    async def _(make=make):
        agent = Agent(model=make(), callback_handler=None)
        pieces = [event["data"] async for event in agent.stream_async(script({"say": LONG})) if "data" in event]
        same("".join(pieces), LONG)
        assert len(pieces) > 5

    @capability("usage", way)
    def _(make=make):
        usage = run(make(), script({"say": LONG})).metrics.accumulated_usage
        assert usage["inputTokens"] > 10 < usage["outputTokens"], usage

    @capability("system", way)
    def _(make=make):
        same(str(run(make(), script({"say": "%system%"}), system_prompt="Be brief.")).strip(), "Be brief.")

    @capability("other vendor", way)
    def _(make=make, other=other):
        same(str(run(make(other), script({"say": "across"}))).strip(), "across")

    @capability("streamed tool loop", way)
    def _(make=make):
        same((str(run(make(), TWO_STEPS)).strip(), CALLED), ("done: Oslo is sunny", ["Oslo"]))

    @capability("tools of the other vendor", way)
    def _(make=make, other=other):
        same((str(run(make(other), TWO_STEPS)).strip(), CALLED), ("done: Oslo is sunny", ["Oslo"]))

    @capability("parallel tools", way)
    def _(make=make):
        text = script({"call": [["weather", {"city": "Oslo"}], ["clock", {}]]}, {"say": "%results%"})
        same((str(run(make(), text)).strip(), sorted(CALLED)), ("Oslo is sunny | noon", ["Oslo", "noon"]))

    @capability("agent", way)
    def _(make=make):
        steps = [{"call": [["weather", {"city": city}]]} for city in ("A", "B", "C", "D", "E")]
        same((str(run(make(), script(*steps, {"say": "done"}))).strip(), CALLED), ("done", ["A", "B", "C", "D", "E"]))

    @capability("invalid call", way)
    def _(make=make):
        same(str(run(make(), script({"call": [["weather", {"town": 1}]]}, {"say": "sorry"}))).strip(), "sorry")

    @capability("schema", way)
    def _(make=make):
        agent = Agent(model=make(), callback_handler=None)
        same(agent(script({"object": PERSON}), structured_output_model=Person).structured_output.model_dump(), PERSON)

    @capability("image", way)
    def _(make=make):
        import base64

        picture = {"image": {"format": "png", "source": {"bytes": base64.b64decode(PNG)}}}
        found = run(make(), [{"text": script({"say": "%saw%"})}, picture])
        same(str(found).strip(), f"image {thumb(PNG)}")


if __name__ == "__main__":
    main()
