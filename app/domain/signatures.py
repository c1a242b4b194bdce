"""Gemini's thought signature of a tool call, as OpenAI's chat completions carry it: `extra_content.google.thought_signature`.

Gemini 3 refuses a call that comes back without the signature that it was given, so a caller's next turn must hold it unchanged.
Source: ai.google.dev/gemini-api/docs/thought-signatures.
"""

import re
from collections.abc import Mapping
from typing import Any

_FORM = re.compile(r"[A-Za-z0-9+/=_-]+\Z")  # base64, or Google's word for none: so that no other text passes


def signature_in(extra_content: object) -> str | None:
    """The signature that a tool call's ``extra_content`` holds; None for anything else."""
    google = extra_content.get("google") if isinstance(extra_content, Mapping) else None
    found = google.get("thought_signature") if isinstance(google, Mapping) else None
    return found if isinstance(found, str) and _FORM.match(found) else None


def as_extra_content(signature: str | None) -> dict[str, Any]:
    """The field of a tool call that holds the signature; empty where there is none."""
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}
