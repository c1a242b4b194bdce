"""Reasoning that a stateless client carries: a reasoning item's ``encrypted_content`` holds our thinking blocks (ADR 0030).

It is encoded, not encrypted: the same text and signature are in the answer of `/v1/messages`. The model's vendor verifies the
signature, so changed reasoning is refused there.
"""

import base64
import json
from collections.abc import Sequence
from typing import Any

from app.domain.errors import InvalidRequest
from app.domain.messages import Thinking

PREFIX = "octant-1."


def encoded(thoughts: Sequence[Thinking]) -> str | None:
    """Blocks as ``encrypted_content``; None where none can be sent back to its model."""
    kept = [[t.text, t.signature, t.redacted] for t in thoughts if t.signature or t.redacted]
    if not kept:
        return None
    return PREFIX + base64.urlsafe_b64encode(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()).decode()


def decoded(content: str, at: str) -> tuple[Thinking, ...] | None:
    """The blocks of ``encrypted_content``; None for that of another service. Raises InvalidRequest for a damaged one of ours."""
    if not content.startswith(PREFIX):
        return None
    try:
        blocks = json.loads(base64.b64decode(content.removeprefix(PREFIX), altchars=b"-_", validate=True))
        return tuple(_block(*block) for block in blocks)
    except (ValueError, TypeError):
        raise InvalidRequest(f"'{at}' could not be read: send it back unchanged.", param=at) from None


def _block(text: Any, signature: Any, redacted: Any) -> Thinking:  # noqa: ANN401 - checked here
    if not isinstance(text, str) or not all(isinstance(value, str | None) for value in (signature, redacted)):
        raise TypeError
    return Thinking(text, signature, redacted)
