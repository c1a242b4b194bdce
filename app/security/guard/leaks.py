"""Detects an answer that gives its system prompt away (S4): its canary, a long run of its letters, or as many in pieces.

All are searched in a text without its case, spaces and punctuation, so spelling it out with gaps hides nothing, nor do accents
and letters of other scripts that look alike. Also seen as it comes: backwards, ROT13, hexadecimal, base64, character codes.
Seen at the end, when a stream has left already: `encodings`, and any other shift of the alphabet. A paraphrase, a translation,
pieces shorter than `PIECE`, or a cipher of the attacker's own is not seen; that is why a system prompt holds no secret.
"""

import base64
import codecs
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice, pairwise

from app.security.guard.encodings import MOST_READ, readings
from app.security.guard.overrides import letter

CANARY_LETTERS = 20
RUN = 60  # letters and digits in a row, about twelve words
PIECE, MOST_IN_PIECES = 16, 150  # letters of a run that counts, and of all such runs together, each place once
SEED = 8  # letters that are looked up first; of each piece, one such run begins at a multiple of `STEP`
STEP = PIECE - SEED + 1
WATCHED = PIECE  # a run this long is held back until it is known whether it goes on
BLOCK = 29  # steps: a run of `RUN` letters holds one that begins at a multiple of it
MOST_COMPARED = 16  # blocks of one text that are alike: then the text is compared no further
_MIRROR = {97 + at: 122 - at for at in range(26)}
PREFIX = 3  # letters of a canary that may go out before the rest is held back


def canary(secret: bytes, release: str, prompt: str) -> str:
    """The word that marks a prompt of a release: not to be guessed; the same in every worker, so that providers' caches hold."""
    digest = hmac.new(secret, f"canary\x00{release}\x00{prompt}".encode(), hashlib.sha256).digest()
    return "oc" + base64.b32encode(digest).decode().lower().translate({ord(d): None for d in "234567="})[: CANARY_LETTERS - 2]


@dataclass(frozen=True, slots=True)
class Secrets:
    """Texts that must not go out: ``needles`` at all, ``texts`` no more than `RUN` characters in a row. All `plain`."""

    needles: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    joined: str = ""  # the texts, one a line
    pieces: Mapping[str, int] = field(default_factory=dict)  # the first place of each run of `PIECE` letters in `joined`
    seeds: frozenset[str] = frozenset()  # each run of `SEED` letters in `joined`
    # Steps from letter to letter, the same in every shift of the alphabet: of the needle; of the texts; blocks of those.
    stepped: tuple[str, ...] = ()
    shifted: str = ""
    blocks: frozenset[str] = frozenset()

    @property
    def sought(self) -> bool:
        """Whether there is anything to search for."""
        return bool(self.needles or self.texts)


MOST_WATCHED = 16_384  # bytes of a system text; a tenant's own may be megabytes, and each is searched in seven forms
MOST_REMEMBERED = 65_536  # characters of such texts: what is looked up for one of them takes 1,700 bytes
_remembered = OrderedDict[tuple[str, str], Secrets]()


def secrets_of(canary_word: str, system: str) -> Secrets:
    """The texts to search for. ``system`` empty: the canary alone. The latest are remembered."""
    watched = system
    if len(system) > MOST_WATCHED or not system.isascii():  # most are asked for as they are, at each call
        watched = system[:MOST_WATCHED].encode(errors="replace")[:MOST_WATCHED].decode(errors="ignore")
    key = canary_word, watched
    if key in _remembered:
        _remembered.move_to_end(key)
        return _remembered[key]
    known = _remembered[key] = _secrets(canary_word, watched)
    while len(_remembered) > 1 and sum(len(word) + len(text) for word, text in _remembered) > MOST_REMEMBERED:
        _remembered.popitem(last=False)
    return known


