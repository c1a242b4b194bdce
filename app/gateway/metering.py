"""The tokens of an attempt: as reported where plausible, else the upper bound (ADR 0016). Pure.

The input's bound is one token for each byte sent. The output's bound is all that the attempt was allowed. For a stream that did
not end, it is the most that the fastest model can have made by then, because output that never arrived is billed too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.calls import Reply, Usage
from app.domain.messages import Native, Part, Refusal, Text, Thinking, ToolResult, ToolUse
from app.domain.quick import quick, replace
from app.gateway.providers.base import ModelRequest

FASTEST = 3_000  # tokens a second; the fastest public endpoints stay below
NOTICED = 1.0  # seconds until a provider has noticed that its reader is gone
LONGEST_TOKEN = 128  # bytes; the longest tokens of the public vocabularies are runs of 128 blanks
ABSURD = 10  # times our bound: above it a figure is no count; below it counts as billed, and `octant_over_bound_total` alerts


@quick
@dataclass(frozen=True, slots=True)
class Bound:
    """The most tokens that one attempt can count. ``hour_cache``: its input may be kept in a cache for an hour.

    ``images`` come on top of ``input``: each target counts them its own way (`app.budget.pricing.image_tokens`).
    """

    input: int
    output: int
    hour_cache: bool = False
    images: int = 0

    def at(self, seconds: float, received: int) -> "Bound":
        """The bound of a stream ``seconds`` after its request, with ``received`` bytes arrived."""
        made = math.ceil((seconds + NOTICED) * FASTEST)
        return replace(self, output=min(self.output, max(made, received)))


@quick
@dataclass(frozen=True, slots=True)
class Counted:
    """The tokens to count. If not ``input_known``, the input is priced at the dearest rate (``hour_cache`` as in `Bound`)."""

    usage: Usage
    input_known: bool = True
    hour_cache: bool = False


NOTHING = Counted(Usage())


def count(reported: Usage, bound: Bound, received: int) -> Counted:
    """Return the tokens to count for a vendor's report; ``received``: bytes of output that arrived.

    The bound replaces a figure that is missing, not final (``estimated``) or impossible: output of no tokens, or of fewer than
    its bytes need; anything many times over the bound.
    """
    sent = reported.input + reported.cached_input + reported.cache_write
    input_known = 0 < sent <= ABSURD * bound.input
    most_output = ABSURD * max(bound.output, received)
    output_known = not reported.estimated and received <= LONGEST_TOKEN * reported.output and reported.output <= most_output
    usage = reported if input_known else replace(reported, input=bound.input, cached_input=0, cache_write=0, cache_write_1h=0)
    if not output_known:
        usage = replace(usage, output=bound.output, reasoning=0)
    return Counted(replace(usage, estimated=not (input_known and output_known)), input_known, bound.hour_cache)


def keeps_for_an_hour(request: ModelRequest) -> bool:
    """Return whether a request asks for any prefix to be cached for an hour."""
    parts: list[Part] = [part for message in request.messages for part in message.parts]
    parts += [inner for part in parts if isinstance(part, ToolResult) for inner in part.content]
    natives: list[Mapping[str, Any]] = [part.block for part in parts if isinstance(part, Native)]
    if any((block.get("cache_control") or {}).get("ttl") == "1h" for block in (*natives, *request.native.values())):
        return True
    return any(getattr(marked, "cache", None) == "1h" for marked in (*request.tools, *request.system, *parts))


def received_bytes(reply: Reply) -> int:
    """Count the bytes that the model made as tokens, without the vendor's signatures and sealed reasoning."""
    texts: list[str] = []
    for part in reply.parts:
        match part:
            case Text(text=text) | Thinking(text=text) | Refusal(text=text):
                texts.append(text)
            case ToolUse(name=name, arguments=arguments):
                texts += (name, arguments)
            case Native() as native:
                texts.append(native.text)
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
