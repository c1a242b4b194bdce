"""Redacts a text that arrives in pieces. A piece leaves once all that could belong to a finding in it is there.

`entity_types` promises that no match goes over the end of a line, but from a label or a name that ends it, or a question, and
within a private key. So whole lines leave as they are complete, and the result is, for every way of cutting, that of
`Redactor.redact` on the whole. Tables of numbers are the exception: groups that the whole text shows to be cells are taken for
cards here.
A text that begins like a JSON document is held back until its end, as it can only be read whole.
"""

from app.security.redaction.normalisation import plain
from app.security.redaction.redactor import FAILED, Redactor
from app.security.redaction.slices import seam_in

MOST_HELD = 65_536  # characters; a longer line or key is no prose


class StreamRedactor:
    """Feed it pieces; what it returns may leave. One instance a text."""

    def __init__(self, redactor: Redactor, *, tenant: str, most_held: int = MOST_HELD) -> None:
        """``most_held``: characters held back at most. Where they do not suffice, the rest of the text is replaced."""
        self._redactor = redactor
        self._tenant = tenant
        self._most_held = most_held
        self._held = ""
        self._whole: bool | None = None  # true: it may be a document; None until its first character is there
        self._gave_up = False

    def feed(self, chunk: str) -> str:
        """Take the next piece. Returns the redacted text that is safe by now, often none. Never raises."""
        if self._gave_up:
            return ""
        self._held += chunk
        if self._whole is None and (start := self._held.lstrip(" \t\r\n")):
            self._whole = start[0] in "{["
        seam = 0 if self._whole in {None, True} else _seam(self._held)
        ready, self._held = self._held[:seam], self._held[seam:]
        redacted = self._redactor.redact_text(ready, tenant=self._tenant) if ready else ""
        if len(self._held) > self._most_held:
            self._gave_up, self._held = True, ""
            self._redactor.count_failure()
            return redacted + FAILED
        return redacted

    def close(self) -> str:
        """The end of the text: what was held back, redacted."""
        rest, self._held = self._held, ""
        if not rest:
            return ""
        redact = self._redactor.redact if self._whole else self._redactor.redact_text
        return redact(rest, tenant=self._tenant)


def _seam(text: str) -> int:
    """Where ``text`` can be cut: behind the last end of a line over which nothing goes. 0 if there is none."""
    if "\n" not in text:
        return 0
    searched = plain(text)  # it has the same ends of lines: a colon may be one of full width, or written ``&#58;``
    lines = searched.count("\n", 0, seam_in(searched))
    seam = 0
    for _ in range(lines):
        seam = text.index("\n", seam) + 1
    return seam
