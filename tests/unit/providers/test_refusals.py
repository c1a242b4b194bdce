"""Why a vendor refused, in the words of a dozen servers."""

import json
from collections.abc import Callable

import pytest
from growth import is_linear

from app.domain.errors import (
    ProviderDenied,
    ProviderFailed,
    ProviderGarbled,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    RejectionReason,
)
from app.gateway.providers import anthropic, openai
from app.gateway.providers.errors import Blame, ReportedError
from app.gateway.providers.http import StatusError
from app.gateway.providers.refusals import _QUOTATION, Refused, denies, limits, refusal, trouble

LONG = [
    (400, {"message": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
           "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}),
    (400, {"message": "Your input exceeds the context window of this model.", "code": "context_length_exceeded"}),
    (400, {"message": "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 280000 tokens."}),
    (400, {"message": "Invalid 'messages[0].content': string too long.", "code": "string_above_max_length"}),
    (400, {"type": "error", "error": {"message": "prompt is too long: 205284 tokens > 200000 maximum"}}),
    (400, {"type": "error", "error": {"message": "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"}}),
    (400, {"object": "error", "message": "This model's maximum context length is 6048 tokens. You requested 6616 tokens.",
           "type": "BadRequestError", "code": 400}),
    (400, {"message": "The decoder prompt (length 9000) is longer than the maximum model length of 8192."}),
    (400, {"message": "The input (9000 tokens) is longer than the model's context length (8192 tokens)."}),
    (500, {"code": 500, "message": "the request exceeds the available context size.", "type": "exceed_context_size_error"}),
    (400, {"message": "request (1407 tokens) exceeds the available context size (256 tokens), try increasing it",
           "type": "exceed_context_size_error", "n_prompt_tokens": 1407, "n_ctx": 256}),
    (400, {"message": "prompt too long; exceeded max context length by 12 tokens", "type": "api_error"}),
    (400, "prompt too long; exceeded max context length by 12 tokens"),
    (400, {"message": "prompt token count of 141422 exceeds the limit of 128000", "code": "model_max_prompt_tokens_exceeded"}),
    (400, {"message": "Refused.", "code": "model_max_prompt_tokens_exceeded"}),
    (400, {"message": "prompt token count of 141422 exceeds the limit of 128000"}),
    (400, {"message": "tokens in request more than max tokens allowed"}),
    (400, {"message": "Refused.", "type": "context_overflow"}),
    (400, {"message": "Prompt length (200) exceeds maximum input length (100)"}),
    (400, [{"error": {"code": 400, "status": "INVALID_ARGUMENT",
                      "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}]),
    (400, {"message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"}),
    (400, {"message": "Please reduce the length of the messages or completion.", "type": "invalid_request_error"}),
    (400, {"message": "This model's maximum prompt length is 131072 but the request contains 537812 tokens."}),
    (400, {"message": "Input is too long for requested model."}),
    (400, {"message": "Range of input length should be [1, 129024]", "code": "invalid_parameter_error"}),
    (422, {"message": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000"}),
    (400, {"error": "The number of tokens to keep from the initial prompt is greater than the context length"}),
    (400, {"message": "Trying to keep the first 9000 tokens when context overflows. The context length is only 4096 tokens."}),
    (200, {"message": "The number of tokens to keep from the initial prompt is greater than the context length."}),
    (500, {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}),
    (400, {"message": "Invalid request: Your request exceeded model token limit: 262144 (requested: 269030)",
           "type": "invalid_request_error"}),
    (422, {"message": "too many tokens: total number of tokens (prompt and prediction) cannot exceed 2048 - received 6354. "
                      "Try using a shorter prompt or a smaller max_tokens value."}),
    (400, {"message": "Provider returned error", "code": 400,
           "metadata": {"raw": '{"error": {"message": "This endpoint\'s maximum context length is 32768 tokens."}}'}}),
    # openclaw/openclaw#85921, earendil-works/pi#5930
    (400, {"message": "This endpoint's maximum context length is 262144 tokens. However, you requested about 284283 tokens "
                      "(8963 of text input, 13176 of tool input, 262144 in the output)."}),
    (400, {"message": "This model's maximum context length is 262144 tokens. However, you requested 0 output tokens and your "
                      "prompt contains at least 262145 input tokens, for a total of at least 262145 tokens."}),
    (400, {"code": 20015, "message": "length of prompt_tokens (40961) must be less than max_seq_len (40960)."}),
    (422, {"message": "inputs tokens + max_new_tokens must be <= 4096. Given: 5000 inputs tokens and 100 max_new_tokens"}),
    (400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}),  # docs.z.ai/api-reference/api-code
    # earendil-works/pi#5677, 0xBakeer/inference-atlas#186
    (400, {"message": "Input length (265330) exceeds model's maximum context length (262144)."}),
    (400, {"message": "Prompt too long: 5152 tokens exceeds max_seq_len 2048", "type": "server_error"}),
]  # fmt: skip
POLICY = [
    (400, {"message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
           "type": None, "param": "prompt", "code": "content_filter", "status": 400,
           "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}}}),
    (400, {"code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}}),
    (400, {"message": "Invalid prompt: your prompt was flagged as potentially violating our usage policy."}),
    (400, {"message": "Your request was refused.", "code": "invalid_prompt"}),
    (400, {"type": "error", "error": {"message": "Output blocked by content filtering policy"}}),
    (400, {"message": "Content Exists Risk", "type": "invalid_request_error"}),
    (400, {"message": "Input data may contain inappropriate content.", "code": "data_inspection_failed"}),
    (400, {"message": "Error from provider: <400> Input data may contain inappropriate content.", "code": None}),
    (400, {"message": "The request was rejected because it was considered high risk", "type": "content_filter"}),
    (403, {"message": "Your chosen model requires moderation and your input was flagged for: violence",
           "code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "…"}}),
    # theopenco/llmgateway#1785, Wei-Shaw/sub2api#5359: as a refusal of our key, one caller's prompt would rest the model for all
    (403, {"code": "permission-denied", "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}),
    (500, {"error": {"message": "input new_sensitive, text is sensitive (1026)"}}),  # NousResearch/hermes-agent#41110
    (422, {"error": {"message": "input new_sensitive (1026)"}}),  # esengine/DeepSeek-Reasonix#6818
    (200, {"status_code": 1027, "status_msg": "output new_sensitive"}),  # MiniMax-AI/cli#256
    (400, {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}),  # docs.z.ai
    (400, {"error": {"code": "SensitiveContentDetected", "message": "Refused."}}),  # theopenco/llmgateway#1865
    (451, {"error": {"message": "The content is blocked."}}),  # RFC 7725
]  # fmt: skip
LARGE = [
    (413, {"type": "error", "error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}}),
    (413, "<html>413 Request Entity Too Large</html>"),
    (413, None),
    (400, {"message": "Request payload size exceeds the maximum allowed size: 20971520 bytes"}),
    (400, {"message": "Request too large"}),
    (400, {"message": "total message size 10176584 exceeds limit 2097152"}),  # MoonshotAI/kimi-code#476
    (400, {"message": "Request payload size exceeds the limit: 20971520 bytes."}),
]
UNPAIRED = [
    (400, {"message": "An assistant message with 'tool_calls' must be followed by tool messages responding to each.",
           "type": "invalid_request_error", "param": "messages.[2].role"}),
    (400, {"message": "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."}),
    (400, {"message": "No tool output found for function call call_1.", "param": "input"}),
    (400, {"message": "No tool call found for function call output with call_id call_1."}),
    (400, {"type": "error", "error": {"message": "messages.1: `tool_use` ids were found without `tool_result` blocks: a"}}),
    (400, {"type": "error", "error": {"message": "messages.0: unexpected `tool_use_id` found in `tool_result` blocks"}}),
    (400, {"object": "error", "message": "Not the same number of function calls and responses", "code": "3230"}),
    # mlflow/mlflow#24296 and others: Bedrock, Gemini, Moonshot
    (400, {"message": "Expected toolResult blocks at messages.2.content for the following Ids: tooluse_a"}),
    (400, {"message": "The number of toolResult blocks at messages.2.content exceeds the number of toolUse blocks."}),
    (400, {"message": "Please ensure that function call turn comes immediately after a user turn."}),
    (400, {"message": "Invalid request: tool_call_id  is not found", "type": "invalid_request_error"}),
    # anthropics/claude-code#14110, OmniRoute#8946, deepseek-ai/DeepSeek-V3#1588, lobehub/lobehub#7298, brainlid/langchain#244
    (400, {"message": "messages.10.content.1: each tool_use must have a single result. Found multiple `tool_result` blocks"}),
    (400, {"message": "No tool output found for custom tool call call_xxx", "param": "input"}),
    (400, {"message": "No tool output found for tool call call_00_a", "code": "invalid_request_error"}),
    (400, {"message": "Please ensure that function response turn comes immediately after a function call turn."}),
    (400, {"message": 'Invalid parameter: messages with role "tool" must follow a preceding message with "tool_calls".'}),
    # anomalyco/opencode#32609: MiniMax
    (400, {"type": "bad_request_error", "message": "invalid params, tool call result does not follow tool call (2013)"}),
    (400, {"type": "bad_request_error", "message": "invalid params, tool result's tool id call_1 not found (2013)"}),
]  # fmt: skip
MEDIA = [
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Could not process image"}}),
    (400, {"type": "error", "error": {"message": "messages.118.content.4.image.source.base64: image cannot be empty"}}),
    (400, {"type": "error", "error": {"message": "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 1 > 0"}}),
    (
        400,
        {"type": "error", "error": {"message": "messages.0.content.0: Image does not match the provided media type image/jpeg"}},
    ),
    (
        400,
        {"type": "error", "error": {"message": "messages.0.content.0.pdf.source.base64.data: The PDF specified was not valid."}},
    ),
    (400, {"type": "error", "error": {"message": "Unable to download the file. Please verify the URL and try again."}}),
    (
        400,
        {"message": "You uploaded an unsupported image. Please make sure your image is valid.", "code": "sanitizer_server_error"},
    ),
    (400, {"message": "…", "type": "invalid_request_error", "param": None, "code": "invalid_image_format"}),
    (400, {"message": "Failed to download image from https://x.example/a.png.", "code": "invalid_image_url"}),
    # home-assistant/core#167208, anomalyco/opencode#23983, ogkalu2/comic-translate#399
    (400, {"message": "The image was specified using the image/png media type, but the image appears to be a image/jpeg image"}),
    (
        400,
        {
            "message": "Invalid 'input[1].content[1].image_url'. Expected a base64-encoded data URL with an image MIME type …",
            "code": "invalid_value",
        },
    ),
    (400, {"error": {"code": 400, "message": "Unsupported MIME type: image/jpg", "status": "INVALID_ARGUMENT"}}),
    # trpc-group/trpc-agent-go#1816
    (
        400,
        {"message": "Invalid file data. Expected a base64-encoded data URL with an application/pdf MIME type (e.g. 'data:…')."},
    ),
    (400, [{"error": {"code": 400, "message": "Unable to process input image.", "status": "INVALID_ARGUMENT"}}]),
    (400, {"object": "error", "message": "cannot identify image file <_io.BytesIO object at 0x7f>", "code": 400}),
    (400, {"error": {"code": 400, "message": "Failed to load image or audio file", "type": "invalid_request_error"}}),
]
INVALID = [
    (400, {"message": "Invalid content type. image_url is only supported by certain models."}),
    (400, {"message": "Invalid schema for function 'f': object schema missing properties."}),
    (400, {"message": "Invalid 'tools[0].function.name': string too long.", "code": "string_above_max_length"}),
    (400, {"type": "error", "error": {"message": "messages.1: text content blocks must be non-empty"}}),
    (422, {"detail": [{"type": "extra_forbidden", "msg": "Extra inputs are not permitted",
                       "input": "a story about a content policy and the maximum context length"}]}),
    (400, {"message": "Invalid value: 'incorrect api key'. Supported values are: 'low' and 'high'."}),  # quoted from the request
    (400, {"message": "Invalid value: 'unknown model'. Supported values are: 'a model that does not exist' and 'x'."}),
    (400, {"message": 'Unknown tool "your account is suspended", or `insufficient balance`.'}),
    (400, {"message": "Invalid value: 'upstream request failed'. The model 'model has crashed' is no tool."}),
    (400, {"message": "Parameter 'tools' is not supported by the upstream provider"}),
    (400, {"message": "No endpoints found that support tool use."}),
    (400, {"message": "The file file-1 does not exist or you do not have access to it."}),
    (400, {"message": "For this model the parameter functions is deprecated, and the tool f-1 was removed."}),
    (400, {"message": "The model 'a model has been retired' is no tool."}),
    (400, None),
    (400, ""),
]  # fmt: skip

DENIED = [
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low."}}),
    (400, {"error": {"type": "invalid_request_error", "message": "You have reached your specified API usage limits."}}),
    (400, {"error": {"type": "invalid_request_error", "message": "This organization has been disabled."}}),
    (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT",
                      "details": [{"reason": "API_KEY_INVALID"}]}}]),
    (400, [{"error": {"code": 400, "message": "User location is not supported for the API use."}}]),
    (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***AA."}),
    (400, {"error": {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."}}),
    (400, {"error": {"message": "The model `x` has been decommissioned.", "code": "model_decommissioned"}}),
    (400, {"error": {"message": "foo/bar is not a valid model ID", "code": 400}}),
    (400, {"object": "error", "message": "Invalid model: foo", "type": "invalid_model", "code": "1500"}),
    (400, {"error": {"message": "Not supported by any provider you have enabled.", "code": "model_not_supported"}}),
    (400, {"error": {"message": "No models loaded. Please load a model.", "type": "invalid_request_error"}}),
    (400, {"error": {"message": "Model Not Exist", "type": "invalid_request_error", "code": "invalid_request_error"}}),
    (400, {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None}),
    (400, {"error": {"message": "/chat/completions: Invalid model name passed in model=x. Call `/v1/models` to view models."}}),
    (400, {"error": {"code": "1211", "message": "Unknown Model, please check the model code."}}),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "code": "1211", "message": "[1211][模型不存在]"}}),
    (400, {"error": {"code": "1214", "message": "[1214][modelCode: does not exist]"}}),
    (400, {"error": {"code": "unknown_model", "message": "Unknown model: x"}}),
    (400, {"message": "The provided model identifier is invalid."}),
    (400, {"message": "Invocation of model ID x with on-demand throughput isn\u2019t supported."}),
    (400, {"error": {"code": "validation_error", "type": "invalid_request_error", "param": None,
                     "message": "The model 'x' does not support the '/v1/chat/completions' API"}}),
    (400, [{"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "Gemini API free tier is not available in your "
                      "country. Please enable billing on your project in Google AI Studio."}}]),
    (400, {"status": 400, "title": "Bad Request", "detail": "Function id '3b97': DEGRADED function cannot be invoked"}),
    (400, {"error": {"message": "Budget has been exceeded! Current cost: 10.1, Max budget: 10.0", "type": "budget_exceeded"}}),
    (400, {"error": {"message": "Budget has been exceeded! Current cost: 10.1, Max budget: 10.0", "code": "400"}}),
    (400, {"error": {"code": "OperationNotSupported", "message": "Refused."}}),
    (400, {"error": {"message": "The chatCompletion operation does not work with the specified model, m."}}),
    (400, {"error": {"message": "Your organization must be verified to stream this model.", "code": "unsupported_value"}}),
    (400, {"error": "Model loading aborted due to insufficient system resources."}),
    (400, {"error": 'Failed to load model "m". Error: out of memory'}),
    (400, {"__type": "com.amazon.coral.service#Invalid_Model", "message": "Refused."}),
    (429, {"error": {"message": "You exceeded your current quota.", "type": "insufficient_quota", "code": None}}),
    (429, {"error": {"message": "Your account is suspended", "type": "exceeded_current_quota_error"}}),
    (429, {"error": {"http_code": "429", "message": "insufficient balance (1008)", "type": "insufficient_balance_error"}}),
    (500, {"type": "error", "error": {"type": "api_error", "message": "insufficient balance (1008)"}}),
    (429, {"error": {"code": "1113", "message": "余额不足或无可用资源包,请充值。"}}),  # docs.z.ai/api-reference/api-code
    (429, {"error": {"code": "1113", "message": "Your account is in arrears, please recharge and try again"}}),
    # NousResearch/hermes-agent#56128, #82361, #98929; pollinations/pollinations#12136, openclaw/openclaw#74120
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "You're out of extra usage. Add more at x."}}),
    (400, {"error": {"message": "Third-party apps now draw from your extra usage. To continue, enable extra usage."}}),
    (400, {"error": {"message": "The long context beta is not yet available for this subscription."}}),
    *((429, {"error": {"code": f"{code}_exceeded", "message": "Refused."}}) for code in
      ("organization_spend_limit", "organization_usage_limit", "project_spend_limit")),
    (429, {"error": {"code": "credit_balance_exhausted", "message": "Refused."}}),
    (412, {"error": {"message": "Account x-y is suspended, possibly due to reaching the monthly spending limit or failure to pay "
                     "past invoices.", "param": None, "code": "PRECONDITION_FAILED", "type": "error"}}),
    (412, {"error": {"message": "Account x-y is suspended."}}),
    (429, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED",
                      "message": "Your billing account has exceeded its monthly spending cap."}}]),
    # gsd-build/gsd-2#5425, aws/aws-sdk-js-v3#6424, openai/codex#43751, NousResearch/hermes-agent#62765, #102044
    (400, {"__type": "com.amazon.coral.service#ExpiredTokenException", "message": "Refused."}),
    (400, {"message": "The security token included in the request is expired"}),
    (400, {"message": "This model version has reached the end of its life. Please refer to the AWS documentation."}),
    (400, {"message": "Access denied. This Model is marked by provider as Legacy and you have not been actively using it."}),
    (400, {"message": "Access to this model is not available for this account or role."}),
    (400, {"detail": "The 'gpt-5' model is not supported when using Codex with a ChatGPT account."}),
    (400, {"error": "Model unloaded."}),
    (500, {"error": {"message": "model name=LFM2.5-Q8_0 failed to load", "type": "server_error"}}),
    # tashfeenahmed/freellmapi#1239, tale-project/tale#3310, QwenLM/qwen-code#9605, and docs
    (400, {"error": {"message": "The model 'o3-mini' does not exist or is not supported for chat completions."}}),
    (429, {"error": {"code": "1311", "message": "Refused."}}),
    (429, {"error": {"message": "Your current subscription plan does not yet include access to GLM-5V-Turbo"}}),
    (400, {"error": {"message": "Access to model denied. Please make sure you are eligible for using the model."}}),
    (400, {"error": {"message": "Refused.", "code": "Model.AccessDenied"}}),
    (400, {"error": {"message": "The model or endpoint ep-2026 does not exist or you do not have access to it."}}),
    (400, {"error": {"message": "Unable to access model meta-llama/x. Please visit the list of supported models."}}),
    (400, {"error": {"message": "No endpoints found for minimax/minimax-m2.5:free.", "code": 404}}),
    (400, [{"error": {"code": 400, "message": "models/gemini-1.5-pro is not found for API version v1main.", "status": "X"}}]),
    (400, {"error": {"message": "The model grok-3 was deprecated on 2025-09-15 and is no longer accessible via the API."}}),
    (400, {"message": "model 'command-r' was removed on September 15, 2025. See the list of current models."}),
    (400, {"error": {"message": "The model `gpt-4.5-preview` has been retired.", "type": "invalid_request_error"}}),
    (400, {"error": {"message": "This model is not available in your region."}}),
    (400, {"error": {"message": "The model claude-opus-5-5 is not allowed for this key."}}),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), DENIED)
def test_what_concerns_our_account_is_no_fault_of_the_request(status: int, body: object) -> None:
    assert denies(body)
    headers: dict[str, str] = {}
    for translate in (openai._translate, anthropic._translate):
        error = translate(StatusError(status, headers, body), Blame("p", "m"))
        assert type(error) is ProviderDenied


LIMITED = [
    (413, {"error": {"message": "Request too large for model `m` on tokens per minute (TPM): Limit 12000, Requested 14137",
                     "type": "tokens", "code": "rate_limit_exceeded"}}),
    (400, {"error": {"message": "Too many tokens, please wait before trying again.", "code": "ThrottlingException"}}),
    (400, {"message": "Too many requests, please wait before trying again."}),
    (400, {"__type": "ThrottlingException", "message": "Rate exceeded"}),
    (400, {"__type": "com.amazon.coral.availability#ThrottlingException", "message": "Rate exceeded"}),
    (400, {"error": {"message": "Detected high-frequency non-compliant requests from you.", "type": "invalid_request_error"}}),
    (500, {"error": {"message": "An error occurred (ThrottlingException)", "type": "ThrottlingException"}}),
    (400, {"object": "error", "message": "Refused.", "type": "service_tier_capacity_exceeded", "code": "3505"}),
    # perminder-klair/subwave#684
    (400, {"error": {"message": "Upstream error from Nvidia: ResourceExhausted: Worker local total request limit reached (2)"}}),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), LIMITED)
def test_a_limit_of_our_rate_is_one_whatever_its_status(status: int, body: object) -> None:
    for translate in (openai._translate, anthropic._translate):
        error = translate(StatusError(status, {"retry-after": "7"}, body), Blame("p", "m"))
        assert isinstance(error, ProviderRateLimited)
        assert error.retry_after == 7.0
    assert type(openai._translate(ReportedError(body), Blame("p", "m"))) is ProviderRateLimited


@pytest.mark.parametrize(("status", "body"), [*LONG, *POLICY, *LARGE, *MEDIA, *UNPAIRED, *INVALID])
def test_a_refusal_of_the_request_is_no_limit_of_our_rate(status: int, body: object) -> None:
    error = openai._translate(StatusError(status, {}, body), Blame("p", "m"))
    assert not isinstance(error, ProviderRateLimited)
    assert not limits({"message": "Unknown tool 'rate limit exceeded'."})  # quoted from the request


# farion1231/cc-switch#6821, ENTERPILOT/GoModel#605, lmstudio-ai/lmstudio-bug-tracker#1347, mnfst/awesome-free-llm-apis#85
BROKEN = [
    (400, {"error": {"message": "Refused.", "code": "model_unavailable"}}),
    (400, {"error": {"type": "server_error", "message": "Error from provider: Upstream request failed: Model is unavailable."}}),
    (400, {"error": {"type": "invalid_request_error", "message": "Error from provider (Console Go): Upstream request failed"}}),
    (400, {"error": "The model has crashed without additional information. (Exit code: null)"}),
    (422, {"error": {"type": "overloaded_error", "message": "Overloaded"}}),
    (418, {"error": {"code": "internal_server_error", "message": "Refused."}}),
]


@pytest.mark.parametrize(("status", "body"), BROKEN)
def test_a_server_that_broke_down_is_tried_again_whatever_its_status(status: int, body: object) -> None:
    assert refusal(status, body) is None
    for translate in (openai._translate, anthropic._translate):
        assert isinstance(translate(StatusError(status, {}, body), Blame("p", "m")), ProviderFailed | ProviderOverloaded)


@pytest.mark.parametrize(("status", "body"), [*LONG, *POLICY, *MEDIA, *UNPAIRED, *INVALID])
def test_a_refusal_with_a_reason_is_no_breakdown_of_the_server(status: int, body: object) -> None:
    if status != 500:
        for translate in (openai._translate, anthropic._translate):
            assert isinstance(translate(StatusError(status, {}, body), Blame("p", "m")), ProviderRejected)


@pytest.mark.parametrize("code", ["tool_use_failed", "json_validate_failed"])
def test_output_that_a_server_refuses_is_the_model_s_fault(code: str) -> None:
    body = {"error": {"message": "Please adjust your prompt.", "type": "invalid_request_error", "code": code, "status_code": 400}}
    for error in (StatusError(400, {}, body), ReportedError(body["error"])):
        assert type(openai._translate(error, Blame("p", "m"))) is ProviderGarbled


@pytest.mark.parametrize(("status", "body"), [*LONG, *POLICY, *LARGE, *MEDIA, *UNPAIRED, *INVALID])
def test_a_refusal_of_the_request_is_no_matter_of_our_account(status: int, body: object) -> None:
    del status
    assert not denies(body)
    assert not denies([{"error": {"code": 429, "message": "You exceeded your current quota.", "status": "RESOURCE_EXHAUSTED"}}])


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        *((status, body, "context_length") for status, body in LONG),
        *((status, body, "content_policy") for status, body in POLICY),
        *((status, body, "too_large") for status, body in LARGE),
        *((status, body, "unreadable_media") for status, body in MEDIA),
        *((status, body, "unpaired_tools") for status, body in UNPAIRED),
        *((status, body, "invalid") for status, body in INVALID),
    ],
)
def test_the_reason_of_a_refusal_is_read_from_what_servers_send(status: int, body: object, reason: RejectionReason) -> None:
    found = refusal(status, body)
    assert found is not None
    assert found.reason == reason


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"message": "Overloaded", "type": "overloaded_error"}),
        (401, {"message": "Incorrect API key"}),
        (403, {"message": "Your key has no access to this model"}),
        (403, {"code": "permission-denied", "error": "Access to the chat endpoint is denied"}),
        (500, {"message": "The content policy service is away"}),
        (404, {"message": "The model does not exist"}),
        (429, {"message": "Request too large for gpt-6 on tokens per min (TPM)", "code": "rate_limit_exceeded"}),
        (500, {"message": "the maximum context length could not be read"}),
        (503, None),
    ],
)
def test_what_is_no_refusal_of_the_request_is_not_taken_for_one(status: int, body: object) -> None:
    assert refusal(status, body) is None


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"message": "prompt is too long: 205284 tokens > 200000 maximum"}, (205284, 200000)),
        ({"message": "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."}, (9000, 8192)),
        ({"message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"}, (40000, 32768)),
        ({"message": "Your request exceeded model token limit: 262144 (requested: 269030)"}, (269030, 262144)),
        ({"message": "too many tokens: total number of tokens cannot exceed 2048 - received 6354."}, (6354, 2048)),
        (
            {
                "message": "This model's maximum context length is 262144 tokens. However, you requested 0 output tokens and "
                "your prompt contains at least 262145 input tokens, for a total of at least 262145 tokens."
            },
            (262145, 262144),
        ),
        ({"message": "length of prompt_tokens (40961) must be less than max_seq_len (40960)."}, (40961, 40960)),
        ({"message": "prompt token count of 141422 exceeds the limit of 128000"}, (141422, 128000)),
        ({"message": "Input length 131393 exceeds the maximum allowed input length of 131040 tokens."}, (131393, 131040)),
        (
            {"message": "The sum of prompt length (9351.0), query length (0) should not exceed max_num_tokens (8192)"},
            (9351, 8192),
        ),
        ({"message": "Prompt has 256468 tokens, but the configured context size is 256000 tokens"}, (256468, 256000)),
        ({"message": "The prompt is too long: 200000, model maximum context length: 131071"}, (200000, 131071)),
        (
            {"message": "This model's maximum prompt length is 131072 but the request contains 150000 tokens."},
            (150000, 131072),
        ),
        ({"message": "Input length (265330) exceeds model's maximum context length (262144)."}, (265330, 262144)),
        ({"message": "Prompt too long: 5152 tokens exceeds max_seq_len 2048 (leave room for output tokens)"}, (5152, 2048)),
        ({"message": "prompt is too long: 5 tokens > 200000 maximum"}, None),
        ({"message": f"prompt is too long: {'9' * 400} tokens > 1 maximum"}, None),
        ({"message": "prompt is too long"}, None),
    ],
)
def test_a_prompt_s_length_and_limit_are_read_where_both_are_named(body: object, tokens: tuple[int, int] | None) -> None:
    assert refusal(400, body) == Refused("context_length", tokens)


