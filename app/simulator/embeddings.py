"""Embeddings as the simulator makes them: hashed counts of words, so that similar texts have near vectors.

Each word adds one to a place that its hash names, with a sign from the hash; the vector has length one. The same text gives the
same vector for ever, under every model's name. Shapes: platform.openai.com/docs/api-reference/embeddings.
"""

import base64
import hashlib
import math
import re
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from app.simulator import tokens
from app.simulator.request import Ask, Turn

PATH = "/v1/embeddings"
DIMENSIONS: Mapping[str, int] = {"text-embedding-3-large": 3072}
OTHERWISE = 1536
MOST_INPUTS = 2048
_WORD = re.compile(r"[^\W_]+")


def ask_of(body: Mapping[str, Any]) -> Ask:
    """The request as the faults see it. Raises KeyError, TypeError or ValueError for one that is not of the protocol."""
    inputs = _inputs(body)
    if not 1 <= len(inputs) <= MOST_INPUTS or any(not one for one in inputs):
        raise ValueError("input must hold 1 to 2048 inputs, none of them empty")
    turns = tuple(Turn("user", one if isinstance(one, str) else " ".join(map(str, one))) for one in inputs)
    return Ask(model=str(body["model"]), system="", turns=turns)


def answer(body: Mapping[str, Any], ask: Ask, usage: tuple[int, int] | None = None) -> dict[str, Any]:
    """The list of embeddings. ``usage``: wrong numbers to report as input and output."""
    size = int(body.get("dimensions") or DIMENSIONS.get(ask.model, OTHERWISE))
    as_base64 = body.get("encoding_format") == "base64"
    vectors = [vector(turn.text, size) for turn in ask.turns]
    data = [
        {
            "object": "embedding",
            "index": number,
            "embedding": base64.b64encode(array("f", v).tobytes()).decode() if as_base64 else v,
        }
        for number, v in enumerate(vectors)
    ]
    counted = usage[0] if usage else count(body)
    return {"object": "list", "data": data, "model": ask.model, "usage": {"prompt_tokens": counted, "total_tokens": counted}}


def count(body: Mapping[str, Any]) -> int:
    """The tokens of all inputs."""
    return sum(tokens.count(one) if isinstance(one, str) else len(one) for one in _inputs(body))


def vector(text: str, size: int) -> list[float]:
    """The vector of a text, of length one."""
    numbers = [0.0] * size
    for word in _WORD.findall(text.lower()) or [text]:
        digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
        place = int.from_bytes(digest[:7], "big") % size
        numbers[place] += 1.0 if digest[7] & 1 else -1.0
    length = math.sqrt(sum(n * n for n in numbers))
    if not length:  # its words cancel each other out
        return [1.0, *[0.0] * (size - 1)]
    return [n / length for n in numbers]


def _inputs(body: Mapping[str, Any]) -> Sequence[Any]:
    value = body["input"]
    if isinstance(value, str) or (value and isinstance(value[0], int)):
        return [value]
    return list(value)
