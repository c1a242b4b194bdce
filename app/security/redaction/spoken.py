r"""What people spell out so that it can be heard, or so that no program reads it: e-mail addresses and numbers in words.

"at" and "dot" are words of all sentences: an address in words ends in a domain that many people have or in a common end of one.
So "look at example dot com" is taken for one, too. Seven words for digits in a row are a number, unless they count.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from app.security.redaction.detectors import Kind, Span

# A language's words for the sign and for the dot: "at some point in the …" is no address
_WORDS = (
    ("at", "dot"),
    ("at", "point", "(?:com|fr|org|net|eu)"),
    ("(?:at|ät|klammeraffe)", "punkt"),
    ("(?:arroba|chiocciola)", "(?:punto|ponto)"),
    ("arobase", "point"),
    ("(?:małpa|kukac|zavináč|собака)", "(?:kropka|pont|tečka|точка|dot)"),
)
_ENDS = r"(?:com|org|net|edu|gov|info|biz|io|de|fr|es|nl|pl|pt|br|ru|uk|jp|eu|ch|se|dk|fi|cz|hu|ro|gr|tr|ca|au|mx|ar|kr|cn|ua)"
_PROVIDERS = (
    r"(?:gmail|googlemail|yahoo|outlook|hotmail|icloud|protonmail|proton|yandex|laposte|libero|naver|t-online)"
    r"\.(?:co\.)?[a-z]{2,3}"
)
_DIGITS = (
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "oh", "nought", "double", "triple"),
    ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zwo"),
    ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"),
    ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"),
    ("zero", "um", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove", "meia"),
    ("zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove"),
    ("ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"),
    ("शून्य", "एक", "दो", "तीन", "चार", "पांच", "छह", "सात", "आठ", "नौ"),
)


def number_in_words(candidate: str) -> Iterator[Span]:
    """Seven digits at least that do not count up or down."""
    words = re.split(r"[ ,-]+", candidate.lower())
    for language in _DIGITS:
        if set(words) <= set(language):
            if len({language.index(after) - language.index(before) for before, after in pairwise(words)}) > 1:
                yield 0, len(candidate)
            return


def _in_words(words: Sequence[str]) -> str:
    """Seven words; of the last one more than two letters, by which RE2 finds the pattern."""
    return (
        rf"(?i)((?:(?:{'|'.join(words)})[ ,-]{{1,2}}){{6,}}(?:{'|'.join(word for word in words if len(word) > 2)}))(?:[^a-z]|$)"
    )


SPOKEN: tuple[Kind, ...] = (
    # ann dot lee at example dot com, ann arroba example punto com
    *(
        Kind(
            "email",
            rf"(?i)([a-z0-9][a-z0-9._+-]{{0,40}}(?: {dot} [a-z0-9]{{1,20}}){{0,3}} {at}"
            rf" [a-z0-9-]{{2,40}}(?: {dot} [a-z0-9-]{{2,20}}){{0,2}} {dot} {ends[0] if ends else _ENDS})\b",
        )
        for at, dot, *ends in _WORDS
    ),
    Kind("email", rf"(?i)\b([a-z0-9]{{1,30}}[._0-9+-][a-z0-9._+-]{{0,40}} at {_PROVIDERS})\b"),
    Kind("email", rf"(?i)\b([a-z0-9][a-z0-9._+-]{{0,40}} ?@ ?{_PROVIDERS})\b"),
    Kind("email", rf"(?i)\b([a-z0-9][a-z0-9.+-]{{0,40}}_at_[a-z0-9-]{{2,40}}(?:\.[a-z0-9-]{{2,20}}){{0,2}}\.{_ENDS})\b"),
    Kind(
        "email",
        r"(?i)(?:e-?mail|mail|correo|courriel|почта)(?: ?:| is| me at)? "
        r"([a-z0-9][a-z0-9._+-]{0,40} ?@ ?[a-z0-9-]{2,40}(?: ?\. ?[a-z0-9-]{2,20}){1,3})\b",
    ),
    *(Kind("phone", _in_words(words), number_in_words) for words in _DIGITS),
)