def _secrets(canary_word: str, watched: str) -> Secrets:
    texts = tuple(plain(form) for form in (*_forms(watched), watched)) if watched else ()
    joined = "\n".join(texts)
    pieces: dict[str, int] = {}
    for at in range(len(joined) - PIECE + 1):
        pieces.setdefault(joined[at : at + PIECE], at)
    needles = tuple(dict.fromkeys(_needles(canary_word))) if canary_word else ()
    turned = [_steps(form) for form in _turned(watched)]
    blocks = frozenset(one[at : at + BLOCK] for one in turned for at in range(0, len(one) - BLOCK + 1, BLOCK))
    stepped = tuple(_steps(form) for form in _turned(canary_word)) if canary_word else ()
    seeds = frozenset(joined[at : at + SEED] for at in range(len(joined) - SEED + 1))
    return Secrets(needles, texts, joined, pieces, seeds, stepped, "\n".join(turned), blocks)


def _turned(text: str) -> tuple[str, ...]:
    """Forwards and backwards, and both with the alphabet mirrored."""
    mirrored = text.casefold().translate(_MIRROR)
    return (text, text[::-1], mirrored, mirrored[::-1])


def _steps(text: str) -> str:
    """The distance from each letter of the alphabet to the next, as letters."""
    codes = [code - 97 for code in plain(text).encode("ascii", "ignore") if 97 <= code <= 122]
    return "".join(chr(97 + (after - before) % 26) for before, after in pairwise(codes))


def _forms(text: str) -> tuple[str, ...]:
    raw = text.encode()
    aligned = (base64.b64encode(raw[skip:]).decode() for skip in range(3))
    return (text[::-1], codecs.encode(text, "rot13"), raw.hex(), *aligned)


def _needles(canary_word: str) -> tuple[str, ...]:
    """The canary and its forms inside an encoded longer text."""
    raw = canary_word.encode()
    inner = []
    for skip in range(3):  # its first and last letters share their base64 digits with their neighbours
        begun = raw[skip : len(raw) - (len(raw) - skip) % 3]
        inner.append(plain(base64.b64encode(begun).decode()))
    codes = ("".join(str(b) for b in raw), "".join(f"u00{b:02x}" for b in raw), "".join(f"x{b:02x}" for b in raw))
    return (canary_word, canary_word[::-1], codecs.encode(canary_word, "rot13"), raw.hex(), *inner, *codes)


_NEITHER = {code: None for code in range(128) if not chr(code).isalnum()}


def plain(text: str) -> str:
    """Letters and digits alone, without case."""
    if text.isascii():
        return text.lower().translate(_NEITHER)
    return "".join(map(_of_char, text))


@lru_cache(maxsize=MOST_READ)  # all that one text may have: each of its readings would work them out again
def _of_char(char: str) -> str:
    """The letters and digits of one character, without case."""
    return "".join(c for c in letter(char).casefold() if c.isalnum())


