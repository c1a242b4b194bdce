"""Writes `docs/api.md` from the request models: `python tests/docs/api_document.py`."""

from pathlib import Path

from app.api.chat import anthropic_request, openai_request
from app.gateway.providers import anthropic_wire, openai_wire

PATH = "docs/api.md"
HEAD = """\
# What of the vendors' APIs is honoured

Written from the request models by `PYTHONPATH=. python tests/docs/api_document.py`; `tests/docs/test_api.py` fails when an SDK
knows a field that is not here. Do not edit it by hand.

- **honoured**: does what the vendor says. Where a provider kind has no such thing, its models are passed over for this call
  (`octant-degraded: narrowed`); if no model of the route can do it, the call is refused up front with `unsupported_parameter`. A
  route may `ignore` a parameter instead: it is dropped where it cannot be done, and the answer says `octant-degraded: ignored_…`.
  A value that is the vendor's default asks for nothing.
- **no effect**: of the vendor's own service; accepted, and nothing in the answer depends on it.
- **refused**: 400 `unsupported_parameter`, with the field named, if it asks for anything.
- A field that is not here is refused as the vendor refuses it.
"""
NOTES = """
## What is translated

- A call that came in one vendor's form may be answered by the other's model: tools and parallel calls, tool results with images
  and errors, system prompts, images by URL and as base64, stop reasons, structured output, effort.
- `reasoning_effort` and `output_config.effort` are one thing; `none` and `minimal` are `low` on Claude.
- System and developer messages come first. One after the first turn is refused: Anthropic has no place for it, and moving it
  would change what it says.
- Thinking blocks come back with their signatures and are sent back to Anthropic unchanged. OpenAI's models are not shown another
  model's private notes. A stream in OpenAI's form does not show reasoning.
- Cache marks are Anthropic's; OpenAI caches by itself. Both report cached tokens.
- `POST /v1/messages/count_tokens` asks the first vendor of the route that counts; else it gives our upper bound and says
  `octant-estimated: true`. OpenAI's chat completions have no such endpoint.
- `POST /v1/feedback` is ours and no vendor's: `request_id`, `rating` (`good` or `bad`), `comment` (2,000 characters), `user`.
  It answers 200, also for a request that has no record yet. Comments are redacted before they are stored.
- A stream's headers leave before its cost is known. Its last event carries it, in a field of ours beside the vendor's:
  `"octant": {"cost_usd", "provider", "model", "attempts", "fallbacks", "degraded"}`, named and written as in the headers.
  That is the last chunk before `[DONE]` in OpenAI's form (the usage chunk where one was asked for), `message_delta` in
  Anthropic's, and inside `error` where a stream breaks off. Both vendors' SDKs hand it on: `chunk.model_extra["octant"]`,
  `event.model_extra["octant"]`. The support product's `done` event has the same facts at its top level.
- Every answer carries `x-request-id`, `request-id` and `octant-trace-id`, errors of every kind and the 202 of a job included.
  A replay under an `Idempotency-Key` carries the first answer's `octant-trace-id`. Health checks are not traced: their id leads
  to a log line.
- Audio, files, several choices (`n`), log probabilities and the vendors' server tools are refused.
"""


def render() -> str:
    """The document."""
    return HEAD + _table("POST /v1/chat/completions", openai_request) + _table("POST /v1/messages", anthropic_request) + NOTES


def kind_of(module: object, name: str) -> str:
    """How a field is taken."""
    if name in module.HARMLESS:  # type: ignore[attr-defined]
        return "no effect"
    return "refused" if name in module.REFUSED else "honoured"  # type: ignore[attr-defined]


def fields_of(module: object) -> list[str]:
    """All fields that are known by name."""
    model = openai_request.ChatCompletionRequest if module is openai_request else anthropic_request.MessagesRequest
    return sorted(model.model_fields)


def _table(title: str, module: object) -> str:
    lines = [f"| `{name}` | {kind_of(module, name)} | {_lacking(name)} |" for name in fields_of(module)]
    return f"\n## {title}\n\n| field | | not on |\n|---|---|---|\n" + "\n".join(lines) + "\n"


def _lacking(name: str) -> str:
    kinds = {"anthropic": anthropic_wire.LACKS, "openai": openai_wire.LACKS}
    return ", ".join(kind for kind, lacks in kinds.items() if name in lacks)


if __name__ == "__main__":
    Path(__file__).resolve().parents[2].joinpath(PATH).write_text(render())
