"""Agno: its agent on OpenAI's chat completions, OpenAI's Responses and Anthropic's messages."""

from agno.agent import Agent
from agno.media import Image
from agno.models.anthropic import Claude
from agno.models.openai import OpenAIChat, OpenAIResponses
from capability import KEY, LONG, PERSON, PNG, URL, capability, main, same, script, thumb
from pydantic import BaseModel

CALLED = []
TWO_STEPS = script({"call": [["weather", {"city": "Oslo"}]]}, {"say": "done: %results%"})


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def weather(city: str) -> str:
    """The weather of a city."""
    CALLED.append(city)
    return f"{city} is sunny"


def clock() -> str:
    """The time."""
    CALLED.append("noon")
    return "noon"


def chat(name="fast", key=KEY):
    return OpenAIChat(id=name, base_url=f"{URL}/v1", api_key=key, max_retries=0)


def responses(name="fast"):
    return OpenAIResponses(id=name, base_url=f"{URL}/v1", api_key=KEY, max_retries=0)


def claude(name="smart"):
    return Claude(id=name, api_key=KEY, client_params={"base_url": URL, "max_retries": 0}, max_tokens=1500)


def run(model, text, **more):
    CALLED.clear()
    return Agent(model=model, tools=[weather, clock], telemetry=False, **more).run(text)


def streamed(model, text, **more):
    CALLED.clear()
    agent = Agent(model=model, tools=[weather, clock], telemetry=False, **more)
    return [event.content for event in agent.run(text, stream=True) if event.event == "RunContent" and event.content]


for way, make, other in (("chat", chat, "smart"), ("responses", responses, "smart"), ("messages", claude, "fast")):

    @capability("text", way)
    def _(make=make):
        same(run(make(), script({"say": "Hello."})).content, "Hello.")

    @capability("stream", way)
    def _(make=make):
        pieces = streamed(make(), script({"say": LONG}))
        same("".join(pieces), LONG)
        assert len(pieces) > 5

    @capability("usage", way)
    def _(make=make):
        metrics = run(make(), script({"say": LONG})).metrics
        assert metrics.input_tokens > 10 < metrics.output_tokens, metrics

    @capability("system", way)
    def _(make=make):
        same(run(make(), script({"say": "%system%"}), system_message="Be brief.").content, "Be brief.")

    @capability("other vendor", way)
    def _(make=make, other=other):
        same(run(make(other), script({"say": "across"})).content, "across")

    @capability("tool loop", way)
    def _(make=make):
        same((run(make(), TWO_STEPS).content, CALLED), ("done: Oslo is sunny", ["Oslo"]))

    @capability("streamed tool loop", way)
    def _(make=make):
        same(("".join(streamed(make(), TWO_STEPS)), CALLED), ("done: Oslo is sunny", ["Oslo"]))

    @capability("tools of the other vendor", way)
    def _(make=make, other=other):
        same(("".join(streamed(make(other), TWO_STEPS)), CALLED), ("done: Oslo is sunny", ["Oslo"]))

    @capability("parallel tools", way)
    def _(make=make):
        text = script({"call": [["weather", {"city": "Oslo"}], ["clock", {}]]}, {"say": "%results%"})
        same((run(make(), text).content, sorted(CALLED)), ("Oslo is sunny | noon", ["Oslo", "noon"]))

    @capability("agent", way)
    def _(make=make):
        steps = [{"call": [["weather", {"city": city}]]} for city in ("A", "B", "C", "D", "E")]
        same((run(make(), script(*steps, {"say": "done"})).content, CALLED), ("done", ["A", "B", "C", "D", "E"]))

    @capability("invalid call", way)
    def _(make=make):
        same(run(make(), script({"call": [["weather", {"town": 1}]]}, {"say": "sorry"})).content, "sorry")

    @capability("schema", way)
    def _(make=make):
        agent = Agent(model=make(), output_schema=Person, telemetry=False)
        same(agent.run(script({"object": PERSON})).content.model_dump(), PERSON)

    @capability("image", way)
    def _(make=make):
        import base64

        agent = Agent(model=make(), telemetry=False)
        found = agent.run(script({"say": "%saw%"}), images=[Image(content=base64.b64decode(PNG), mime_type="image/png")])
        same(found.content, f"image {thumb(PNG)}")


if __name__ == "__main__":
    main()
