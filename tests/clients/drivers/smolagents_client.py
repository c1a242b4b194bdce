"""smolagents: agents that call tools, and agents that write code."""

from capability import KEY, LONG, PERSON, PERSON_SCHEMA, URL, capability, holds, main, same, script
from smolagents import ChatMessage, CodeAgent, LogLevel, OpenAIModel, ToolCallingAgent, tool

CALLED = []


@tool
def weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: The city.

    """
    CALLED.append(city)
    return f"{city} is sunny"


def model(name="fast", **more):
    return OpenAIModel(model_id=name, api_base=f"{URL}/v1", api_key=KEY, client_kwargs={"max_retries": 0}, **more)


def messages(text):
    return [ChatMessage(role="user", content=[{"type": "text", "text": text}])]


@capability("text")
def _():
    same(model().generate(messages(script({"say": "Hello."}))).content, "Hello.")


@capability("stream")
def _():
    same("".join(delta.content or "" for delta in model().generate_stream(messages(script({"say": LONG})))), LONG)


@capability("usage")
def _():
    usage = model().generate(messages(script({"say": LONG}))).token_usage
    assert usage.input_tokens > 10 < usage.output_tokens, usage


@capability("other vendor")
def _():
    same(model("smart").generate(messages(script({"say": "across"}))).content, "across")


def run(kind, *steps, streamed=False, name="fast"):
    CALLED.clear()
    agent = kind(tools=[weather], model=model(name), verbosity_level=LogLevel.OFF, max_steps=8, stream_outputs=streamed)
    return agent.run(script(*steps))


CALL = {"call": [["weather", {"city": "Oslo"}]]}
FINAL = {"call": [["final_answer", {"answer": "sunny"}]]}


@capability("tool loop")
def _():
    same((run(ToolCallingAgent, CALL, FINAL), CALLED), ("sunny", ["Oslo"]))


@capability("streamed tool loop")
def _():
    same((run(ToolCallingAgent, CALL, FINAL, streamed=True), CALLED), ("sunny", ["Oslo"]))


@capability("tools of the other vendor")
def _():
    same((run(ToolCallingAgent, CALL, FINAL, streamed=True, name="smart"), CALLED), ("sunny", ["Oslo"]))


@capability("agent")
def _():
    code = "<code>\nanswer = weather('Oslo')\nfinal_answer(answer)\n</code>"
    for streamed in (False, True):
        same((run(CodeAgent, {"say": f"I run code.\n{code}"}, streamed=streamed), CALLED), ("Oslo is sunny", ["Oslo"]))


@capability("invalid call")
def _():
    same(run(ToolCallingAgent, {"call": [["weather", {"town": 1}]]}, FINAL, streamed=True), "sunny")
    same(CALLED, [])


@capability("schema")
def _():
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON_SCHEMA, "strict": True}}
    holds(model().generate(messages(script({"object": PERSON})), response_format=form).content, '"Ada"')


if __name__ == "__main__":
    main()
