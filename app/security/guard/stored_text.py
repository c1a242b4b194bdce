"""Texts that are kept and shown on pages later: redacted, of one line where one is wanted, and leading nowhere else (S4, S5).

A page that shows a ticket, a hand-over, an action or a comment may render it. So each is checked as it is kept: nothing changes
it afterwards. Taking a link out can bring the halves of a card's number together, and redacting can bring those of a link
together, so both search until neither finds anything.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from app.security.guard.links import Links
from app.security.guard.removed import TEXT_REMOVED
from app.security.redaction.redactor import FAILED, Redactor

MOST_ROUNDS = 5
FAILED_SHOWN = "(redaction failed)"
# A token of redaction, between < and > a link to a renderer, is shown between brackets of the harmless kind.
_TOKEN = re.compile(r"<([a-z][a-z0-9_-]*:[0-9a-f]{8})>")
_TOKEN_SHOWN = re.compile(r"\(([a-z][a-z0-9_-]*:[0-9a-f]{8})\)")
# The marks of right-to-left text too: in one line of a table they reorder its neighbours.
_NOT_IN_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class KeptTexts:
    """Makes texts fit to be kept. Never raises."""

    redactor: Redactor
    links: Links

    def line(self, text: str, longest: int, *, tenant: str) -> str:
        """One line of at most ``longest`` characters, cut between words where it can be."""
        return self._stable(text, lambda part, less: _shortened(_one_line(part), longest - less), tenant)[:longest]

    def text(self, text: str, *, tenant: str) -> str:
        """As many lines as it has."""
        return self._stable(text, lambda part, _: part, tenant)

    def _stable(self, text: str, shaped: Callable[[str, int], str], tenant: str) -> str:
        """Return the first text that neither redaction nor the link check changes.

        ``shaped`` gets a text and the round: a cut can undo what the link check added, so each round cuts one character earlier.
        """
        text = shaped(text, 0)
        for less in range(1, MOST_ROUNDS + 1):
            redacted = self.redactor.redact(_TOKEN_SHOWN.sub(r"<\1>", text), tenant=tenant).replace(FAILED, FAILED_SHOWN)
            clean = self.links.clean(_TOKEN.sub(r"(\1)", redacted))[0]
            if clean == text:
                return text
            text = shaped(clean, less)
        return TEXT_REMOVED


def _one_line(text: str) -> str:
    return " ".join(_NOT_IN_A_LINE.sub(" ", text).split())


def _shortened(line: str, longest: int) -> str:
    if len(line) <= longest:
        return line
    cut = line[: longest - 1]
    return (cut.rpartition(" ")[0] or cut) + "…"
