"""Why Claude stopped, by meaning, and as its servers say it.

A reason that is not in the table is no clean end: half an answer must never pass for a whole one (ADR 0014).
"""

from collections.abc import Sequence

from app.domain.messages import Part, StopReason, Text, ToolUse
from app.gateway.providers.errors import ProtocolError

STOPS: dict[str, StopReason] = {
    "end_turn": "end",
    "pause_turn": "pause_turn",
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "context_window",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "refusal": "refusal",
    "sensitive": "refusal",  # of its safety filter, not documented
    "content_filtered": "refusal",  # of Bedrock, and the next
    "guardrail_intervened": "refusal",
    # of servers that speak OpenAI's protocol too
    "stop": "end",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

CUT = frozenset(reason for reason, stop in STOPS.items() if stop in ("max_tokens", "context_window", "refusal"))


def counts(reason: str, *, after: str | None) -> bool:
    """Whether a reason counts in the place of one before it: no plain end takes back that the answer was cut."""
    return after not in CUT or STOPS.get(reason) not in ("end", "tool_use")


def stop_of(reason: str | None, parts: Sequence[Part]) -> StopReason:
    """Our stop reason. Raises ProtocolError where there is none, or none that is known."""
    if reason is None:
        raise ProtocolError("The stream ended without a stop reason.")
    if reason not in STOPS:
        raise ProtocolError("The answer ended for a reason that is not known.")
    stop = STOPS[reason]
    if stop in ("end", "tool_use") and any(isinstance(part, Text | ToolUse) for part in parts):  # some end all alike
        return "tool_use" if any(isinstance(part, ToolUse) for part in parts) else "end"
    return stop