@dataclass(slots=True)
class LeakWatch:
    """Watches one text as it comes. ``found`` names the check that failed; from then on nothing more is given out."""

    secrets: Secrets
    found: str = ""
    _held: str = ""
    _before: str = field(default="")  # plain, already given out
    _seen: str = field(default="")  # as it came, as much as is read again at the end
    _read: int = 0  # characters of `_seen` that were read in other spellings
    _given_away: set[int] = field(default_factory=set)  # places in the secret texts

    def feed(self, text: str) -> str:
        """More text; returns what of all so far may go out."""
        self._held += text
        if len(self._seen) < MOST_READ and self.secrets.sought:
            self._seen += text[: MOST_READ - len(self._seen)]
        return self._release(at_end=False)

    def end(self) -> str:
        """The text is over; returns what was held back, if nothing was found."""
        if not self.found and len(self._seen) > self._read:  # a stream's every tool call ends the text once more
            self._read = len(self._seen)
            self.found = self._spelled_otherwise()
        return self._release(at_end=True)

    def _spelled_otherwise(self) -> str:
        steps = _steps(self._seen)
        if any(needle in steps for needle in self.secrets.stepped):
            return "canary"
        if self.secrets.blocks and self._is_shifted(steps):
            return "system-prompt"
        found = (self._sought(plain(reading)) for reading in readings(self._seen))
        return next(filter(None, found), "")

    def rest(self) -> str:
        """The text that is held back after a finding, for a caller that lets it pass."""
        out, self._held = self._held, ""
        return out

    def _is_shifted(self, steps: str) -> bool:
        """Return whether a run of `RUN` letters is one of the system prompt's under some shift of the alphabet."""
        blocks, shifted = self.secrets.blocks, self.secrets.shifted
        alike = (at for at in range(len(steps) - BLOCK + 1) if steps[at : at + BLOCK] in blocks)
        return any(
            len(run := steps[begin : begin + RUN - 1]) == RUN - 1 and run in shifted
            for at in islice(alike, MOST_COMPARED)
            for begin in range(max(0, at - RUN + BLOCK), at + 1)
        )

    def _release(self, *, at_end: bool) -> str:
        if self.found:
            return ""
        if not self.secrets.sought:
            return self.rest()
        letters = plain(self._held)
        whole = self._before + letters
        self.found = self._sought(whole)
        if self.found:
            return ""
        keep = 0 if at_end else min(self._unsure(whole), len(letters))
        cut = _before_last(self._held, keep)
        out, self._held = self._held[:cut], self._held[cut:]
        self._before = whole[: len(whole) - keep][-RUN:]
        return out

    def _sought(self, whole: str) -> str:
        if any(needle in whole for needle in self.secrets.needles):
            return "canary"
        for at, place in self._pieces_in(whole):
            self._given_away.update(range(place, place + PIECE))
            if self._alike(whole, at, place) >= RUN:
                return "system-prompt"
        return "system-prompt" if len(self._given_away) >= MOST_IN_PIECES else ""

    def _pieces_in(self, whole: str) -> Iterator[tuple[int, int]]:
        """Where a run of `PIECE` letters of the secret texts begins, and its first place in them; in order.

        Nearly all of a text is passed over in steps, as each such run holds a seed that begins at a step.
        """
        pieces, seeds = self.secrets.pieces, self.secrets.seeds
        if not pieces:
            return
        for step in range(0, len(whole) - SEED + 1, STEP):
            if whole[step : step + SEED] in seeds:
                for at in range(max(0, step - STEP + 1), step + 1):
                    if (place := pieces.get(whole[at : at + PIECE])) is not None:
                        yield at, place

    def _alike(self, whole: str, at: int, place: int) -> int:
        """How many letters around ``at`` are those around ``place``; `RUN` means that there are as many."""
        joined, before, after = self.secrets.joined, 0, PIECE
        while after < RUN and whole[at + after : at + after + 1] == joined[place + after : place + after + 1] != "":
            after += 1
        while before + after < RUN and at > before and place > before and whole[at - before - 1] == joined[place - before - 1]:
            before += 1
        return before + after

    def _unsure(self, whole: str) -> int:
        """How many letters at the end may be the beginning of something sought."""
        unsure = max((_begun(needle, whole) for needle in self.secrets.needles), default=0)
        if whole[-WATCHED:] not in self.secrets.pieces:
            return unsure
        for text in self.secrets.texts:
            if whole[-WATCHED:] in text:
                size = WATCHED
                while size < min(RUN, len(whole)) and whole[-size - 1 :] in text:
                    size += 1
                unsure = max(unsure, size)
        return unsure


def _begun(needle: str, whole: str) -> int:
    """How many letters at the end of ``whole`` are the beginning of ``needle``; 0 where they are as few as `PREFIX`."""
    tail = whole[-len(needle) + 1 :]
    at = tail.find(needle[: PREFIX + 1])
    while at >= 0 and not needle.startswith(tail[at:]):
        at = tail.find(needle[: PREFIX + 1], at + 1)
    return len(tail) - at if at >= 0 else 0


def _before_last(text: str, letters: int) -> int:
    """Where the last so many letters of a text begin."""
    at = len(text)
    while letters > 0:
        at -= 1
        letters -= len(_of_char(text[at]))
    return at
