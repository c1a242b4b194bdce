"""Haystack: its chat generator, its agent and its embedder on OpenAI's form."""

from capability import EMBEDDER, KEY, LONG, PERSON, PERSON_SCHEMA, PNG, URL, capability, holds, main, same, script, thumb
from haystack import Document
from haystack.components.agents import Agent
from haystack.components.embedders import OpenAIDocumentEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage, ImageContent
from haystack.tools import tool
from haystack.utils import Secret

CALLED = []
TWO_STEPS = script({"call": [["weather", {"city": "Oslo"}]]}, {"say": "done: %results%"})


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    CALLED.append(city)
    return f"{city} is sunny"


def generator(model="fast", key=KEY, **more):
    return OpenAIChatGenerator(api_key=Secret.from_token(key), model=model, api_base_url=f"{URL}/v1", max_retries=0, **more)


def ask(text, **more):
    return generator(**more).run([ChatMessage.from_user(text)])["replies"][0]


@capability("text")
def _():
    same(ask(script({"say": "Hello."})).text, "Hello.")


@capability("stream")
def _():
    pieces = []
    same(ask(script({"say": LONG}), streaming_callback=lambda chunk: pieces.append(chunk.content)).text, LONG)
    same("".join(pieces), LONG)


@capability("usage")
def _():
    usage = ask(script({"say": LONG})).meta["usage"]
    assert usage["prompt_tokens"] > 10 < usage["completion_tokens"], usage


@capability("system")
def _():
    messages = [ChatMessage.from_system("Be brief."), ChatMessage.from_user(script({"say": "%system%"}))]
    same(generator().run(messages)["replies"][0].text, "Be brief.")


@capability("other vendor")
def _():
    same(ask(script({"say": "across"}), model="smart").text, "across")


def run(text, model="fast", **more):
    CALLED.clear()
    agent = Agent(chat_generator=generator(model), tools=[weather], **more)
    return agent.run([ChatMessage.from_user(text)])["messages"][-1].text


@capability("tool loop")
def _():
    same((run(TWO_STEPS), CALLED), ("done: Oslo is sunny", ["Oslo"]))


@capability("streamed tool loop")
def _():
    same((run(TWO_STEPS, streaming_callback=lambda _: None), CALLED), ("done: Oslo is sunny", ["Oslo"]))


@capability("tools of the other vendor")
def _():
    same((run(TWO_STEPS, model="smart", streaming_callback=lambda _: None), CALLED), ("done: Oslo is sunny", ["Oslo"]))


@capability("invalid call")
def _():
    text = script({"call": [["weather", {"town": 1}]]}, {"say": "sorry"})
    same(run(text, streaming_callback=lambda _: None, raise_on_tool_invocation_failure=False), "sorry")


@capability("schema")
def _():
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON_SCHEMA, "strict": True}}
    holds(ask(script({"object": PERSON}), generation_kwargs={"response_format": form}).text, '"Ada"')


@capability("image")
def _():
    message = ChatMessage.from_user(
        content_parts=[script({"say": "%saw%"}), ImageContent(base64_image=PNG, mime_type="image/png")]
    )
    same(generator().run([message])["replies"][0].text, f"image {thumb(PNG)}")


@capability("choices")
def _():
    replies = generator(generation_kwargs={"n": 2}).run([ChatMessage.from_user(script({"say": "two"}))])["replies"]
    same([reply.text for reply in replies], ["two", "two"])


@capability("bad key")
def _():
    import openai

    try:
        ask("hi", key="wrong")
    except openai.AuthenticationError:
        return
    raise AssertionError("no error")


@capability("embeddings", "embeddings")
def _():
    embedder = OpenAIDocumentEmbedder(
        api_key=Secret.from_token(KEY), model=EMBEDDER, api_base_url=f"{URL}/v1", progress_bar=False
    )
    found = [
        document.embedding for document in embedder.run([Document(content=text) for text in ("one", "two", "one")])["documents"]
    ]
    same(found[0], found[2])
    assert found[0] != found[1]


if __name__ == "__main__":
    main()
