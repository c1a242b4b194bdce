"""Translate embeddings to OpenAI's wire and back. Pure: no I/O, no SDK.

Vectors are requested as base64, which the official SDK requests by default. A server that sends numbers all the same (Ollama) is
read too, and one that refuses base64 (gateways in front of Azure, Vertex and others) or lists no vectors is asked for numbers.
Any answer that is not one usable vector of the right length for each input is garbled: a wrong vector in a client's index is
never noticed again. Numbering and usage have the accents of a dozen servers.
"""

import re
from base64 import b64encode
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

from app.domain.calls import Reply, Usage
from app.domain.embeddings import FLOAT_BYTES, Inputs, VectorSpace, from_base64, from_floats, usable
from app.gateway.providers.base import ModelRequest
from app.gateway.providers.errors import ProtocolError
from app.gateway.providers.reported import UNUSABLE, Count, Optional

LONGEST_ERROR = 4_000
MOST = 128 * 2**20  # bytes: beyond 2,048 vectors of 3,072 numbers as text
LARGE = 256 * 1024  # bytes of an answer that is read in a thread


class _Usage(BaseModel):
    prompt_tokens: Count = None
    total_tokens: Count = None


class _Embedding(BaseModel):
    index: int | None = None
    embedding: str | list[float]


class _Answer(BaseModel):
    data: list[_Embedding]
    model: str | None = None
    usage: Annotated[_Usage | None, Optional] = None


class _Item(BaseModel):
    embedding: Any = None


class _Empty(BaseModel):
    data: list[_Item]


class _Billed(BaseModel):
    usage: Annotated[_Usage | None, Optional] = None


_FORM = re.compile("base64|encoding_?format", re.IGNORECASE)
_NUMBERS = re.compile(rb"\[[-+0-9.eE,\s]+\]")
_ANSWER, _BILLED, _EMPTY = TypeAdapter(_Answer), TypeAdapter(_Billed), TypeAdapter(_Empty)


def body(request: ModelRequest, *, numbers: bool = False) -> dict[str, Any]:
    """The JSON body of one attempt. ``numbers``: for a server that refuses base64."""
    embed, space = request.embed or Inputs(), request.space
    inputs = [*embed.texts, *(list(ids) for ids in embed.token_ids)]
    shorter = (
        {"dimensions": embed.dimensions} if embed.dimensions and not (space and embed.dimensions == space.dimensions) else {}
    )
    return {"model": request.model, "input": inputs, "encoding_format": "float" if numbers else "base64", **shorter}


def refuses_base64(body: object) -> bool:
    """Whether an error's body is about the form of the vectors."""
    return bool(_FORM.search(str(body)[:LONGEST_ERROR]))


def holds_none(content: bytes) -> bool:
    """Whether an answer lists no vector at all: so OpenRouter answers to base64 for models whose servers have only numbers."""
    try:
        return len(content) < LARGE and not any(item.embedding for item in _EMPTY.validate_json(content).data)
    except ValidationError:
        return False


def read(content: bytes, request: ModelRequest, provider: str, request_id: str | None) -> Reply:
    """Read an answer. Raises ValueError where it is not the protocol, or not a vector for each input."""
    answer = _ANSWER.validate_json(_packed(content) if len(content) > LARGE else content)
    vectors = tuple(_vector(item.embedding) for item in _in_order(answer.data))
    embed, space = request.embed or Inputs(), request.space
    if len(vectors) != len(embed):
        raise ProtocolError(f"{len(vectors)} vectors for {len(embed)} inputs.")
    _check(vectors, embed, space)
    return Reply(
        parts=(),
        stop="end",
        usage=_counted(answer.usage),
        provider=provider,
        model=answer.model or request.model,
        provider_request_id=request_id,
        vectors=vectors,
    )


def _packed(content: bytes) -> bytes:
    """The same answer with its vectors of numbers as base64: parsed together, they would hold the interpreter for too long."""
    return _NUMBERS.sub(lambda found: b'"%s"' % b64encode(from_floats(from_json(found[0]))), content)


def usage(content: bytes) -> Usage:
    """The tokens that an answer reports, also of one that cannot be used. Zero: not known."""
    try:
        return _counted(_BILLED.validate_json(content).usage)
    except ValidationError:
        return Usage()


def _counted(usage: _Usage | None) -> Usage:
    reported = usage or _Usage()
    counted = reported.prompt_tokens if reported.prompt_tokens is not None else reported.total_tokens
    return Usage(input=0 if counted in (None, UNUSABLE) else counted or 0)


def _in_order(items: list[_Embedding]) -> list[_Embedding]:
    """By ``index``, in whatever order they came; as they came where a server numbers none, or all alike.

    Beside others, one without a number is the first: Gemini leaves out what is zero.
    """
    if len({item.index for item in items}) <= 1:
        return items
    placed = {item.index or 0: item for item in items}
    if placed.keys() != set(range(len(items))):
        raise ProtocolError("Vectors whose numbers are missing, double or out of range.")
    return [placed[number] for number in range(len(items))]


def _vector(value: str | list[float]) -> bytes:
    try:
        return from_base64(value) if isinstance(value, str) else from_floats(value)
    except ValueError:
        raise ProtocolError("A vector that is neither numbers nor base64.") from None


def _check(vectors: tuple[bytes, ...], embed: Inputs, space: VectorSpace | None) -> None:
    wanted = embed.dimensions or (space.dimensions if space else 0)
    for vector in vectors:
        if len(vector) != FLOAT_BYTES * wanted:
            raise ProtocolError(f"A vector of {len(vector) / FLOAT_BYTES:g} dimensions instead of {wanted}.")
        if not usable(vector):
            raise ProtocolError("A vector that is zero or not finite.")
