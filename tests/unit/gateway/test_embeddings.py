"""Embeddings on their way through recovery and money: fallback within a space, bounds without output."""

from dataclasses import replace

import pytest
from scripted import A, B, Scripted, call_state, error, outcomes, recovery

from app.domain.calls import Reply, Usage
from app.domain.embeddings import Inputs, VectorSpace, from_floats
from app.domain.errors import (
    InvalidRequest,
    OctantError,
    ProviderGarbled,
    ProvidersUnavailable,
    UnknownModel,
    UnsupportedParameter,
    WrongEndpoint,
)
from app.domain.messages import ToolSpec
from app.domain.routes import Pin, Prompt
from app.gateway import admission
from app.gateway.call_state import CallState
from app.gateway.rendering import render
from app.gateway.transcript import reply_text, request_text

SPACE = VectorSpace("m", 2, shortens=True, tokenizer="cl100k_base")
VECTOR = from_floats([1.0, 2.0])
TEXT = Inputs(texts=("grün",))
THREE_TOKENS = Usage(input=3)


def vectors(provider: str, *, usage: Usage = THREE_TOKENS) -> Reply:
    return Reply(parts=(), stop="end", usage=usage, provider=provider, model="m", vectors=(VECTOR,))


def embedding(inputs: Inputs = TEXT, space: VectorSpace | None = SPACE) -> CallState:
    """A call's state on a route of embeddings over `A` and `B`."""
    state = call_state()
    state.call = replace(state.call, embed=inputs, messages=(), needs=frozenset({"embeddings"}), feature="embeddings")
    state.pin = replace(state.pin, route=replace(state.pin.route, space=space))
    state.change(render(state.call, state.pin))
    return state


async def test_a_garbled_answer_falls_back_within_the_space() -> None:
    """G1b."""
    a, b = Scripted("a", error(ProviderGarbled, usage=Usage(input=3))), Scripted("b", vectors("b"))
    room, state = recovery(a, b), embedding()
    room.choose(state)
    assert (await room.complete(state)).vectors == (VECTOR,)
    assert outcomes(state)[-1] == ("b", "ok")
    assert all(request.embed == TEXT and request.space == SPACE for request in (*a.requests, *b.requests))
    assert all(attempt.usage == Usage(input=3) for attempt in state.spending.attempts)


async def test_no_target_left_is_a_typed_error() -> None:
    room, state = recovery(Scripted("a", error(ProviderGarbled)), Scripted("b", error(ProviderGarbled))), embedding()
    with pytest.raises(ProvidersUnavailable):
        await room.complete(state)


async def test_a_vendor_without_embeddings_is_passed_over_or_the_call_refused() -> None:
    a, b = Scripted("a", vectors("a")), Scripted("b", vectors("b"))
    a.cannot = frozenset({"embeddings"})
    state = embedding()
    recovery(a, b).choose(state)
    assert (state.targets, state.degraded) == ((B,), ["narrowed"])
    b.cannot = frozenset({"embeddings"})
    with pytest.raises(UnsupportedParameter):
        recovery(a, b).choose(embedding())


def test_the_worst_case_is_one_token_a_byte_and_no_output() -> None:
    """C1."""
    state = embedding()
    assert (state.bound().input, state.bound().output) == (len("grün".encode()) + 8, 0)
    assert embedding(Inputs(token_ids=((1, 2, 3), (4,)))).bound().input == 4 + 16
    assert embedding(Inputs(token_ids=((1, 2, 3), (4,)))).likely_tokens == 4
    assert state.worst_case(A) == 13


async def test_usage_that_no_server_reports_is_counted_at_the_bound() -> None:
    room, state = recovery(Scripted("a", vectors("a", usage=Usage()))), embedding()
    state.targets = (A,)
    reply = await room.complete(state)
    assert reply.usage == Usage(input=13, estimated=True)


def test_a_record_holds_texts_but_neither_vectors_nor_token_ids() -> None:
    state = embedding(Inputs(texts=("a text",), token_ids=((123456, 7),)))
    assert request_text(state.request) == '{"input": ["a text", {"token_ids": 2}], "dimensions": null}'
    assert reply_text(vectors("a")) == '{"vectors": 1, "dimensions": 2}'


