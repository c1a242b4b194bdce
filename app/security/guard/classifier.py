"""A small classifier of attacks on a model (S2): logistic regression over hashed words and pieces of words, in plain Python.

`evals/injection/train.py` makes the weights, from data of an installed package; the file here is all that the service needs.
"""

import math
import re
import zlib
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from struct import unpack

BUCKETS = 1 << 16
WEIGHTS = Path(__file__).parent / "classifier.bin"
WINDOW, STRIDE = 120, 90  # words: an attack inside a long text must not drown in it
FEW = 12  # features
_WORD = re.compile(r"[^\W_]+|[^\w\s]")


def looks_like_attack(text: str) -> bool:
    """Return whether some part of a text scores over the threshold."""
    return score(text) > 0.0


def score(text: str) -> float:
    """The highest score of the text's windows; above zero is an attack. The threshold is in the bias."""
    words = words_of(text)
    if len(words) < 3:
        return -1.0
    weights, bias = _weights()
    return max(_score(window, weights) for window in windows(words)) + bias


def features(words: list[str]) -> set[int]:
    """Which buckets a window of words falls into: single words, pairs, triples with a gap, and pieces of long words."""
    found = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    found += [f"{a} _ {c}" for a, c in zip(words, words[2:], strict=False)]
    found += [f"#{word[at : at + 5]}" for word in words if len(word) > 5 for at in range(0, len(word) - 4, 2)]
    return {zlib.crc32(piece.encode()) % BUCKETS for piece in found}


def words_of(text: str) -> list[str]:
    """Words and signs, without case."""
    return _WORD.findall(text.lower())


def windows(words: list[str]) -> list[list[str]]:
    """Windows over all the words; a short text is one."""
    starts = range(0, max(1, len(words) - (WINDOW - STRIDE)), STRIDE)
    return [words[start : start + WINDOW] for start in starts]


def norm(features: int) -> float:
    """The divisor of a sum of weights: neither long windows nor a few words score high by number."""
    return math.sqrt(features + FEW)


def _score(words: list[str], weights: tuple[float, ...]) -> float:
    found = features(words)
    return sum(map(weights.__getitem__, found)) / norm(len(found))


@lru_cache(maxsize=1)
def _weights() -> tuple[tuple[float, ...], float]:
    """Read once: a scale, the bias, and a signed byte for each bucket."""
    raw = WEIGHTS.read_bytes()
    scale: float
    bias: float
    scale, bias = unpack("<ff", raw[:8])
    return tuple(scale * (byte - 256 if byte > 127 else byte) for byte in raw[8:]), bias
