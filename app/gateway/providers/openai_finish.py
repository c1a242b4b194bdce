"""Why a model stopped, by meaning: the words that servers of OpenAI's protocol use for one end.

An end that is not in the table is an error: half an answer must never pass for a whole one (ADR 0014).
"""

from collections.abc import Mapping

from app.domain.messages import StopReason
from app.gateway.providers.errors import ProtocolError, machine_words

_WORDS: Mapping[StopReason, str] = {
    "end": """
        stop stopped end end_turn eos eos_token eot complete completed finish finished finish_reason_stop done stop_token normal
    """,
    "stop_sequence": "stop_sequence stop_word stop_str",
    "max_tokens": """
        length max_tokens max_output_tokens max_completion_tokens max_new_tokens max_length max_output max_tokens_reached
        token_limit truncated finish_reason_max_tokens
    """,
    "context_window": """
        model_length model_context_window_exceeded context_length_exceeded context_window_exceeded context_window context_length
        max_context_length
    """,
    "tool_use": "tool_calls tool_call tool_use tool function_call function_calls",
    "refusal": """
        content_filter content_filtered content_policy content_policy_violation contentfilter safety recitation blocklist
        prohibited_content spii image_safety image_prohibited_content image_recitation sensitive refusal refused moderation
        guardrail guardrail_intervened blocked
        finish_reason_safety
    """,
    "pause_turn": "pause_turn",
}
FINISHES: Mapping[str, StopReason] = {word: stop for stop, words in _WORDS.items() for word in words.split()}
CUT = frozenset(word for word, stop in FINISHES.items() if stop in ("max_tokens", "context_window", "refusal"))
_NONE = frozenset({"", "null", "none", "undefined"})  # said of a chunk: it goes on
_FAILED = frozenset({"error", "network_error", "engine_error", "server_error"})


def finish_of(value: object) -> str | None:
    """A finish reason as a lower-case word; None where the answer goes on. Some servers send an object with a ``type``."""
    if isinstance(value, Mapping):
        value = value.get("type")
    if value is None or value is False:
        return None
    word = str(value).strip().lower().replace("-", "_").replace(" ", "_")
    return None if word in _NONE else word


def counts(finish: str, *, after: str | None) -> bool:
    """Whether a reason counts in the place of one before it: no plain end takes back that the answer was cut."""
    return after not in CUT or FINISHES.get(finish) not in ("end", "tool_use")


def stop_of(finish: str, native: str | None = None) -> StopReason:
    """Our stop reason. ``native``: the word of the vendor behind a router. Raises ProtocolError where it is no known end."""
    stop = FINISHES.get(finish)
    if stop is None and FINISHES.get(finish.partition(":")[0]) == "refusal":
        stop = "refusal"  # Gemini says behind a colon what was filtered
    if stop is None or native in _FAILED:
        raise ProtocolError(f"The model stopped for a reason that is no end of an answer: {_shown(native, finish)}.")
    return stop


def _shown(native: str | None, finish: str) -> str:
    return machine_words(native if native in _FAILED else finish) or "unknown"
