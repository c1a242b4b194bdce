"""Our vectors as OpenAI's list of embeddings. Shape: platform.openai.com/docs/api-reference/embeddings/object.

Written vector by vector: as numbers, a full answer is six million of them, and one call of the JSON encoder would hold every
other request of the process until its end. Pydantic's encoder takes a third of the time of Python's own formatting.
"""

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Literal

from pydantic_core import to_json

from app.domain.calls import Reply
from app.domain.embeddings import floats
from app.edge.answers import less

Encoding = Literal["float", "base64"]
LARGE = 256 * 1024  # bytes of vectors from which an answer is written in a thread


def embeddings(reply: Reply, *, alias: str, encoding: Encoding, degraded: Sequence[str] = ()) -> bytes:
    """The answer's body. ``degraded``: the codes of the header."""
    used = reply.usage.input + reply.usage.cached_input
    rest = {"model": alias, "usage": {"prompt_tokens": used, "total_tokens": used}, **less(degraded)}
    write = _as_base64 if encoding == "base64" else _as_numbers
    items = (b'{"object":"embedding","index":%d,"embedding":%s}' % (at, write(v)) for at, v in enumerate(reply.vectors))
    return b'{"object":"list","data":[%s],%s' % (b",".join(items), json.dumps(rest, ensure_ascii=False)[1:].encode())


def is_large(reply: Reply) -> bool:
    """Whether writing it takes long enough for a thread."""
    return sum(map(len, reply.vectors)) > LARGE


def _as_base64(vector: bytes) -> bytes:
    return b'"%s"' % b64encode(vector)


def _as_numbers(vector: bytes) -> bytes:
    return to_json(floats(vector).tolist())
