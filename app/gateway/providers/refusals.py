"""What a vendor says in an error's body: why it refused a request, and whether it is our account that it refuses. Pure.

A dozen servers speak each protocol, and each words its refusals in its own way: in a code, in a type, or in a sentence only. The
words are searched, never passed on, because vendors quote prompts in them. Six reasons of our own leave this module and, for a
prompt that is too long, two numbers.

Sources are the servers' own code and public reports: OpenAI, Azure OpenAI, Anthropic, Amazon Bedrock, Gemini, Mistral, Groq, xAI,
DeepSeek, DashScope, Moonshot, Z.ai, MiniMax, Cohere, NVIDIA, OpenRouter, LiteLLM, vLLM, SGLang, TGI, llama.cpp, Ollama,
TensorRT-LLM, Copilot, Poolside, Fireworks.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from app.domain.errors import RejectionReason

MOST_TEXTS, LONGEST_TEXT, DEEPEST = 60, 4_000, 6
# Fields that hold the caller's own words, or the model's, which the caller steers
QUOTED = frozenset({"input", "input_value", "flagged_input", "prompt", "messages", "content", "loc", "failed_generation"})
CODE_FIELDS = frozenset({"code", "type", "__type", "error_code", "error_type", "status", "reason"})

CODES: dict[str, RejectionReason] = {
    "context_length_exceeded": "context_length",  # OpenAI, Azure, Groq, OpenRouter
    "exceed_context_size_error": "context_length",  # llama.cpp
    "model_context_window_exceeded": "context_length",
    "model_max_prompt_tokens_exceeded": "context_length",  # GitHub Copilot
    "context_overflow": "context_length",
    "content_filter": "content_policy",  # Azure, Moonshot
    "content_policy_violation": "content_policy",  # OpenAI
    "responsibleaipolicyviolation": "content_policy",  # Azure, the inner code
    "invalid_prompt": "content_policy",  # OpenAI, for a prompt that its usage policy flags
    "data_inspection_failed": "content_policy",  # DashScope
    "datainspectionfailed": "content_policy",
    "sensitivecontentdetected": "content_policy",  # ByteDance
    "image_content_policy_violation": "content_policy",  # OpenAI
    "request_too_large": "too_large",  # Anthropic
    **dict.fromkeys(
        [  # OpenAI
            "empty_image_file",
            "failed_to_download_image",
            "image_file_not_found",
            "image_file_too_large",
            "image_parse_error",
            "image_too_large",
            "image_too_small",
            "invalid_base64_image",
            "invalid_image",
            "invalid_image_format",
            "invalid_image_mode",
            "invalid_image_url",
            "unsupported_image_media_type",
        ],
        "unreadable_media",
    ),
}

# Sentences, in lower case. They are searched only where the status says that the request was refused.
_CONTEXT = re.compile(
    r"maximum context length|max(?:imum)? (?:prompt|model) length|prompt is too long|prompt too long|input is too long"
    r"|exceeds? (?:the |your )?(?:available |model'?s? )?context|longer than the model'?s? context"
    r"|context (?:window|size|limit|length)"
    r"|maximum number of tokens allowed|exceeds the maximum number of (?:input )?tokens|tokens exceed the configured limit"
    r"|reduce the length of the (?:messages|prompt|input)|range of input length should be|exceed max message tokens"
    r"|`?inputs`? tokens \+ `?max_new_tokens`?|too large for model with \d+|must be less than max_seq_len"  # TGI, SiliconFlow
    r"|exceeded model token limit|too many tokens: total number|prompt exceeds max"  # Moonshot, Cohere, Z.ai
    r"|prompt token count of \d+ exceeds|tokens in request more than max tokens"  # Copilot
    r"|maximum (?:allowed )?input length|should not exceed max_num_tokens"  # Poolside, TensorRT-LLM
)
_POLICY = re.compile(
    r"content (?:filter|management polic|filtering polic|polic)|usage polic|violat\w+ (?:our|the) polic|content exists risk"
    r"|responsible ai|input (?:was )?flagged|flagged (?:by|as|for)|considered high risk|prohibited_content|safety system"
    r"|violates usage guidelines|\bnew_sensitive\b|unsafe or sensitive content|不安全或敏感内容"  # xAI, MiniMax, Z.ai
    r"|contain inappropriate content"  # DashScope, by way of a proxy that leaves its code out
)
# Of the request's content, though the status is one for our key (OpenRouter, xAI) or for a fault of the server's (MiniMax).
_OF_CONTENT = re.compile(r"flagged|content violates|\bnew_sensitive\b")
_LARGE = re.compile(
    r"exceeds the maximum (?:allowed )?(?:size|number of bytes)|payload too large|entity too large|request too large"
    r"|(?:payload|message) size (?:\d{1,12} )?exceeds (?:the )?limit"  # Gemini, Moonshot
)
# Of an image or a document that is damaged, not what it says, too large or not to be fetched: Anthropic, OpenAI, Gemini, vLLM.
_MEDIA = re.compile(
    r"could not process (?:the )?(?:image|pdf|document|file)|unable to process input image|uploaded an unsupported image"
    r"|invalid image data|not represent a valid image|image does not match the provided media type|(?:image|pdf) cannot be empty"
    r"|image was specified using the|unsupported mime type: image/"
    r"|expected a (?:base64-encoded data url|file) with an (?:image|application/pdf) mime type"
    r"|image exceeds \d+ mb|image dimensions exceed|maximum of \d+ pdf pages"
    r"|pdf specified (?:was not valid|is password protected)|cannot identify image file"
    r"|(?:failed|unable) to (?:load|decode) (?:the )?image|(?:failed to|error while|timeout while|unable to) download"
)
# Of calls without results and results without calls: OpenAI, Anthropic, Mistral, Gemini, Bedrock, Moonshot, MiniMax.
_UNPAIRED = re.compile(
    r"must (?:be a response to|follow) a prec\w+ message|must be followed by tool messages|`?tool_use`? must have a single result"
    r"|no tool (?:output|call) found for (?:\w+ ){1,3}call\b|tool call result does not follow tool call|tool result's tool id"
    r"|`?tool_use`? ids were found without|unexpected `?tool_use_id`?|not the same number of function calls and responses"
    r"|number of function response parts is equal|function (?:call|response) turn comes immediately after"
    r"|expected toolresult blocks|number of toolresult blocks .{0,60}exceeds|\btool_call_id\b.{0,80} not found"
)

# Of our key, our account or our model's name, not of the request. Vendors send them with any status, with 400 as often as not.
_DENIED_CODES = frozenset(
    [
        "insufficient_quota",
        "billing_hard_limit_reached",
        "account_deactivated",
        "invalid_api_key",
        "model_not_found",
        "billing_error",
        "exceeded_current_quota_error",
        "insufficient_balance",
        "insufficient_balance_error",
        "arrearage",
        "accountoverdueerror",
        "api_key_invalid",
        "model_decommissioned",
        "model_not_available",  # Together
        "model.accessdenied",  # DashScope, as the next
        "allocationquota.freetieronly",
        "invalidendpointormodel.notfound",  # Volcengine
        "1311",  # Z.ai, for a model that is not in the plan
        "model_not_supported",
        "unknown_model",
        "invalid_model",
        "organization_restricted",
        "operationnotsupported",
        "budget_exceeded",
        "authentication_error",
        "permission_error",
        "credit_balance_exhausted",  # OpenAI, as the three below
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
        "expiredtokenexception",  # AWS, as the three below
        "unrecognizedclientexception",
        "accessdeniedexception",
        "resourcenotfoundexception",
    ]
)
_DENIED = re.compile(
    r"credit balance is too low|insufficient (?:account )?balance|specified api usage limits|account is in good standing"
    r"|account is in arrears|余额不足"  # Z.ai
    r"|overdue (?:account|payment)|organization has been (?:disabled|restricted)|account (?:is|has been) (?:suspended|disabled)"
    r"|(?:incorrect|invalid|expired) api key|api key (?:is )?(?:not valid|invalid|expired)|user location is not supported"
    r"|is not a valid model id|model .{1,100} has been decommissioned|no models? (?:is )?loaded"
    r"|model(?:code:)?\s+(?:does )?not exist|模型不存在|\bunknown model\b|invalid model name passed"  # DeepSeek, Z.ai, LiteLLM
    r"|model identifier is invalid|with on-demand throughput isn.t supported|model\s+does not support the\s+api"  # Bedrock
    r"|organization must be verified|budget has been exceeded"  # OpenAI, LiteLLM
    r"|does not work with the specified model|model loading aborted|failed to load model"  # Azure, LM Studio
    r"|enable billing on your project|degraded function cannot be invoked"  # Gemini, NVIDIA
    r"|out of extra usage|from your extra usage|not (?:yet )?available for this subscription"  # Anthropic
    r"|monthly spend(?:ing)? (?:cap|limit)|account \S{1,80} is suspended"  # Gemini, Fireworks
    r"|security token included in the request is|reached the end of its life|marked by provider as legacy"  # Bedrock
    r"|access to this model is not available|model is not supported when using codex"  # Bedrock, OpenAI
    r"|model (?:is )?unloaded|model .{1,100} failed to load"  # LM Studio, llama.cpp
    r"|access to (?:the )?model (?:is |was )?denied|does not (?:yet )?include access to|unable to access model"  # Z.ai, Together
    r"|model or endpoint \S{1,80} does not exist|no endpoints found for \S|is not found for api version"  # Volcengine, Gemini
    # A model that its vendor took away, or does not sell us: only its name stands between, which has a dash or a digit.
    r"|\bmodel:?\s+(?:(?=\S{0,60}[-/.\d])\S{1,80}+\s+)?(?:"
    r"(?:is|was|has been) (?:now )?(?:deprecated|retired|removed|discontinued|sunset)\b"
    r"|is no longer (?:accessible|available|supported)|is not (?:allowed for|available (?:in|on) your))"
)
# Vendors quote what they refuse. A caller must not be able to write that our key is invalid, and so have a model passed over.
# It may have lines, escaped quotes and apostrophes, and no end where it was too long: then it goes on to the end of its string.
_SEAM = "\x1f"  # between two strings of a body
_QUOTATION = re.compile(rf"""(?<!\w)'(?:\\.|[^'\\{_SEAM}]|'(?=\w))*+'?|"(?:\\.|[^"\\{_SEAM}])*+"?|`[^`{_SEAM}]*+`?""", re.DOTALL)
# Of output that the server refused to pass on: Groq's words, sent as a 400 or in a stream.
_STUMBLED_CODES = frozenset({"tool_use_failed", "json_validate_failed", "output_parse_failed"})
# Of our rate. Groq sends it with 413, proxies of Bedrock with 400 or 500.
_LIMIT_CODES = frozenset(
    [
        "rate_limit_exceeded",
        "rate_limit_error",
        "rate_limit_reached",
        "throttlingexception",
        "throttling_error",
        "too_many_requests",
        "service_tier_capacity_exceeded",  # Mistral
    ]
)
_LIMITS = re.compile(
    r"tokens per (?:minute|day)|too many (?:tokens|requests), please wait|rate limit (?:reached|exceeded)"
    r"|high-frequency .{0,30}requests|total request limit reached"  # NVIDIA behind OpenRouter
)
# Of a server that broke down, and says so with the status of a refusal: go-betweens pass on what stood behind them.
_FAULT_CODES = frozenset(
    [
        "server_error",
        "internal_error",
        "internal_server_error",
        "upstream_error",
        "overloaded_error",
        "engine_overloaded_error",
        "service_unavailable",
        "service_unavailable_error",
        "model_unavailable",
    ]
)
_FAULTS = re.compile(
    r"upstream (?:request |connect )?(?:failed|error|unavailable|timed out|timeout)|upstream is unavailable"
    r"|model has crashed|model is (?:currently |temporarily )?unavailable"
)
_OVER = re.compile(r"exceed|greater than|larger than|longer than|too long")
_LIMITED = re.compile(r"rate.?limit|too many requests|throttl|concurrency|resource_exhausted|^(?:tokens|requests)$", re.MULTILINE)
_BUSY = re.compile(r"overload|capacity|server is busy|unavailable")

