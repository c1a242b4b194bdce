"""Writes `docs/api.md` from the request models: `python tests/docs/api_document.py`."""

from pathlib import Path

from app.api.chat import anthropic_request, openai_request
from app.gateway.providers import anthropic_wire, openai_wire

PATH = "docs/api.md"
HEAD = """\
# The vendors' APIs

Generated from the request models by `PYTHONPATH=. python tests/docs/api_document.py`; `tests/docs/test_api.py` fails when an
SDK has a field that is missing here. Do not edit it by hand.

- **honoured**: works as the vendor documents it. Models of a provider that lacks the parameter are skipped for this call
  (`octant-degraded: narrowed`); if no model of the route supports it, the call is refused up front with
  `unsupported_parameter`. A route may `ignore` a parameter instead: it is then dropped where it is not supported, and the
  answer says `octant-degraded: ignored_…`. The vendor's default value is treated as absent.
- **no effect**: accepted for the vendor's own service; the text of the answer does not depend on it.
- **refused**: 400 `unsupported_parameter` with the field's name, unless its value requests nothing.
- Any other field is refused as the vendor refuses it.
"""
NOTES = """
## Translation

- A call in one vendor's form may be answered by the other vendor's model. This includes tools and parallel calls, tool
  results with images and errors, system prompts, images by URL and as base64, stop reasons, structured output, effort.
- `reasoning_effort` and `output_config.effort` are equivalent; `none` and `minimal` are `low` on Claude.
- System and developer messages come first. One after the first turn is refused, because moving it would change its
  meaning; it is not yet passed on to models that accept it there.
- Thinking blocks come back with their signatures and are sent back to Anthropic unchanged. OpenAI's models do not get them. A
  stream in OpenAI's form does not show reasoning.
- Cache marks (`cache_control`) reach Claude from every place where its API takes them, with their `ttl`; `scope` has no effect.
  Marks that Claude would refuse (a fifth one, five minutes before an hour) are left out. OpenAI caches by itself. Both report
  cached tokens, and `usage.cache_creation` separates writes for five minutes from those for an hour; each has its own price.
- Instructions in the middle of `/v1/messages` keep their place. `clear_at` is done here, for every vendor's model.
- `metadata.user_id` names the user for caps. Of the value that Claude Code sends, that is the account, or without one the device:
  never the session. A value of over 128 characters stands as its SHA-256 (`sha256-…`).
- `anthropic-beta`: names that only change how Claude answers go on to it. The header `octant-ignored-betas` names the others.
- Search results, documents with citations or in blocks, tool references, and blocks of earlier answers by Anthropic's own tools
  go to Claude unchanged; models of others are skipped. Other documents are read by models of both. Files by id are refused.
- Anthropic's `bash_…`, `text_editor_…`, `memory_…` and `computer_…` tools run where the caller is and go to Claude alone. Its
  tools that run at the vendor are refused, and so are `thread` (the SDKs' tool runners then send whole conversations),
  `fallbacks` and `compaction`. `context_management` that keeps all thinking asks for nothing; other edits go to Claude alone.
- `/v1/messages` has no text for reasoning that its vendor does not sign. Tool calls that a model writes at once come one after
  the other. `message_start` has the input's tokens as Claude reports them, or else an estimate; `message_delta` has all.
- `POST /v1/messages/count_tokens` uses the first vendor of the route that can count; otherwise it returns our upper bound with
  `octant-estimated: true`. OpenAI's chat completions have no such endpoint.
- `POST /v1/feedback` is our own endpoint: `request_id`, `rating` (`good` or `bad`), `comment` (2,000 characters), `user`.
  It answers 200, also for a request that has no record yet. Comments are redacted before they are stored.
- A stream's headers leave before its cost is known. Its last event carries it, in a field of our own beside the vendor's:
  `"octant": {"cost_usd", "provider", "model", "attempts", "fallbacks", "degraded"}`, with the names and values of the headers.
  This is the last chunk before `[DONE]` in OpenAI's form (the usage chunk if it was requested), `message_delta` in
  Anthropic's, and inside `error` if a stream breaks. Both vendors' SDKs expose it: `chunk.model_extra["octant"]`,
  `event.model_extra["octant"]`. The support product's `done` event has the same fields at its top level.
- Every answer carries `x-request-id`, `request-id` and `octant-trace-id`, including errors of every kind and the 202 of a
  job. A replay under an `Idempotency-Key` carries the first answer's `octant-trace-id`. Health checks are not traced: their
  id leads to a log line.
- Audio, files by id, several choices (`n`), log probabilities and the vendors' server tools are refused.
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
