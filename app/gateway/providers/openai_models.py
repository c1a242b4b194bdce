"""What some models behind OpenAI's protocol want of a request, beyond the protocol. Pure.

A gateway in the middle loses what only the model's own client knows to keep, and these models refuse a history without it:

- Gemini since 3 wants its thought signature back with the first tool call of each answer. A history of another model, or from a
  client that dropped the signature, gets the word by which Google lets the check be skipped.
- DeepSeek's, Moonshot's and Xiaomi's thinking models want `reasoning_content` with each of their answers. Other servers refuse
  the field, and a blank one stands where nothing was kept.
- The same models, and Qwen's that think, refuse a forced tool call: they are asked for it in words, as some of Claude's are.
- Mistral's models take no user's message directly after a tool's result: an answer of theirs stands between.
- Mistral's and Moonshot's models take no answer that says nothing, such as one that was left before its first word: it is left
  out, as it is for Claude.
- Qwen's since 3.5 and Gemma take one system message, the first: later instructions go there, as they do for Claude's that take
  them nowhere else.
- Gemini and Moonshot take no tool whose name begins with a digit, as MCP servers' do: `letter_first`.

Sources: ai.google.dev/gemini-api/docs/thought-signatures, api-docs.deepseek.com/guides/thinking_mode, and public reports
(deepseek-ai/DeepSeek-V3#1376, anomalyco/opencode#10996, router-for-me/CLIProxyAPI#4893, aaif-goose/goose#5998,
VicBilibily/GCMP#171, QwenLM/qwen-code#7659, AstrBotDevs/AstrBot#7200, dust-tt/dust#28212, openclaw/openclaw#79179,
vllm-project/vllm#41114, suitenumerique/conversations#197).
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.messages import Part, Thinking, ToolChoice, ToolUse
from app.gateway.providers.forced_calls import in_words

UNSIGNED = "skip_thought_signature_validator"
BETWEEN = {"role": "assistant", "content": "Understood."}
NOT_KEPT = " "  # some refuse an empty text as a missing one
_GEMINI = re.compile(r"gemini(?:-(?P<major>\d{1,2}))?")
_THINKING = re.compile(r"deepseek-(?:reasoner|v[4-9])|kimi-(?:k2[.-](?:[5-9]|thinking)|k[3-9]|for-coding|thinking)|mimo-v\d")
_UNFORCED = re.compile(r"qwen3\.[5-9]-(?:plus|max|flash)|qwen.*thinking|qwq")
_INSTRUCTED_FIRST = re.compile(r"qwen-?(?:3\.[5-9]|[4-9])|gemma")
_MOONSHOT = re.compile(r"kimi|moonshot")


@dataclass(frozen=True, slots=True)
class Wants:
    """``signatures``: of calls that have one; ``signed``: of every answer's first call; ``reasoning``: with every answer.

    ``unforced``: no forced tool call. ``answered``: an answer after a tool's result, before the user speaks; ``spoken``: none
    that says nothing. ``letter_first``: in names of tools. ``instructed_first``: by one message.
    """

    signatures: bool = False
    signed: bool = False
    reasoning: bool = False
    unforced: bool = False
    answered: bool = False
    spoken: bool = False
    letter_first: bool = False
    instructed_first: bool = False


def is_mistral(model: str) -> bool:
    """Whether a model is one of Mistral's, by its name: Mistral, Ministral, Codestral, Devstral, Magistral."""
    return "stral" in model.lower()


@functools.lru_cache(maxsize=256)
def wants(model: str) -> Wants:
    """The wants of a model by its name. A Gemini whose name tells no version is a new one."""
    name = model.lower()
    gemini = _GEMINI.search(name)
    if gemini is None:
        thinking, mistral, moonshot = bool(_THINKING.search(name)), is_mistral(name), bool(_MOONSHOT.search(name))
        return Wants(
            reasoning=thinking,
            unforced=thinking or bool(_UNFORCED.search(name)),
            answered=mistral,
            spoken=mistral or moonshot,
            letter_first=moonshot,
            instructed_first=bool(_INSTRUCTED_FIRST.search(name)),
        )
    return Wants(signatures=True, signed=int(gemini["major"] or 3) >= 3, letter_first=True)


def choice(model: str, wanted: ToolChoice) -> tuple[ToolChoice, str | None]:
    """The choice among tools as ``model`` takes it, and the sentence for its instructions that stands for the rest."""
    return in_words(wanted) if wants(model).unforced else (wanted, None)


def answered(model: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages as ``model`` takes them: its instructions, its answers, and one before each user's behind a tool's result."""
    wanted = wants(model)
    if wanted.instructed_first:
        messages = _instructed_first(messages)
    if wanted.spoken:
        messages = [_without_blanks(message) for message in messages if not _says_nothing(message)]
    if not wanted.answered:
        return messages
    found: list[dict[str, Any]] = []
    for message in messages:
        if found and found[-1]["role"] == "tool" and message["role"] == "user":
            found.append(dict(BETWEEN))
        found.append(message)
    return found


def signatures(model: str, calls: Sequence[ToolUse]) -> list[str | None]:
    """The signature that each call of one answer is sent with."""
    wanted = wants(model)
    found = [use.signature if wanted.signatures else None for use in calls]
    if wanted.signed and found and not any(found):
        found[0] = UNSIGNED
    return found


def reasoning(model: str, parts: Sequence[Part]) -> str | None:
    """The `reasoning_content` of one answer, where ``model`` wants it. Signed thinking is another vendor's."""
    if not wants(model).reasoning:
        return None
    return "".join(part.text for part in parts if isinstance(part, Thinking) and not part.signature) or NOT_KEPT


def _instructed_first(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    texts = [message["content"] for message in messages if message["role"] == "system"]
    if not texts or not all(isinstance(text, str) for text in texts):
        return messages
    first = {"role": "system", "content": "\n\n".join(texts)}
    return [first, *(message for message in messages if message["role"] != "system")]


def _says_nothing(message: Mapping[str, Any]) -> bool:
    """Whether it is an answer without a word or a call."""
    return message["role"] == "assistant" and not any(message.get(name) for name in ("content", "refusal", "tool_calls"))


def _without_blanks(message: dict[str, Any]) -> dict[str, Any]:
    """Without texts that are empty, among other parts (BerriAI/litellm#42186)."""
    parts = message.get("content")
    if not isinstance(parts, list):
        return message
    return {**message, "content": [part for part in parts if part.get("text") != ""] or ""}