# The prompt's length and the model's limit, in the forms that name both.
# Numbers are bounded: a run of digits without end is no number, and would be read again from each of them.
_USED, _LIMIT = (rf"(?<!\d)(?P<{name}>\d{{1,9}})(?!\d)" for name in ("used", "limit"))
_LENGTHS = tuple(
    re.compile(form, re.DOTALL)
    for form in (
        rf"{_USED} tokens > {_LIMIT} maximum",  # Anthropic
        rf"context length is {_LIMIT} tokens.{{0,80}}?prompt contains (?:at least )?{_USED} input tokens",  # vLLM
        rf"context length is {_LIMIT} tokens.{{0,80}}?{_USED} tokens",  # OpenAI, vLLM
        rf"request \({_USED} tokens\) exceeds the available context size \({_LIMIT} tokens\)",  # llama.cpp
        rf"input token count \(?{_USED}\)? exceeds the maximum number of tokens allowed \(?{_LIMIT}",  # Gemini
        rf"input \({_USED} tokens\) is longer than the model's context length \({_LIMIT} tokens\)",  # SGLang
        rf"token limit: {_LIMIT} \(requested: {_USED}\)",  # Moonshot
        rf"total number of tokens .{{0,40}}?cannot exceed {_LIMIT} - received {_USED}",  # Cohere
        rf"prompt contains {_USED} tokens.{{0,60}}?{_LIMIT} maximum context",  # Mistral
        rf"prompt_tokens \({_USED}\) must be less than max_seq_len \({_LIMIT}\)",  # SiliconFlow
        rf"prompt token count of {_USED} exceeds the limit of {_LIMIT}",  # Copilot
        rf"input length {_USED} exceeds the maximum allowed input length of {_LIMIT}",  # Poolside
        rf"prompt length \({_USED}(?:\.0)?\).{{0,60}}?max_num_tokens \({_LIMIT}\)",  # TensorRT-LLM
        rf"prompt has {_USED} tokens.{{0,60}}?context size is {_LIMIT}",  # of DeepSeek's local server
        rf"prompt is too long: {_USED}, model maximum context length: {_LIMIT}",  # Fireworks
        rf"maximum prompt length is {_LIMIT} but the request contains {_USED} tokens",  # xAI
        rf"input length \({_USED}\) exceeds model'?s maximum context length \({_LIMIT}\)",
        rf"prompt too long: {_USED} tokens exceeds max_seq_len {_LIMIT}",
    )
)


