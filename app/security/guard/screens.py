"""Screens untrusted input (S2): patterns, hidden payloads decoded and read again, and a small classifier.

These are signals: the boundary does not rest on them. A text is read once, however many turns show it.
"""

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import Any
from urllib.parse import unquote

import re2

from app.security.guard import classifier
from app.security.guard.links import INVISIBLE as INVISIBLE_LETTERS
from app.security.guard.links import SELECTORS
from app.security.guard.overrides import ABROAD, folded
from app.security.redaction.automata import at_once

MOST_READ = 16_000  # characters of one text: its beginning and its end


def _escaped(letters: str) -> str:
    return re.sub(r"[^\x21-\x7e]", lambda found: f"\\x{{{ord(found[0]):X}}}", letters)


# A soft hyphen is what word processors write.
_UNSEEN = f"[{_escaped(INVISIBLE_LETTERS.replace(chr(0xAD), ''))}]+|[{_escaped(SELECTORS)}]{{2,}}"
# Taken out one by one: RE2's binding takes a microsecond for each finding.
INVISIBLE = re.compile(f"[{INVISIBLE_LETTERS.replace(chr(0xAD), '')}]+|[{SELECTORS}]{{2,}}")
_HIDDEN = re2.compile(rf"{_UNSEEN}|[!-~][\x{{E0100}}-\x{{E01EF}}]")  # see `links.SELECTORS`
_FLAG_EMOJI = re2.compile(r"\x{1F3F4}[\x{E0061}-\x{E007A}]+\x{E007F}")  # Scotland's flag is spelled in invisible letters
# A chat template's own marks; or a line that begins as a turn of the system or the assistant and then speaks to a model. The
# label alone says nothing: bug reports begin with "System: Windows 11", and customers paste an assistant's answers.
_SPEAKS_TO_A_MODEL = (
    r"you (?:are (?:now|an?|the|no longer)|must|will|should|can) "
    r"|(?:new|updated|following|these|all|your|previous) (?:instruction|rule|order|directive)"
    r"|ignore|disregard|forget|obey|comply|act as|pretend|from now on|reveal|override|bypass|output|repeat"
    r"|(?:respond|reply|answer) (?:with|only)"
)
# Of the templates of Qwen, Llama, Phi, gpt-oss, Kimi, GLM, Cohere, Granite and DeepSeek.
_MARKS = (
    r"im_(?:start|end|sep|system|user|assistant|middle)|system|assistant|user|developer|observation|(?:start|end)_header_id"
    r"|header_(?:start|end)|eot(?:_id)?|endoftext|endofprompt|message|channel|constrain|return|(?:start|end)_of_role"
    r"|(?:start_of_turn|end_of_turn|system|user|chatbot)_token|(?:begin|end)\x{2581}of\x{2581}sentence|tool\x{2581}[a-z\x{2581}]{1,30}"
)
_FAKE_ROLE = re2.compile(
    r"(?im)<\|?(?:im_start|system|assistant)\|?>|<<sys>>|\[/?inst\]|<(?:start|end)_of_turn>"
    rf"|<[|\x{{FF5C}}](?:{_MARKS})[|\x{{FF5C}}]>|<\|start\|>(?:system|developer|assistant)|\[\|(?:system|assistant|user)\|\]"
    r"|\[/?(?:system_prompt|available_tools|tool_results|tool_calls)\]"
    r"|^\s*(?:#{1,3}\s*)?\[?(?:system|assistant)\s*(?:prompt|message|override|instruction)?s?\]?\s*:[^\n]{0,80}?"
    rf"\b(?:{_SPEAKS_TO_A_MODEL})"
)
# Between the words that say "earlier" and "instructions" stand only words of a model's world: "the previous delivery instruction"
# and "my previous message" are a customer's.
_OF_A_MODEL = (
    r"of|the|and|or|your|any|all|these|those|other|previous|prior|above|earlier|preceding|system|safety|security|initial|original"
    r"|developer|core|existing|given|internal|own|former"
)
_VERBS = ("ignore", "disregard", "forget", "override", "bypass")
_OVERRIDE = re2.compile(
    rf"(?i)\b(?:{'|'.join(_VERBS)})\b[^.!?\n]{{0,40}}"
    r"\b(?:previous|prior|above|earlier|preceding|all|your|system|any)\b"
    rf"(?:\W+(?:{_OF_A_MODEL})){{0,4}}\W+(?:instruction|prompt|rule|direction|guideline|directive|constraint|programming)s?\b"
)
PATTERNS: Mapping[str, Sequence["re2._Regexp[str]"]] = {
    "invisible-characters": [_HIDDEN],
    "fake-role": [_FAKE_ROLE],
    "override-instructions": [_OVERRIDE, *ABROAD],
}
ENCODED, CLASSIFIER = "encoded-payload", "looks-like-attack"
SCREENS = (*PATTERNS, ENCODED, CLASSIFIER)
_FENCE = re.compile(r"<(\w{1,64})(?: [^<\n]{0,1000})? nonce=\"[0-9a-f]{8}\">\n")
_MOST_FENCES = 64
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}[ :]?){10,}")
_SPELLED = re.compile(r"\b(?:\w[ .*_-]){5,}\w\b")
_LEET = str.maketrans("013457@$!|", "oieastasil")
# Where plain ASCII may hold another spelling. Each of these is looked for in the same pass as the patterns.
SPELLED, LEET, TURNED = "spelled", "leet", "turned"
_TURNED_VERBS = [turned for verb in _VERBS for turned in (codecs.encode(verb, "rot13"), verb[::-1])]
_HINTS = {
    SPELLED: [re2.compile(r"[A-Za-z0-9+/_-]{20}|(?:[0-9a-fA-F]{2}[ :]?){10}|\b(?:\w[ .*_-]){5}")],
    LEET: [re2.compile(r"[a-zA-Z][013457@$!|]|[013457@$!|][a-zA-Z]")],
    TURNED: [re2.compile(rf"(?i)\b(?:{'|'.join(_TURNED_VERBS)})\b")],
}
_ALL = [(name, pattern) for name, patterns in (*PATTERNS.items(), *_HINTS.items()) for pattern in patterns]


