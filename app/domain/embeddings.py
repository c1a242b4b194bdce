"""Embeddings: texts in, vectors out, in one vector space.

Vectors of two models, or of two lengths, cannot be compared, so a space names both (ADR 0031). A vector is its 32-bit
little-endian floats as bytes: the form in which vendors send it as base64.
"""

import math
from array import array
from base64 import b64decode
from dataclasses import dataclass
from sys import byteorder

FLOAT_BYTES = 4
PER_INPUT = 8  # tokens that a model may add to each input: a start, an end, a marker of its kind
BYTES_PER_TOKEN = 4  # of English text


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """The vectors of an alias: ``name`` is the model's, whatever a provider calls it.

    ``shortens``: a request may ask for fewer ``dimensions``. ``tokenizer``: the one whose token ids the models read; None: none.
    """

    name: str
    dimensions: int
    shortens: bool = False
    tokenizer: str | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of one embeddings call: texts, or lists of token ids. ``dimensions``: fewer than the space has; None: all."""

    texts: tuple[str, ...] = ()
    token_ids: tuple[tuple[int, ...], ...] = ()
    dimensions: int | None = None

    def __len__(self) -> int:
        """The number of inputs, each of which gets a vector."""
        return len(self.texts) + len(self.token_ids)

    @property
    def most_tokens(self) -> int:
        """The most tokens that a model can count: one for each byte of a text, or the ids that came."""
        return PER_INPUT * len(self) + self._bytes() + self._ids()

    @property
    def likely_tokens(self) -> int:
        """An estimate for rate limits."""
        return self._bytes() // BYTES_PER_TOKEN + self._ids()

    def _bytes(self) -> int:
        return sum(len(text.encode("utf-8", "surrogatepass")) for text in self.texts)

    def _ids(self) -> int:
        return sum(map(len, self.token_ids))


def from_floats(values: list[float]) -> bytes:
    """Pack numbers as a vector. Raises ValueError for a number that 32 bits cannot hold."""
    try:
        return _swapped(array("f", values)).tobytes()
    except OverflowError:
        raise ValueError("a number over 32 bits") from None


def from_base64(text: str) -> bytes:
    """Read a vector. Raises ValueError for text that is not base64."""
    return b64decode(text, validate=True)


def floats(vector: bytes) -> "array[float]":
    """The numbers of a vector."""
    numbers = array("f")
    numbers.frombytes(vector)
    return _swapped(numbers)


def usable(vector: bytes) -> bool:
    """Whether a vector has a direction: every number finite, and not all of them zero."""
    return any(vector) and math.isfinite(sum(floats(vector)))  # an infinity or a NaN makes the sum one


def _swapped(numbers: "array[float]") -> "array[float]":
    if byteorder == "big":
        numbers.byteswap()
    return numbers
