"""A small classifier of attacks on a model (S2): logistic regression over hashed words and pieces of words, in plain Python.

`evals/injection/train.py` makes the weights, from data of an installed package; the file here is all that the service needs.
Every new text is read before its call goes on, so a feature costs one checksum: a pair's goes on from that of its first word.
Triples of words were features once, and signs were words: without it finds more, at as many false alarms.
"""

import math
import re
from binascii import crc_hqx
from collections.abc import Iterator
from functools import lru_cache
from itertools import repeat
from operator import itemgetter
from pathlib import Path
from struct import unpack
from typing import AnyStr

BUCKETS = 1 << 16  # a checksum of 16 bits is a bucket
WEIGHTS = Path(__file__).parent / "classifier.bin"
WINDOW, STRIDE = 150, 110  # words: an attack inside a long text must not drown in it
FEW = 12  # features
PIECE, STEP = 5, 2  # letters
MOST_WORDS = 16_000  # of one text; its beginning and its end. No text of letters that is screened has as many
ZERO = 128  # a weight of nothing
_WORD, _SIGN = re.compile(r"[^\W_]+"), re.compile(r"[^\w\s]")
# The same of ASCII in two passes over its bytes: all but letters and digits parts words, and what is left without those is signs.
_WORDS = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else 32 for code in range(256))
_NO_SIGNS = bytes(code for code in range(128) if not _SIGN.match(chr(code)))
_OF_A_WORD, _OF_A_PIECE, _OF_A_SIGN = 0xFFFF, 0x1234, 0x77  # where their checksums begin


def looks_like_attack(text: str) -> bool:
    """Return whether some part of a text scores over the threshold."""
    return score(text) > 0.0


def score(text: str) -> float:
    """The highest score of the text's windows; above zero is an attack: the threshold is in the bias. Of a few words, -1."""
    weights, scale, bias = _weights()
    return max((scale * weight(found, weights) / norm(len(found)) + bias for found in features(text)), default=-1.0)


def weight(found: set[int], weights: bytes) -> int:
    """The sum of the features' weights, each a byte that is `ZERO` too high."""
    each: tuple[int, ...] = itemgetter(0, *found)(weights)  # with 0, since of one bucket alone it makes no tuple
    return sum(each) - weights[0] - ZERO * len(found)


def features(text: str) -> Iterator[set[int]]:
    """Which buckets each window of the text falls into: words, pairs, pieces of long words, and the signs of the whole text.

    A text of less than three words has none.
    """
    if text.isascii():
        written, raw = None, text.encode()
        words, signs = _ends(raw.translate(_WORDS).split()), set(raw.translate(None, _NO_SIGNS))
    else:
        lowered = text.lower()
        written = _ends(_WORD.findall(lowered))
        words = list(map(str.encode, written))
        signs = {_bucket_of(sign) for sign in set(_SIGN.findall(lowered))}
    if len(words) < 3:
        return
    alone = list(map(crc_hqx, words, repeat(_OF_A_WORD)))
    pairs = list(map(crc_hqx, words[1:], alone))
    for start in range(0, max(1, len(words) - (WINDOW - STRIDE)), STRIDE):
        end = start + WINDOW
        pieces = _pieces(words[start:end]) if written is None else map(str.encode, _pieces(written[start:end]))
        found = set(alone[start:end])
        found.update(pairs[start : end - 1], map(crc_hqx, pieces, repeat(_OF_A_PIECE)), signs)
        yield found


def words_of(text: str) -> list[str]:
    """Words, without case."""
    return _WORD.findall(text.lower())


def _bucket_of(sign: str) -> int:
    """Of a sign in ASCII its code, so that none needs a checksum there."""
    return ord(sign) if sign.isascii() else crc_hqx(sign.encode(), _OF_A_SIGN)


def _ends(words: list[AnyStr]) -> list[AnyStr]:
    return words if len(words) <= MOST_WORDS else words[: MOST_WORDS // 2] + words[-MOST_WORDS // 2 :]


def norm(features: int) -> float:
    """The divisor of a sum of weights: neither long windows nor a few words score high by number."""
    return math.sqrt(features + FEW)


def _pieces(words: list[AnyStr]) -> list[AnyStr]:
    """Of each long word, every second run of `PIECE` letters. A word that comes again has no more."""
    long = {word for word in words if len(word) > PIECE}
    return [word[cut] for word in long for cut in (_CUTS[len(word)] if len(word) < len(_CUTS) else _cuts(len(word)))]


def _cuts(length: int) -> list[slice]:
    return [slice(at, at + PIECE) for at in range(0, length - PIECE + 1, STEP)]


_CUTS = [_cuts(length) for length in range(32)]  # a word of a language is shorter


@lru_cache(maxsize=1)
def _weights() -> tuple[bytes, float, float]:
    """Read once: a byte for each bucket, their scale, and the bias."""
    raw = WEIGHTS.read_bytes()
    scale: float
    bias: float
    scale, bias = unpack("<ff", raw[:8])
    return raw[8:], scale, bias
