"""The words of a text that carry meaning, for searching and for finding the sentence behind a citation."""

import re

_WORD = re.compile(r"[^\W_]+")
_CONTRACTION = re.compile(r"(?<=\w)['\u2019](?:s|t|re|ve|ll|d|m)\b", re.IGNORECASE)
_GRAMMAR = """
a about after again all also am an and any anything are as at be because been before being but by can could did do does doing
don done else for from get gets getting give go going got had has have having he hello help her here hey hi him his how i if in
into is isn it its just know let like may me might mine much my need no not now of off on one or our ours out over please re
she should so some still such take tell than thank thanks that the their them then there these they thing this those to too try
up us use very want was wasn we well were what when where which while who whom whose why will with won would yes yet you your
yours
"""
STOP_WORDS = frozenset(_GRAMMAR.split())
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "e", "y")


def words(text: str) -> list[str]:
    """Every word and number in lower case, in order, without function words."""
    plain = _CONTRACTION.sub("", text)
    return [word for word in (found.lower() for found in _WORD.findall(plain)) if word not in STOP_WORDS]


def stem(word: str) -> str:
    """A rough stem, enough to let "returns" meet "returned"; the index has its own, finer one."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
