"""A small classifier of attacks on a model (S2): logistic regression over hashed words and pieces of words, in plain Python.

`evals/injection/train.py` makes the weights, from data of an installed package; the file here is all that the service needs.
Every new text is read before its call goes on, so what can be made once for a word or a text is: a fifth of a request's CPU.
"""

import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from struct import unpack
from typing import NamedTuple
from zlib import crc32

BUCKETS = 1 << 16
WEIGHTS = Path(__file__).parent / "classifier.bin"
WINDOW, STRIDE = 120, 90  # words: an attack inside a long text must not drown in it
FEW = 12  # features
PIECE, STEP = 5, 2  # letters
REMEMBERED = 4096  # words, and pieces of text between blanks
LONGEST, MOST_WORDS = 24, 3  # letters and words of one that is remembered
_WORD = re.compile(r"[^\W_]+|[^\w\s]")


def looks_like_attack(text: str) -> bool:
    """Return whether some part of a text scores over the threshold."""
    return score(text) > 0.0


def score(text: str) -> float:
    """The highest score of the text's windows; above zero is an attack: the threshold is in the bias. Of a few words, -1."""
    weights, scale, bias = _weights()
    weigh = weights.__getitem__
    return max((scale * sum(map(weigh, found)) / norm(len(found)) + bias for found in features(text)), default=-1.0)


def features(text: str) -> Iterator[set[int]]:
    """Which buckets each window of the text falls into: words, pairs, triples with a gap, and pieces of long words.

    A text of less than three words has none.
    """
    words = list(chain.from_iterable(map(_known.__getitem__, text.lower().split())))
    if len(words) < 3:
        return
    alone, behind, after, own = zip(*words, strict=True)
    pairs = [checksum % BUCKETS for checksum in map(crc32, behind[1:], alone)]  # of two texts: it goes on from the first one's
    triples = [checksum % BUCKETS for checksum in map(crc32, after[2:], alone)]
    for start in range(0, max(1, len(words) - (WINDOW - STRIDE)), STRIDE):
        end = start + WINDOW
        yield set(chain(pairs[start : end - 1], triples[start : end - 2], chain.from_iterable(own[start:end])))


def words_of(text: str) -> list[str]:
    """Words and signs, without case."""
    return _WORD.findall(text.lower())


def norm(features: int) -> float:
    """The divisor of a sum of weights: neither long windows nor a few words score high by number."""
    return math.sqrt(features + FEW)


class _Word(NamedTuple):
    """A word's checksum; its bytes behind another word, and behind a gap; the buckets of the word and of its pieces."""

    alone: int
    behind: bytes
    after: bytes
    own: Sequence[int]


class _Known(dict[str, Sequence[_Word]]):
    """The words of a text between two blanks. Short ones are remembered, until there are many."""

    def __missing__(self, text: str) -> Sequence[_Word]:
        words = tuple(_word(word) if len(word) <= LONGEST else _word.__wrapped__(word) for word in words_of(text))
        if len(text) <= LONGEST and len(words) <= MOST_WORDS:
            if len(self) >= REMEMBERED:
                self.clear()
            self[text] = words
        return words


_known = _Known()


@lru_cache(REMEMBERED)
def _word(word: str) -> _Word:
    encoded = word.encode()
    alone, ends = crc32(encoded), range(0, len(word) - PIECE + 1, STEP) if len(word) > PIECE else ()
    pieces = (crc32(f"#{word[at : at + PIECE]}".encode()) % BUCKETS for at in ends)
    return _Word(alone, b" " + encoded, b" _ " + encoded, (alone % BUCKETS, *pieces))


@lru_cache(maxsize=1)
def _weights() -> tuple[memoryview, float, float]:
    """Read once: a signed byte for each bucket, their scale, and the bias."""
    raw = WEIGHTS.read_bytes()
    scale: float
    bias: float
    scale, bias = unpack("<ff", raw[:8])
    return memoryview(raw)[8:].cast("b"), scale, bias
