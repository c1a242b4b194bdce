"""Writes `docs/api.md` from the request models: `python tests/docs/api_document.py`."""

from pathlib import Path
from types import ModuleType

from api_fields import Fields, around, of_model, shown
from pydantic import BaseModel

from app.api.chat import anthropic_request, openai_request
from app.api.chat.openai_fields import ChatCompletionRequest
from app.api.responses import request as responses_request
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
- **passed on**: reaches the models of the vendor whose form it is, unchanged. Where the answer depends on it, models of other
  vendors are skipped; where only the vendor's own service does, they answer without it.
- **refused**: 400 `unsupported_parameter` with the field's name, unless its value requests nothing.
- Any other field is refused as the vendor refuses it.

A list is `[]`. A nested field without a row of its own kind is treated as the field that it is in.
"""
RESPONSES = """
- Nothing is stored ([ADR 30](decisions/0030-responses-without-state.md)). A client sends the whole conversation; `store` has no
  effect; `conversation` and `item_reference` are refused by name, `previous_response_id` with the code
  `previous_response_not_found`, on which clients send the whole conversation; `/v1/responses/{id}` answers 404.
  There is no WebSocket: 426, after which Codex sends its request by HTTP.
- Input items: messages of all roles with text, images, files and refusals; `function_call`, `custom_tool_call` and their
  outputs; `reasoning`; `additional_tools`; `tool_search_call` and its output. Of a history that began at OpenAI,
  items of its tools too (`web_search_call`, `mcp_call`, `local_shell_call` …): a call is passed on as a function's, with its
  result. Items that only the vendor can read (`compaction`, `item_reference`) are refused, with what to send instead.
- Tools: `function`, `custom` (a grammar is described to the model, not enforced: `octant-degraded: without_grammar`),
  `namespace`, and `tool_search` where the caller searches: it is offered as a function, and the tools that it finds are offered
  from then on. Web search, the vendor's own `tool_search`, and `image_generation` beside tools of the caller's own are left out
  (`octant-degraded: without_web_search`, …) unless `tool_choice` requires them; deferred tools are offered at once. Other hosted
  tools are refused.
- `truncation: auto` cuts nothing: an input that is too long is refused as such.
- `encrypted_content` of a reasoning item carries thinking blocks with their signatures. Send items back unchanged, and a model
  keeps its reasoning through a tool loop. `reasoning.summary` makes the words visible.
- Of `include`, `message.output_text.logprobs` is refused; the other values have no effect.
- `POST /v1/responses/input_tokens` counts as `/v1/messages/count_tokens` does.
"""
NOTES = """
## Translation

- A call in one vendor's form may be answered by the other vendor's model. This includes tools and parallel calls, tool
  results with images and errors, system prompts, images by URL and as base64, stop reasons, structured output, effort.
- `reasoning_effort` and `output_config.effort` are equivalent; `none` and `minimal` are `low` on Claude.
- System and developer messages keep their place: before the first turn, in the middle, or alone. `functions` and
  `function_call` are tools, of which one is called; the answer comes in the same old form.
- `tool_choice` with `allowed_tools` offers only those tools. Custom tools are refused by name.
- A PDF in a `file` part is a document; a file whose bytes are text is read as text, whatever its type. `file_id` is refused:
  there are no uploaded files.
- Before the call, money is held for all PDFs and addresses of documents in a request together as for a million tokens, the
  largest context window, because nothing in their bytes bounds what a vendor reads in them. The vendor's count is charged.
- A number over a double's range (`1e400`), one of over 400 digits, `NaN` and `Infinity` are refused in every body.
- A tool's message may hold images and files beside text. Null is taken for what only messages of other roles have. VS Code, Agno,
  Strands and Hugging Face's client add fields of their own to messages and functions; these are known by name.
- Claude's models differ, and a caller names an alias: a request is written as the answering model takes it. Thinking with a
  budget is adaptive since Claude 4.7 (shown, unless `display` says otherwise), and the only kind before 4.6. Thinking that is
  off is `between_tools` on Claude Sonnet 5.5, and the least effort on a model that always thinks.
- A tool that must be called is forced where the model allows that. Claude Sonnet and Opus since 5.5, and Fable since 5.1, are
  asked for it in words; a whole answer without the call is asked for again, then elsewhere. A begun answer goes on by request.
