"""Token counts as vendors report them: read one by one, so that one bad figure never costs the answer.

A dozen servers speak each protocol, and their usage holds nulls, floats, strings, negative and absent figures. A figure that
cannot be a count is `UNUSABLE`; `app.gateway.metering` then counts the upper bound in its place.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator

from app.domain.messages import Part, StopReason
from app.gateway.providers.base import ModelRequest
from app.gateway.providers.errors import ProtocolError

UNUSABLE = -1
MOST = 10**9  # tokens; no context window is near it

M = TypeVar("M", bound=BaseModel)


def _count(value: object) -> int | None:
    """Return a count of tokens, None where there is none, `UNUSABLE` for what cannot be one."""
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= 12 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST:
        return UNUSABLE  # NaN fails both comparisons
    return math.ceil(value)


def _fields_or_nothing(value: object) -> object:
    return value if isinstance(value, dict | BaseModel) else None


Count = Annotated[int | None, BeforeValidator(_count)]
Optional = BeforeValidator(_fields_or_nothing)  # marks a group of figures: anything but an object is no group


def grown(before: M, now: M | None, *, output: str) -> M:
    """Merge a later report into an earlier one. Figures are cumulative: lower or missing ones change nothing.

    An ``output`` figure that falls contradicts itself, and neither is believed.
    """
    if now is None:
        return before
    merged = before.model_copy(update={name: _later(getattr(before, name), value) for name, value in now})
    first, second = getattr(before, output), getattr(now, output)
    return merged.model_copy(update={output: UNUSABLE}) if first and second is not None and second < first else merged


def _later(before: Any, now: Any) -> Any:  # noqa: ANN401 - a count or a group of counts
    if now is None or before is None:
        return before if now is None else now
    if isinstance(now, BaseModel):
        return before.model_copy(update={name: _later(getattr(before, name), value) for name, value in now})
    return UNUSABLE if UNUSABLE in (before, now) else max(before, now)


def refuse_nothing(request: ModelRequest, parts: Sequence[Part], stop: StopReason, output: int | None) -> None:
    """Raise ProtocolError for an answer that holds nothing, and of which no token is reported: a server's failure, not a model's.

    A model that has nothing to say makes a token or two, and one whose first words are a stop sequence may make none.
    """
    asked = not request.sampling.stop and request.native.get("anthropic", {}).get("max_tokens") != 0  # 0 only fills the cache
    if asked and not parts and stop == "end" and (output is None or output <= 0):
        raise ProtocolError("An answer that holds nothing.")