@pytest.mark.parametrize(
    ("inputs", "space", "raised"),
    [
        (Inputs(texts=("a",)), SPACE, None),
        (Inputs(texts=("a",), dimensions=2), replace(SPACE, shortens=False), None),
        (Inputs(texts=("a",), dimensions=1), SPACE, None),
        (Inputs(texts=("a",), dimensions=1), replace(SPACE, shortens=False), UnsupportedParameter),
        (Inputs(texts=("a",), dimensions=3), SPACE, InvalidRequest),
        (Inputs(token_ids=((1,),)), SPACE, None),
        (Inputs(token_ids=((1,),)), replace(SPACE, tokenizer=None), UnsupportedParameter),
        (Inputs(texts=("a",)), None, WrongEndpoint),
    ],
)
def test_a_space_takes_what_its_models_can_read(
    inputs: Inputs, space: VectorSpace | None, raised: type[OctantError] | None
) -> None:
    """Token ids of one tokenizer are other words to a model of another: wrong vectors, and no error."""
    state = embedding(inputs, space)
    if raised is None:
        admission.check(state.call, state.pin)
    else:
        with pytest.raises(raised):
            admission.check(state.call, state.pin)


PROMPT = Prompt(
    name="shop/reply", version="v2", sha256="0" * 64, system="Be $tone.", user="$text ${text} $$5", route="smart", callable=True
)
BOTH = {"tone": "kind", "text": "hello"}


def admit(pin: Pin, **call: object) -> None:
    admission.check(replace(call_state().call, **call), pin)  # type: ignore[arg-type] # fields of a call


def prompt_pin(**changes: object) -> Pin:
    return replace(call_state().pin, prompt=replace(PROMPT, **changes))  # type: ignore[arg-type] # fields of a prompt


def test_a_client_may_call_a_prompt_that_the_release_opens() -> None:
    """G3."""
    admit(prompt_pin(), variables=BOTH)
    admit(prompt_pin(), variables=BOTH, prompt_version="v2")


@pytest.mark.parametrize("feature", ["chat", "other", "shopping", "responses"])
def test_to_any_other_caller_a_product_s_own_prompt_does_not_exist(feature: str) -> None:
    with pytest.raises(UnknownModel, match="shop/reply"):
        admit(prompt_pin(callable=False), variables=BOTH, feature=feature)


@pytest.mark.parametrize("feature", ["shop", "shop.reply"])
def test_a_product_calls_its_own_prompt(feature: str) -> None:
    admit(prompt_pin(callable=False), variables=BOTH, feature=feature)


@pytest.mark.parametrize(
    ("variables", "words", "param"),
    [
        ({"tone": "kind"}, ["`text`"], "prompt.variables.text"),
        ({}, ["`text`, `tone`"], "prompt.variables.text"),
        ({**BOTH, "mood": "x"}, ["has no variable `mood`"], "prompt.variables.mood"),
        ({"tone": "x", "texts": "x"}, ["needs variable `text`", "no variable `texts`"], "prompt.variables.text"),
        ({**BOTH, "a secret: 4111": "x"}, ["no variable `…`"], "prompt.variables"),
    ],
)
def test_missing_and_unknown_variables_are_named(variables: dict[str, str], words: list[str], param: str) -> None:
    """G3. A caller's own word is repeated only if it is a name."""
    with pytest.raises(InvalidRequest) as refused:
        admit(prompt_pin(), variables=variables)
    assert refused.value.param == param
    assert all(word in refused.value.message for word in words)
    assert "4111" not in refused.value.message


def test_another_version_than_the_release_s_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="v2") as refused:
        admit(prompt_pin(), variables=BOTH, prompt_version="v1")
    assert refused.value.param == "prompt.version"


def test_tools_beside_a_prompt_are_the_prompt_s_own() -> None:
    """S3."""
    tool = ToolSpec("look_up", "", {"type": "object"})
    admit(prompt_pin(tools=("look_up",)), variables=BOTH, tools=(tool,))
    with pytest.raises(UnsupportedParameter):
        admit(prompt_pin(), variables=BOTH, tools=(tool,))


def test_variables_without_a_prompt_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        admit(call_state().pin, variables={"text": "x"})