@dataclass(frozen=True, slots=True)
class Refused:
    """The reason, and for a prompt that is too long its tokens and the limit, where the vendor names both."""

    reason: RejectionReason
    tokens: tuple[int, int] | None = None


def refusal(status: int, body: object) -> Refused | None:
    """Read why a request was refused; None where the body does not say that it was.

    ``status`` 200 is an error event in a stream. A machine-readable code counts whatever the status: some servers send a context
    overflow as a 500, and OpenRouter a flagged input as a 403.
    """
    codes, words = _said(body)
    reason = next((CODES[code] for code in codes if code in CODES), None) or _by_words(status, codes, words)
    return Refused(reason, _lengths(words) if reason == "context_length" else None) if reason else None


def denies(body: object) -> bool:
    """Whether the vendor refuses us, not the request: another request would fare no better."""
    codes, words = _said(body)
    return not _DENIED_CODES.isdisjoint(codes) or bool(_DENIED.search(_QUOTATION.sub(" ", words)))


def limits(body: object) -> bool:
    """Whether the vendor limits our rate. The same request fares better later, or elsewhere at once."""
    codes, words = _said(body)
    return not _LIMIT_CODES.isdisjoint(codes) or bool(_LIMITS.search(_QUOTATION.sub(" ", words)))


def broke_down(body: object) -> bool:
    """Whether the server says, in the place of a reason, that it or the one behind it failed. Another attempt may fare better."""
    return _is_fault(*_said(body))