def test_a_body_of_any_shape_and_size_is_read_in_bounds() -> None:
    deep: object = "prompt is too long"
    for _ in range(200):
        deep = [deep]
    assert refusal(400, deep) == Refused("invalid")
    assert refusal(400, {"errors": [{"message": "x" * 10**6}] * 10**4}) == Refused("invalid")
    assert refusal(400, {"raw": "[" * 10**5}) == Refused("invalid")
    assert refusal(400, {"raw": "[" * 30_000}) == Refused("invalid")


def test_an_error_of_digits_costs_no_more_than_its_length() -> None:
    """V3: sixty texts of 4,000 digits took seconds."""
    message = "The maximum context length is {} tokens > "
    assert is_linear(lambda size: refusal(400, [{"message": message.format("1" * size)}] * 20), 400)


@pytest.mark.parametrize("said", ["a\n{}", "it's so: {}", "'\" {}", "\x1f{}"])
@pytest.mark.parametrize(
    "quoted", [repr, json.dumps, lambda text: f"'{text}", lambda text: f"`{text}`"], ids=["py", "json", "cut", "md"]
)
def test_no_caller_says_that_our_key_is_refused(said: str, quoted: Callable[[str], str]) -> None:
    """With lines, quotes and apostrophes in it, and cut off, what a server quotes stays what it quotes."""
    text = said.format("incorrect api key provided, rate limit exceeded")
    body = {"message": f"Invalid value: {quoted(text)}", "param": "role"}
    assert not denies(body)
    assert not limits(body)
    assert denies({**body, "detail": "Incorrect API key provided."}), "what another string says counts"


@pytest.mark.parametrize("sign", ["'", '"', "'\\", '"\\', "\\'", "`", "'a"])
def test_quotes_without_end_are_read_in_linear_time(sign: str) -> None:
    assert is_linear(lambda size: _QUOTATION.sub(" ", sign * size), 2_000)


@pytest.mark.parametrize("field", ["failed_generation", "loc", "input_value"])
def test_the_words_of_a_model_or_a_caller_say_nothing_of_our_account(field: str) -> None:
    """Groq sends what the model made, and the caller steers that: one prompt would rest the provider for all."""
    said = "Incorrect API key provided. Rate limit exceeded."
    error = {"message": "Failed to call a function.", "type": "invalid_request_error", "code": "tool_use_failed", field: [said]}
    for failed in (StatusError(400, {}, {"error": error}), ReportedError(error)):
        assert type(openai._translate(failed, Blame("p", "m"))) is ProviderGarbled
    assert trouble({"message": "Invalid value: 'rate limit, overloaded'."}) is None
