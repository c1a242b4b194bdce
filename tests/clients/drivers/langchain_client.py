"""LangChain's models of both vendors, and agents of LangChain and LangGraph on them."""

import time

import anthropic
import openai
from capability import EMBEDDER, KEY, LONG, PDF, PERSON, PNG, URL, capability, holds, main, same, script, thumb
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import BaseModel

OPENAI = {"base_url": f"{URL}/v1", "api_key": KEY, "max_retries": 0}
ANTHROPIC = {"base_url": URL, "api_key": KEY, "max_retries": 0, "max_tokens": 1500}
MODELS = {
    "chat": lambda model="fast", **more: ChatOpenAI(model=model, **{**OPENAI, **more}),
    "messages": lambda model="smart", **more: ChatAnthropic(model=model, **{**ANTHROPIC, **more}),
    "responses": lambda model="fast", **more: ChatOpenAI(model=model, use_responses_api=True, **{**OPENAI, **more}),
}
OTHER = {"chat": "smart", "messages": "fast", "responses": "smart"}
TWO_STEPS = script({"call": [["weather", {"city": "Oslo"}]]}, {"say": "done: %results%"})
CALLED = []


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


def graph(model):
    """LangGraph's own loop of a model and its tools."""
    bound = model.bind_tools([weather, clock])
    made = StateGraph(MessagesState)
    made.add_node("model", lambda state: {"messages": [bound.invoke(state["messages"])]})
    made.add_node("tools", ToolNode([weather, clock]))
    made.add_edge(START, "model")
    made.add_conditional_edges("model", tools_condition, ["tools", END])
    made.add_edge("tools", "model")
    return made.compile()


def last(result):
    return result["messages"][-1].text


def run(runnable, text):
    CALLED.clear()
    return last(runnable.invoke({"messages": [HumanMessage(text)]}))


def streamed(runnable, text):
    CALLED.clear()
    pieces = [
        c.text
        for c, _ in runnable.stream({"messages": [HumanMessage(text)]}, stream_mode="messages")
        if c.type in {"AIMessageChunk", "ai"}
    ]
    return "".join(pieces)


def capabilities(way, model):
    @capability("text", way)
    def _():
        same(model().invoke(script({"say": "Hello, Ünïcode 🌍."})).text, "Hello, Ünïcode 🌍.")

    @capability("stream", way)
    def _():
        pieces = [chunk.text for chunk in model().stream(script({"say": LONG}))]
        same("".join(pieces), LONG)
        assert len(pieces) > 10, len(pieces)

    @capability("usage", way)
    def _():
        whole = model().invoke(script({"say": LONG})).usage_metadata
        assert whole["input_tokens"] > 10 < whole["output_tokens"], whole
        total = None
        for chunk in model(stream_usage=True).stream(script({"say": LONG})):
            total = chunk if total is None else total + chunk
        same(
            (total.usage_metadata["input_tokens"], total.usage_metadata["output_tokens"]),
            (whole["input_tokens"], whole["output_tokens"]),
        )

    @capability("system", way)
    def _():
        same(model().invoke([SystemMessage("Be brief."), HumanMessage(script({"say": "%system%"}))]).text, "Be brief.")

    @capability("history", way)
    def _():
        turns = [(HumanMessage, AIMessage)[n % 2](f"turn {n}") for n in range(200)]
        same(model().invoke([*turns, HumanMessage(script({"say": "%turns%"}))]).text, "201")

    if way != "messages":  # the client of Anthropic puts system messages first itself, and refuses a conversation without others

        @capability("late system", way)
        def _():
            turns = [
                HumanMessage("hi"),
                AIMessage("hello"),
                SystemMessage("Speak up."),
                HumanMessage(script({"say": "%system%"})),
            ]
            holds(model().invoke(turns).text, "Speak up.")

        @capability("system only", way)
        def _():
            same(model().invoke([SystemMessage(script({"say": "alone"}))]).text, "alone")

    @capability("other vendor", way)
    def _():
        same("".join(chunk.text for chunk in model(OTHER[way]).stream(script({"say": LONG}))), LONG)

    @capability("tool loop", way)
    def _():
        same((run(create_agent(model(), [weather]), TWO_STEPS), CALLED), ("done: Oslo is sunny", ["Oslo"]))
        same((run(graph(model()), TWO_STEPS), CALLED), ("done: Oslo is sunny", ["Oslo"]))

    @capability("streamed tool loop", way)
    def _():
        same((streamed(create_agent(model(), [weather]), TWO_STEPS), CALLED), ("done: Oslo is sunny", ["Oslo"]))
        same((streamed(graph(model()), TWO_STEPS), CALLED), ("done: Oslo is sunny", ["Oslo"]))

    @capability("tools of the other vendor", way)
    def _():
        same((streamed(create_agent(model(OTHER[way]), [weather]), TWO_STEPS), CALLED), ("done: Oslo is sunny", ["Oslo"]))

    @capability("parallel tools", way)
    def _():
        text = script({"say": "Both.", "call": [["weather", {"city": "Oslo"}], ["clock", {}]]}, {"say": "%results%"})
        same(run(graph(model()), text), "Oslo is sunny | noon")
        same(sorted(CALLED), ["Oslo", "noon"])

    @capability("agent", way)
    def _():
        steps = [{"say": f"Step {n}.", "call": [["weather", {"city": f"City {n}"}]]} for n in range(5)]
        same(
            run(create_agent(model(), [weather]), script(*steps, {"say": "%results%"})),
            " | ".join(f"City {n} is sunny" for n in range(5)),
        )
        same(len(CALLED), 5)

    @capability("invalid call", way)
    def _():
        text = script({"call": [["weather", {"town": 1}]]}, {"say": "sorry: %results%"})
        holds(streamed(graph(model()), text), "sorry: Error")
        same(CALLED, [])

    @capability("schema", way)
    def _():
        for method in ("function_calling", "json_schema"):
            same(model().with_structured_output(Person, method=method).invoke(script({"object": PERSON})), Person(**PERSON))
        result = create_agent(model(), [weather], response_format=Person).invoke(
            {"messages": [HumanMessage(script({"call": [["Person", PERSON]]}))]}
        )
        same(result["structured_response"], Person(**PERSON))

    @capability("streamed schema", way)
    def _():
        *_, final = model().with_structured_output(Person).stream(script({"object": PERSON}))
        same(final, Person(**PERSON))

    @capability("image", way)
    def _():
        part = {"type": "image", "base64": PNG, "mime_type": "image/png"}
        same(
            model().invoke([HumanMessage([part, {"type": "text", "text": script({"say": "%saw%"})}])]).text, f"image {thumb(PNG)}"
        )

    @capability("pdf", way)
    def _():
        part = {"type": "file", "base64": PDF, "mime_type": "application/pdf", "filename": "a.pdf"}
        same(
            model().invoke([HumanMessage([part, {"type": "text", "text": script({"say": "%saw%"})}])]).text,
            f"document {thumb(PDF)}",
        )

    @capability("bad key", way)
    def _():
        try:
            model(api_key="wrong").invoke("hi")
        except (openai.AuthenticationError, anthropic.AuthenticationError):
            return
        raise AssertionError("no error")

    @capability("unknown model", way)
    def _():
        try:
            model("no-such-model").invoke("hi")
        except anthropic.NotFoundError:
            return
        except openai.NotFoundError as error:
            same(error.code, "model_not_found")
            return
        raise AssertionError("no error")


