"""The Agents SDK of OpenAI, in both of its modes: chat completions and Responses."""

import agents
import openai
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool
from capability import KEY, LONG, PERSON, URL, capability, main, same, script
from pydantic import BaseModel

agents.set_tracing_disabled(True)
client = openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
TWO_STEPS = script({"call": [["weather", {"city": "Oslo"}]]}, {"say": "done: %results%"})
CALLED = []


class Person(BaseModel):
    name: str
    age: int


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    CALLED.append(city)
    return f"{city} is sunny"


@function_tool
def clock() -> str:
    """The time."""
    CALLED.append("noon")
    return "noon"


def capabilities(way, kind):
    def agent(name="helper", model="fast", **more):
        return Agent(name=name, model=kind(model=model, openai_client=client), **more)

    def with_tools(**more):
        CALLED.clear()
        return agent(tools=[weather, clock], **more)

    async def streamed(made, prompt):
        result = Runner.run_streamed(made, prompt)
        pieces = [
            event.data.delta
            async for event in result.stream_events()
            if getattr(getattr(event, "data", None), "type", "") == "response.output_text.delta"
        ]
        return result.final_output, pieces

    @capability("text", way)
    async def _():
        same((await Runner.run(agent(), script({"say": "Hello."}))).final_output, "Hello.")

    @capability("stream", way)
    async def _():
        output, pieces = await streamed(agent(), script({"say": LONG}))
        same((output, "".join(pieces)), (LONG, LONG))
        assert len(pieces) > 10, len(pieces)

    @capability("usage", way)
    async def _():
        usage = (await Runner.run(agent(), script({"say": LONG}))).context_wrapper.usage
        assert usage.input_tokens > 10 < usage.output_tokens, usage

    @capability("system", way)
    async def _():
        same((await Runner.run(agent(instructions="Be brief."), script({"say": "%system%"}))).final_output, "Be brief.")

    @capability("history", way)
    async def _():
        first = await Runner.run(agent(), script({"say": "one"}))
        again = [*first.to_input_list(), {"role": "user", "content": script({"say": "%turns%"})}]
        same((await Runner.run(agent(), again)).final_output, "3")

    @capability("other vendor", way)
    async def _():
        same((await Runner.run(agent(model="smart"), script({"say": "across"}))).final_output, "across")

    @capability("tool loop", way)
    async def _():
        same((await Runner.run(with_tools(), TWO_STEPS)).final_output, "done: Oslo is sunny")
        same(CALLED, ["Oslo"])

    @capability("streamed tool loop", way)
    async def _():
        same((await streamed(with_tools(), TWO_STEPS))[0], "done: Oslo is sunny")
        same(CALLED, ["Oslo"])

    @capability("tools of the other vendor", way)
    async def _():
        same((await streamed(with_tools(model="smart"), TWO_STEPS))[0], "done: Oslo is sunny")
        same(CALLED, ["Oslo"])

    @capability("parallel tools", way)
    async def _():
        text = script({"call": [["weather", {"city": "Oslo"}], ["clock", {}]]}, {"say": "%results%"})
        same((await streamed(with_tools(), text))[0], "Oslo is sunny | noon")
        same(sorted(CALLED), ["Oslo", "noon"])

    @capability("agent", way)
    async def _():
        """Two agents: one hands over, the other calls a tool and answers."""
        steps = [{"call": [["transfer_to_expert", {}]]}, {"call": [["weather", {"city": "Oslo"}]]}, {"say": "expert: %results%"}]
        first = agent("greeter", handoffs=[with_tools(name="expert")])
        output = (await streamed(first, script(*steps)))[0]
        same(CALLED, ["Oslo"])
        assert output.endswith("Oslo is sunny"), output

    @capability("schema", way)
    async def _():
        same((await Runner.run(agent(output_type=Person), script({"object": PERSON}))).final_output, Person(**PERSON))

    @capability("streamed schema", way)
    async def _():
        same((await streamed(agent(output_type=Person), script({"object": PERSON})))[0], Person(**PERSON))

    @capability("parameters", way)
    async def _():
        settings = ModelSettings(
            temperature=0.2,
            max_tokens=300,
            verbosity="low",
            parallel_tool_calls=True,
            include_usage=True,
            metadata={"a": "b"},
            store=False,
        )
        same((await Runner.run(with_tools(model_settings=settings), script({"say": "fine"}))).final_output, "fine")

    @capability("unknown model", way)
    async def _():
        try:
            await Runner.run(agent(model="no-such-model"), "hi")
        except openai.NotFoundError as error:
            same(error.code, "model_not_found")
            return
        raise AssertionError("no error")


for way_, kind_ in (("chat", OpenAIChatCompletionsModel), ("responses", OpenAIResponsesModel)):
    capabilities(way_, kind_)

if __name__ == "__main__":
    main()
