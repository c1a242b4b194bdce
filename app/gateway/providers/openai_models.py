"""What some models behind OpenAI's protocol want of a request, beyond the protocol. Pure.

A gateway in the middle loses what only the model's own client knows to keep, and these models refuse a history without it:

- Gemini since 3 wants its thought signature back with the first tool call of each answer. A history of another model, or from a
  client that dropped the signature, gets the word by which Google lets the check be skipped.
- DeepSeek's and Moonshot's thinking models want `reasoning_content` with each of their answers. Other servers refuse the field,
  and a blank one stands where nothing was kept.
- The same models refuse a forced tool call while they think: they are asked for it in words, as some of Claude's are.
- Mistral's models take no user's message directly after a tool's result: an answer of theirs stands between.

Sources: ai.google.dev/gemini-api/docs/thought-signatures, api-docs.deepseek.com/guides/thinking_mode, and public reports
(deepseek-ai/DeepSeek-V3#1376, anomalyco/opencode#10996, router-for-me/CLIProxyAPI#4893, aaif-goose/goose#5998).
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.messages import Part, Thinking, ToolChoice, ToolUse
from app.gateway.providers.forced_calls import in_words

UNSIGNED = "skip_thought_signature_validator"
BETWEEN = {"role": "assistant", "content": "Understood."}
NOT_KEPT = " "  # some refuse an empty text as a missing one
_GEMINI = re.compile(r"gemini(?:-(?P<major>\d{1,2}))?")
_THINKING = re.compile(r"deepseek-(?:reasoner|v[4-9])|kimi-(?:k2[.-](?:[5-9]|thinking)|k[3-9]|for-coding|thinking)")


@dataclass(frozen=True, slots=True)
class Wants:
    """``signatures``: of calls that have one; ``signed``: of every answer's first call; ``reasoning``: with every answer.

    ``answered``: an answer after a tool's result, before the user speaks.
    """

    signatures: bool = False
    signed: bool = False
    reasoning: bool = False
    answered: bool = False


def is_mistral(model: str) -> bool:
    """Whether a model is one of Mistral's, by its name: Mistral, Ministral, Codestral, Devstral, Magistral."""
    return "stral" in model.lower()


@functools.lru_cache(maxsize=256)
def wants(model: str) -> Wants:
    """The wants of a model by its name. A Gemini whose name tells no version is a new one."""
    name = model.lower()
    gemini = _GEMINI.search(name)
    if gemini is None:
        return Wants(reasoning=bool(_THINKING.search(name)), answered=is_mistral(name))
    return Wants(signatures=True, signed=int(gemini["major"] or 3) >= 3)


def choice(model: str, wanted: ToolChoice) -> tuple[ToolChoice, str | None]:
    """The choice among tools as ``model`` takes it, and the sentence for its instructions that stands for the rest."""
    return in_words(wanted) if wants(model).reasoning else (wanted, None)


def answered(model: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages on the wire, with an answer before each user's message that follows a tool's result."""
    if not wants(model).answered:
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
