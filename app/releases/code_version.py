"""The version of the code that a release was made for, beside the one that runs."""

import re
from itertools import zip_longest

from app import __version__
from app.domain.errors import Misconfigured
from app.releases.texts import table_of

_NUMBERS = re.compile(r"v?(\d+(?:\.\d+)+)(?:[-+].*)?")


def refuse_newer(text: str, where: str) -> None:
    """Refuse a manifest that was made for newer code than runs here. Raises Misconfigured.

    It is asked first: what this code does not know of such a manifest would only be called wrong.
    """
    wanted = table_of(text, where).get("code")
    if isinstance(wanted, str) and is_older(__version__, wanted):
        raise Misconfigured(f"{where} was made for code {wanted}, and {__version__} runs here. Deploy that code first.")


def is_older(running: str, wanted: str) -> bool:
    """Whether the version ``running`` is older than ``wanted``, by their dotted numbers.

    False where either is not written so, such as a commit: it cannot be compared.
    """
    ours, theirs = _NUMBERS.fullmatch(running), _NUMBERS.fullmatch(wanted)
    if not ours or not theirs:
        return False
    pairs = zip_longest(*(map(int, found[1].split(".")) for found in (ours, theirs)), fillvalue=0)
    return next((a < b for a, b in pairs if a != b), False)
