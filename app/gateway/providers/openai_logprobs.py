"""Log probabilities of tokens, as servers of OpenAI's protocol report them. Pure."""

import json
import math
from collections.abc import Mapping
from typing import Any

from app.gateway.providers.assembly import encodable

UNLIKELY = -9999.0  # the vendor's own figure for a token that is very unlikely


def token_of(token: Mapping[str, Any]) -> dict[str, Any]:
    """A token's log probability as the SDKs' types have it, without halves of surrogate pairs.

    A token that cannot be is minus infinity to a server in Python, which is no JSON, and null to others.
    """
    others = token.get("top_logprobs")
    others = others if isinstance(others, list) else []
    found = {**_of(token), "top_logprobs": [_of(other) for other in others if isinstance(other, Mapping)]}
    text = json.dumps(found, ensure_ascii=False)
    clean = encodable(text)
    return found if clean == text else dict(json.loads(clean))


def _of(token: Mapping[str, Any]) -> dict[str, Any]:
    value = token.get("logprob")
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return {**token, "logprob": value if known else UNLIKELY}