def _is_fault(codes: list[str], words: str) -> bool:
    return not _FAULT_CODES.isdisjoint(codes) or bool(_FAULTS.search(_QUOTATION.sub(" ", words)))


def stumbled(body: object) -> bool:
    """Whether the model's output was no good, which another attempt may mend."""
    return not _STUMBLED_CODES.isdisjoint(_said(body)[0])


def trouble(body: object) -> Literal["limited", "busy"] | None:
    """What an error without a status means, where it says that a later attempt may fare better."""
    codes, words = _said(body)
    said = "\n".join((*codes, _QUOTATION.sub(" ", words)))
    return "limited" if _LIMITED.search(said) else "busy" if _BUSY.search(said) else None


def _said(body: object) -> tuple[list[str], str]:
    """The codes and the sentences of a body."""
    texts: list[str] = []
    codes: list[str] = []
    for name, text in _strings(body, "", 0):
        if name in CODE_FIELDS:
            codes.append(text.rpartition("#")[2])  # AWS writes a namespace before it
        else:
            texts.append(text.replace(_SEAM, " "))
        if len(texts) + len(codes) >= MOST_TEXTS:
            break
    return codes, f"\n{_SEAM}\n".join(texts)


def _by_words(status: int, codes: list[str], words: str) -> RejectionReason | None:
    found: RejectionReason | None = None
    if status == 451 or (status in (403, 500) and _OF_CONTENT.search(words) and _POLICY.search(words)):
        return "content_policy"
    if status == 500:  # LM Studio's and older llama.cpp's servers; other words about contexts are of the server's own trouble
        return "context_length" if _CONTEXT.search(words) and _OVER.search(words) else None
    if status in (200, 400, 413, 422):
        if _CONTEXT.search(words) or _too_long_a_message(codes, words):
            found = "context_length"
        elif _POLICY.search(words):
            found = "content_policy"
        elif status == 413 or _LARGE.search(words):
            found = "too_large"
        elif status != 200:
            found = "unreadable_media" if _MEDIA.search(words) else "unpaired_tools" if _UNPAIRED.search(words) else None
            found = found or (None if _is_fault(codes, words) else "invalid")
    return found


def _too_long_a_message(codes: list[str], words: str) -> bool:
    """OpenAI has one code for every string that is too long: a message's text is meant, not a tool's name."""
    return "string_above_max_length" in codes and bool(re.search(r"messages\[\d+\]\.content|\binput\b", words))


def _lengths(words: str) -> tuple[int, int] | None:
    for form in _LENGTHS:
        if found := form.search(words):
            used, limit = int(found["used"]), int(found["limit"])
            return (used, limit) if used > limit > 0 else None
    return None


def _strings(value: object, name: str, depth: int) -> Iterator[tuple[str, str]]:
    """Every string of the body in lower case, with its field's name. JSON in a string is read as such (OpenRouter's ``raw``)."""
    if depth > DEEPEST:
        return
    if isinstance(value, str):
        if value.startswith(("{", "[")) and len(value) <= 10 * LONGEST_TEXT:
            try:
                yield from _strings(json.loads(value), name, depth + 1)
            except (ValueError, RecursionError):
                yield name, value[:LONGEST_TEXT].lower()
            return
        yield name, value[:LONGEST_TEXT].lower()
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in QUOTED:
                yield from _strings(inner, str(key), depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, name, depth + 1)
