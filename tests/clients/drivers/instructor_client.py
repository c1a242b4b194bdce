"""instructor: objects by every one of its modes, whole and in part."""

import anthropic
import instructor
import openai
from capability import KEY, PERSON, URL, capability, holds, main, same, script
from instructor import Mode
from instructor.core.exceptions import InstructorRetryException
from pydantic import BaseModel, field_validator

OPENAI = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
ANTHROPIC = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)


class Person(BaseModel):
    name: str
    age: int


class Adult(Person):
    @field_validator("age")
    @classmethod
    def grown(cls, age):
        if age < 18:
            raise ValueError("must be an adult")
        return age


def made(way, mode):
    if way == "messages":
        return instructor.from_anthropic(ANTHROPIC, mode=mode)
    return instructor.from_openai(OPENAI, mode=mode)


def ask(way, mode, text, model=Person, **more):
    alias = "smart" if way == "messages" else "fast"
    messages = [{"role": "user", "content": "JSON. " + text}]
    return made(way, mode).create(response_model=model, messages=messages, model=alias, max_tokens=500, max_retries=2, **more)


TOOLS = {"chat": Mode.TOOLS, "messages": Mode.ANTHROPIC_TOOLS, "responses": Mode.RESPONSES_TOOLS}
OTHERS = {"chat": (Mode.TOOLS_STRICT, Mode.JSON_SCHEMA), "messages": (Mode.ANTHROPIC_JSON,), "responses": ()}


def capabilities(way):
    @capability("schema", way)
    def _():
        for mode in (TOOLS[way], *OTHERS[way]):
            same(ask(way, mode, script({"object": PERSON})).model_dump(), PERSON)

    @capability("streamed schema", way)
    def _():
        client = made(way, TOOLS[way])
        request = {"model": "smart" if way == "messages" else "fast", "max_tokens": 500}
        parts = list(
            client.create_partial(
                response_model=Person, messages=[{"role": "user", "content": script({"object": PERSON})}], **request
            )
        )
        same(parts[-1].model_dump(), PERSON)
        assert len(parts) > 1, parts

    if way != "responses":  # there the client sends its objection without the model's turn, so that a script cannot go on

        @capability("agent", way)
        def _():
            """A value that the client's validator refuses goes back to the model, and its next one is taken."""
            text = script({"object": {"name": "Ada", "age": 3}}, {"object": PERSON})
            same(ask(way, TOOLS[way], text, Adult).model_dump(), PERSON)


for way_ in TOOLS:
    capabilities(way_)


@capability("json mode")
def _():
    for mode in (Mode.JSON, Mode.MD_JSON):
        same(ask("chat", mode, script({"object": PERSON})).model_dump(), PERSON)


@capability("parallel tools")
def _():
    client = made("chat", Mode.PARALLEL_TOOLS)
    from collections.abc import Iterable

    text = script({"call": [["Person", PERSON], ["Person", {"name": "Bob", "age": 40}]]})
    found = client.create(response_model=Iterable[Person], messages=[{"role": "user", "content": text}], model="fast")
    same([person.name for person in found], ["Ada", "Bob"])


@capability("bad key")
def _():
    bad = instructor.from_openai(openai.OpenAI(base_url=f"{URL}/v1", api_key="wrong", max_retries=0))
    try:
        bad.create(response_model=Person, messages=[{"role": "user", "content": "hi"}], model="fast", max_retries=0)
    except (openai.AuthenticationError, InstructorRetryException) as error:
        holds(error, "401")
        return
    raise AssertionError("no error")


if __name__ == "__main__":
    main()
