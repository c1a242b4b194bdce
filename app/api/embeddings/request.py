"""OpenAI's embeddings request. Every field of the SDK's type is honoured; limits are the vendor's.

``input`` is checked here and not by pydantic, which would try four lists of up to 300,000 numbers, one after the other.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, TypeGuard

from pydantic import BaseModel, ConfigDict, Field

from app.domain.calls import Call
from app.domain.embeddings import Inputs
from app.domain.errors import InvalidRequest
from app.edge.requests import CallContext, parsed

MOST_INPUTS = 2048  # platform.openai.com/docs/api-reference/embeddings/create
MOST_TOKENS = 300_000  # of all inputs together; of texts the vendor counts them
MOST_ID = 2**31 - 1
Schema: TypeAlias = dict[str, Any]
_STRINGS: Schema = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": MOST_INPUTS}
_IDS: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": MOST_ID}, "minItems": 1}
_FORMS: list[Any] = [
    {"type": "string", "minLength": 1},
    _STRINGS,
    _IDS,
    {"type": "array", "items": _IDS, "minItems": 1, "maxItems": MOST_INPUTS},
]


class EmbeddingsRequest(BaseModel):
    """The body. ``encoding_format``: the official SDK requests base64 by itself and gives its caller numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: str
    input: Any = Field(json_schema_extra={"anyOf": _FORMS})
    dimensions: int | None = Field(default=None, ge=1)
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = Field(default=None, max_length=128)


def read(body: bytes, context: CallContext) -> tuple[EmbeddingsRequest, Call]:
    """Read a request and the call it asks for. Raises InvalidRequest naming the field, never its value."""
    request = parsed(EmbeddingsRequest, body)
    call = Call(
        id=context.request_id,
        identity=context.identity_for(request.user),
        feature="embeddings",
        form="openai",
        size=len(body),
        target=request.model,
        deadline=context.deadline,
        embed=inputs(request.input, request.dimensions),
        needs=frozenset({"embeddings"}),
    )
    return request, call


def inputs(value: Any, dimensions: int | None) -> Inputs:  # noqa: ANN401 - any JSON
    """The inputs in any of the four forms. Raises InvalidRequest."""
    if isinstance(value, str):
        return Inputs(texts=(_text(value, "input"),), dimensions=dimensions)
    if not isinstance(value, list) or not value:
        raise _invalid("input", "a text, a list of texts, token ids or a list of lists of token ids, and not empty")
    if type(value[0]) is int:
        return _tokens([value], ["input"], dimensions)
    if len(value) > MOST_INPUTS:
        raise _invalid("input", f"at most {MOST_INPUTS} inputs")
    if isinstance(value[0], str):
        return Inputs(texts=tuple(_text(text, f"input[{at}]") for at, text in enumerate(value)), dimensions=dimensions)
    return _tokens(value, [f"input[{at}]" for at in range(len(value))], dimensions)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _invalid(where, "a text that is not empty")
    return value


def _tokens(lists: Sequence[object], where: Sequence[str], dimensions: int | None) -> Inputs:
    found: list[tuple[int, ...]] = []
    for ids, name in zip(lists, where, strict=True):
        if not _are_ids(ids):
            raise _invalid(name, "token ids, at least one")
        found.append(tuple(ids))
    if sum(map(len, found)) > MOST_TOKENS:
        raise _invalid("input", f"at most {MOST_TOKENS:,} tokens in one request")
    return Inputs(token_ids=tuple(found), dimensions=dimensions)


def _are_ids(value: object) -> TypeGuard[list[int]]:
    """Whether it is a list of token ids. `True` is none."""
    return isinstance(value, list) and bool(value) and all(type(i) is int and 0 <= i <= MOST_ID for i in value)


def _invalid(where: str, rule: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for '{where}': {rule}.", param=where)