for way_, model_ in MODELS.items():
    capabilities(way_, model_)


@capability("json mode")
def _():
    same(
        MODELS["chat"]().with_structured_output(Person, method="json_mode").invoke("JSON. " + script({"object": PERSON})),
        Person(**PERSON),
    )


@capability("choices")
def _():
    generations = MODELS["chat"](n=2).generate([[HumanMessage(script({"say": "two"}))]]).generations[0]
    same([g.text for g in generations], ["two", "two"])


@capability("logprobs")
def _():
    answer = MODELS["chat"](logprobs=True).invoke(script({"say": "likely"}))
    same("".join(t["token"] for t in answer.response_metadata["logprobs"]["content"]), "likely")


@capability("thinking", "messages")
def _():
    made = MODELS["messages"](thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=1500)
    text = script({"think": "I need it.", "call": [["weather", {"city": "Oslo"}]]}, {"think": "So.", "say": "%results%"})
    same(streamed(create_agent(made, [weather]), text), "Oslo is sunny")
    thought = made.invoke(script({"think": "Let me see.", "say": "Seen."})).content[0]
    same((thought["type"], thought["thinking"]), ("thinking", "Let me see."))


@capability("cache", "messages")
def _():
    block = {"type": "text", "text": f"{time.time()} " + LONG * 4, "cache_control": {"type": "ephemeral"}}
    first, second = (
        MODELS["messages"]().invoke([SystemMessage([block]), HumanMessage(script({"say": s}))]).usage_metadata
        for s in ("one", "two")
    )
    assert (
        first["input_token_details"]["cache_creation"] > 100 or first["input_token_details"]["ephemeral_5m_input_tokens"] > 100
    ), first
    assert second["input_token_details"]["cache_read"] > 100, second


@capability("count tokens", "messages")
def _():
    assert MODELS["messages"]().get_num_tokens_from_messages([HumanMessage(LONG)]) > 20


@capability("embeddings", "embeddings")
def _():
    # Whole texts: the client's own splitting into tokens would download a vocabulary.
    found = OpenAIEmbeddings(model=EMBEDDER, check_embedding_ctx_length=False, **OPENAI).embed_documents(["one", "two", "one"])
    same(found[0], found[2])
    assert found[0] != found[1]


if __name__ == "__main__":
    main()