- A `top_k` or `top_p` of -1, and a thinking budget of 0 where thinking is adaptive or off, ask for nothing.
- `logprobs` come with the whole answer, and at the end of a stream, unless the guard has changed the text. `n` is refused:
  each answer is held, checked and recorded on its own.
- A model's own `refusal` is in that field and ends with `stop`; a filter's ends with `content_filter`.
- Thinking blocks come back with their signatures and are sent back to Anthropic unchanged. OpenAI's models do not get them. A
  stream in OpenAI's form does not show reasoning.
- Gemini's thought signature of a tool call is in `extra_content` of the call in `/v1/chat/completions`, and goes back to Gemini's
  models from there. Without it they get Google's word for none. DeepSeek's and Moonshot's thinking models get `reasoning_content`
  with each earlier answer, a blank one where nothing was kept, and are asked in words for a call that is required.
- A `tool_choice` that requires a call which no tool of the request can answer is refused. A stream is delivered as it comes, also
  without the required call: its stop reason says so.
- Cache marks (`cache_control`) reach Claude from every place where its API takes them, with their `ttl`; `scope` has no effect.
  Marks that Claude would refuse (a fifth one, five minutes before an hour) are left out. OpenAI caches by itself. Both report
  cached tokens, and `usage.cache_creation` separates writes for five minutes from those for an hour; each has its own price.
- Instructions after the first turn keep their place. Claude takes them only between the user's turn and its own, and before Opus
  4.8 nowhere: they follow the next turn of the user, or join the system prompt. After the last answer they are the user's turn.
- The results of tools go directly after their calls, before instructions and messages that stand between. An image is of the type
  that its bytes tell, whatever its caller says.
- `clear_at` is done here, for every vendor's model, and so are a system message's effort, of which the last counts, and its
  additions and removals of tools.
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
- Audio and the vendors' server tools are refused.
"""


def render() -> str:
    """The document."""
    tables = (
        _table("POST /v1/chat/completions", openai_request),
        _table("POST /v1/messages", anthropic_request),
        _table("POST /v1/responses", responses_request),
    )
    return HEAD + "".join(tables) + RESPONSES + NOTES


# How a field is taken, and the names in a request module that list such fields.
TREATMENTS = {
    "refused": ("REFUSED", "REFUSED_WITHIN"),
    "no effect": ("HARMLESS",),
    "passed on": ("NATIVE", "PASSED"),
}
VENDORS = ("anthropic", "openai")


def listed(module: ModuleType, treatment: str) -> frozenset[str]:
    """The fields that a request module lists under a treatment."""
    return frozenset().union(*(getattr(module, name, ()) for name in TREATMENTS[treatment]))


def kind_of(module: ModuleType, path: str) -> str:
    """How a field is taken: as it is listed, or as the field that it is in."""
    for place in (path, *around(path)):
        for treatment in TREATMENTS:
            if place in listed(module, treatment):
                return treatment
    return "honoured"


def fields_of(module: ModuleType) -> Fields:
    """All fields that are known by name."""
    bodies: dict[ModuleType, type[BaseModel]] = {
        openai_request: ChatCompletionRequest,
        anthropic_request: anthropic_request.MessagesRequest,
        responses_request: responses_request.ResponsesRequest,
    }
    return of_model(bodies[module])


def _table(title: str, module: ModuleType) -> str:
    names = sorted(set(map(shown, fields_of(module).paths)))
    lines = [f"| `{name}` | {kind_of(module, name)} | {_lacking(module, name)} |" for name in names]
    return f"\n## {title}\n\n| field | | not on |\n|---|---|---|\n" + "\n".join(lines) + "\n"


def _lacking(module: ModuleType, name: str) -> str:
    if kind_of(module, name) == "passed on":
        own = "anthropic" if module is anthropic_request else "openai"
        return ", ".join(vendor for vendor in VENDORS if vendor != own)
    kinds = {"anthropic": anthropic_wire.LACKS, "openai": openai_wire.LACKS}
    return ", ".join(kind for kind, lacks in kinds.items() if name in lacks)


if __name__ == "__main__":
    Path(__file__).resolve().parents[2].joinpath(PATH).write_text(render())
