"""LlamaIndex: its model for OpenAI's form, its agent, its structured answers and its embeddings."""

from capability import EMBEDDER, KEY, LONG, PERSON, PNG, URL, capability, holds, main, same, script, thumb
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
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


def model(name="fast", key=KEY, **more):
    known = {"is_chat_model": True, "is_function_calling_model": True, "context_window": 100_000, "max_tokens": 1500}
    return OpenAILike(model=name, api_base=f"{URL}/v1", api_key=key, max_retries=0, timeout=60, **(known | more))


@capability("text")
def _():
    same(model().complete(script({"say": "Hello."})).text, "Hello.")


@capability("stream")
def _():
    pieces = [piece.delta for piece in model().stream_chat([ChatMessage(role="user", content=script({"say": LONG}))])]
    same("".join(pieces), LONG)
    assert len(pieces) > 5


@capability("usage")
def _():
    usage = model().complete(script({"say": LONG})).raw.usage
    assert usage.prompt_tokens > 10 < usage.completion_tokens, usage


@capability("system")
def _():
    messages = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content=script({"say": "%system%"}))]
    same(model().chat(messages).message.content, "Be brief.")


@capability("history")
def _():
    turns = [ChatMessage(role=("user", "assistant")[n % 2], content=f"turn {n}") for n in range(200)]
    answer = model().chat([*turns, ChatMessage(role="user", content=script({"say": "%turns%"}))])
    same(answer.message.content, "201")


@capability("other vendor")
def _():
    same(model("smart").complete(script({"say": "across"})).text, "across")


async def run(text, name="fast", *, streaming):
    CALLED.clear()
    agent = FunctionAgent(tools=[weather, clock], llm=model(name), streaming=streaming)
    return str((await agent.run(text)).response.content)


@capability("tool loop")
async def _():
    same((await run(TWO_STEPS, streaming=False), CALLED), ("done: Oslo is sunny", ["Oslo"]))


@capability("streamed tool loop")
async def _():
    same((await run(TWO_STEPS, streaming=True), CALLED), ("done: Oslo is sunny", ["Oslo"]))


@capability("tools of the other vendor")
async def _():
    same((await run(TWO_STEPS, "smart", streaming=True), CALLED), ("done: Oslo is sunny", ["Oslo"]))


@capability("parallel tools")
async def _():
    text = script({"say": "Both.", "call": [["weather", {"city": "Oslo"}], ["clock", {}]]}, {"say": "%results%"})
    same(await run(text, streaming=True), "Oslo is sunny | noon")
    same(sorted(CALLED), ["Oslo", "noon"])


@capability("agent")
async def _():
    steps = [{"call": [["weather", {"city": city}]]} for city in ("A", "B", "C", "D", "E")]
    same(await run(script(*steps, {"say": "done"}), streaming=True), "done")
    same(CALLED, ["A", "B", "C", "D", "E"])


@capability("invalid call")
async def _():
    same(await run(script({"call": [["weather", {"town": 1}]]}, {"say": "sorry"}), streaming=True), "sorry")


@capability("schema")
def _():
    for more in ({}, {"should_use_structured_outputs": True}):
        found = model(**more).as_structured_llm(Person).complete(script({"object": PERSON})).raw
        same(found.model_dump(), PERSON)


@capability("streamed schema")
def _():
    turn = ChatMessage(role="user", content=script({"object": PERSON}))
    pieces = list(model().as_structured_llm(Person).stream_chat([turn]))
    same(pieces[-1].raw.model_dump(), PERSON)


@capability("image")
def _():
    blocks = [TextBlock(text=script({"say": "%saw%"})), ImageBlock(image=PNG.encode(), image_mimetype="image/png")]
    same(model().chat([ChatMessage(role="user", blocks=blocks)]).message.content, f"image {thumb(PNG)}")


@capability("bad key")
def _():
    import openai

    try:
        model(key="wrong").complete("hi")
    except openai.AuthenticationError:
        return
    raise AssertionError("no error")


@capability("unknown model")
def _():
    import openai

    try:
        model("nope").complete("hi")
    except openai.NotFoundError as error:
        holds(error, "nope")
        return
    raise AssertionError("no error")


@capability("embeddings", "embeddings")
def _():
    embedder = OpenAILikeEmbedding(model_name=EMBEDDER, api_base=f"{URL}/v1", api_key=KEY, max_retries=0)
    one, two, again = embedder.get_text_embedding_batch(["one", "two", "one"])
    same(one, again)
    assert one != two


if __name__ == "__main__":
    main()