def _filtered(patterns: Iterable["re2._Regexp[str]"]) -> Any:  # noqa: ANN401 - re2 is not typed
    """Matches those alone whose words a text holds, in one call."""
    filtered = re2.Filter()
    for pattern in patterns:
        filtered.Add(pattern.pattern)
    filtered.Compile()
    return filtered


# Those that need no certain words would be searched for one by one in each text: one automaton seeks them together.
_NEEDS_NONE = frozenset(_filtered(pattern for _, pattern in _ALL).Match("", potential=True))
_SIGNS = [each for at, each in enumerate(_ALL) if at in _NEEDS_NONE]
_WORDS = [each for at, each in enumerate(_ALL) if at not in _NEEDS_NONE]
_OF_SIGNS, _OF_WORDS = at_once((each.pattern for _, each in _SIGNS), re2.Options()), _filtered(each for _, each in _WORDS)


def screened(text: str) -> frozenset[str]:
    """The screens that a text fails. Text in fences is read by itself, and so remembered for the next turn."""
    rest, inner = _unfenced(text)
    return frozenset().union(*(_read(piece[:MOST_READ] + piece[MOST_READ:][-MOST_READ:]) for piece in (rest, *inner)))


def _unfenced(text: str) -> tuple[str, list[str]]:
    """Split a text into its part outside of fences and each part inside. A text with thousands of openings stays whole."""
    rest: list[str] = []
    inner: list[str] = []
    at = 0
    unclosed: set[str] = set()
    for found in islice(_FENCE.finditer(text), _MOST_FENCES) if ' nonce="' in text else ():
        if found.start() < at or found[1] in unclosed:
            continue
        end = text.find(f"\n</{found[1]}>", found.end())
        if end >= 0:
            rest.append(text[at : found.start()])
            inner.append(text[found.end() : end])
            at = end + len(found[1]) + 4
        else:
            unclosed.add(found[1])
    return ("\n".join([*rest, text[at:]]), inner) if inner else (text, inner)


@lru_cache(maxsize=512)
def _read(text: str) -> frozenset[str]:
    text = text if text.isascii() else _FLAG_EMOJI.sub("", text)
    found = _matched(text)
    if any(_is_attack(hidden) for hidden in _decoded(text, found)):
        found.add(ENCODED)
    if classifier.looks_like_attack(text):
        found.add(CLASSIFIER)
    return frozenset(found - _HINTS.keys())


def _matched(text: str) -> set[str]:
    """The names of the patterns and hints that occur in a text."""
    raw = text.encode()
    signs = _OF_SIGNS.Match(raw) or [at for at, (_, pattern) in enumerate(_SIGNS) if pattern.search(text)]
    return {_SIGNS[at][0] for at in signs if at < len(_SIGNS)} | {_WORDS[at][0] for at in _OF_WORDS.Match(raw) or ()}


def _is_attack(text: str) -> bool:
    return bool(_OVERRIDE.search(text) or _FAKE_ROLE.search(text)) or classifier.looks_like_attack(text)


def _decoded(text: str, found: Collection[str]) -> Iterator[str]:
    """The text in other spellings, where it has any. ``found``: its hints."""
    plain = text.isascii()
    if not plain or SPELLED in found:
        yield from _spelled_out(text)
    if LEET in found:
        yield from _if_overriding(text.translate(_LEET))
    if not plain:
        yield from _if_overriding(folded(text))
    if "%" in text:
        yield from _if_overriding(unquote(text))
    if not plain or TURNED in found:
        yield from _if_overriding(codecs.decode(text, "rot13"))
        yield from _if_overriding(text[::-1])


def _spelled_out(text: str) -> Iterator[str]:
    for found in _BASE64.finditer(text):
        raw = found[0].rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
        yield _readable(partial(base64.b64decode, raw[: len(raw) - (len(raw) % 4 == 1)] + "=" * (-len(raw) % 4)))
    for found in _HEX.finditer(text):
        yield _readable(partial(bytes.fromhex, re.sub(r"[ :]", "", found[0])))
    if spelled := " ".join(re.sub(r"[ .*_-]", "", found[0]) for found in _SPELLED.finditer(text)):
        yield spelled


def _if_overriding(text: str) -> Iterator[str]:
    """Every text can be read so: only what then speaks of instructions counts, the classifier would see ghosts."""
    if _OVERRIDE.search(text):
        yield text


def _readable(decode: Callable[[], bytes]) -> str:
    try:
        text = decode().decode()
    except (binascii.Error, ValueError):
        return ""
    return text if text.isprintable() or "\n" in text else ""
