"""The shapes of a chat completion's answer, whole or in chunks, as a dozen servers send them.

A field that is absent, null or of another type than the protocol's costs nothing, unless the answer cannot be read without it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from app.domain.messages import Part as Said
from app.domain.messages import Refusal, Text, Thinking, ToolUse
from app.domain.signatures import signature_in
from app.gateway.providers.assembly import encodable
from app.gateway.providers.openai_finish import finish_of
from app.gateway.providers.openai_usage import Reported
from app.gateway.providers.reported import Count, Optional

_THOUGHT = ("thinking", "reasoning")  # types of a content part


def _texts(value: object) -> str:
    """The text of a string, of a part, or of a list of both."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return _texts(next((value[name] for name in ("text", "summary", "thinking", "value") if value.get(name)), ""))
    return "".join(map(_texts, value)) if isinstance(value, list) else ""


def _objects(value: object) -> object:
    """A list without its nulls; one object for a list of one; None for what is empty, whatever its type."""
    if not value:
        return None
    if isinstance(value, Mapping):
        return [value]
    return [item for item in value if item is not None] if isinstance(value, list) else value


def _parts(value: object) -> object:
    """Content as a list of parts, as Mistral's reasoning models send it."""
    if isinstance(value, str) and value:
        return [{"type": "text", "text": value}]
    found = _objects(value)
    if isinstance(found, list):
        return [{"type": "text", "text": part} if isinstance(part, str) else part for part in found]
    return found


def _name(text: str) -> str:
    """A tool's name without blanks, and without the tokens of gpt-oss that vLLM leaves behind it: `f<|channel|>commentary`."""
    return encodable(text).partition("<|")[0].strip()


def _json_text(value: object) -> object:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


Word = Annotated[str, BeforeValidator(lambda value: encodable(value) if isinstance(value, str) else "")]
Name = Annotated[str, BeforeValidator(lambda value: _name(value) if isinstance(value, str) else "")]
Loose = Annotated[str, BeforeValidator(_texts)]
Object = BeforeValidator(lambda value: value if isinstance(value, Mapping) else {})
Objects = BeforeValidator(_objects)


class Function(BaseModel):
    """A tool's name, and arguments for it."""

    name: Name = ""
    arguments: Annotated[str | None, BeforeValidator(_json_text)] = None


class ToolCall(BaseModel):
    """A call of a tool, or its growth."""

    index: Count = None
    id: Word = ""
    function: Annotated[Function, Object] = Function()
    extra_content: Annotated[str | None, BeforeValidator(signature_in)] = None


class Part(BaseModel):
    """A part of a message's content."""

    type: Word = ""
    text: Loose = ""
    refusal: Loose = ""
    thinking: Loose = ""
    summary: Loose = ""

    @property
    def thought(self) -> str:
        """Its text, where that is reasoning: Databricks sends a summary of it."""
        return self.thinking or self.summary or (self.text if self.type in _THOUGHT else "")


class Message(BaseModel):
    """A whole message, or its growth. Reasoning has a name of each open-model server; routers send several with one text."""

    content: Annotated[list[Part] | None, BeforeValidator(_parts)] = None
    refusal: Loose = ""
    reasoning_content: Loose = ""
    reasoning: Loose = ""
    reasoning_text: Loose = ""
    reasoning_details: Loose = ""
    tool_calls: Annotated[list[ToolCall] | None, Objects] = None
    function_call: Annotated[Function | None, Optional] = None

    @property
    def reasoned(self) -> str:
        """The reasoning that stands beside the content."""
        names = (self.reasoning_content, self.reasoning, self.reasoning_text, self.reasoning_details)
        return next(filter(None, names), "")

    @property
    def refused(self) -> str:
        """The refusal, wherever it stands."""
        return self.refusal + "".join(part.refusal for part in self.content or ())

    def beyond(self, said: Sequence[Said]) -> "Message":
        """What a whole message says beyond the parts that were streamed before it.

        MiniMax ends its streams with one, so that all of the answer would come twice. A text that does not begin as the streamed
        one does is the same in another form (trimmed, without its reasoning), and adds nothing.
        """
        written = "".join(part.text for part in self.content or () if not part.thought)
        thought = self.reasoned or "".join(part.thought for part in self.content or ())
        called = any(isinstance(part, ToolUse) for part in said)
        return Message(
            content=[Part(type="text", text=_rest(written, said, Text))],
            reasoning_content=_rest(thought, said, Thinking),
            refusal=_rest(self.refused, said, Refusal),
            tool_calls=None if called else self.tool_calls,
            function_call=None if called else self.function_call,
        )


def _rest(text: str, said: Sequence[Said], kind: type[Text | Thinking | Refusal]) -> str:
    before = "".join(part.text for part in said if isinstance(part, kind))
    return text.removeprefix(before) if text.startswith(before) else ""


class Choice(BaseModel):
    """``stop_reason`` (vLLM) and ``matched_stop`` (SGLang): the stop sequence. ``usage``: Moonshot reports it here.

    ``finishReason``: Gemini's name, beside one that is null. ``text``: where a server answers as to the API before chats.
    """

    index: Count = None
    message: Message | None = None
    delta: Message | None = None
    text: Loose = ""
    finish_reason: Annotated[str | None, BeforeValidator(finish_of)] = None
    camel_finish_reason: Annotated[str | None, BeforeValidator(finish_of), Field(validation_alias="finishReason")] = None
    native_finish_reason: Annotated[str | None, BeforeValidator(finish_of)] = None
    stop_reason: Word = ""
    matched_stop: Word = ""
    logprobs: Annotated[dict[str, Any], Object] = {}
    usage: Annotated[Reported | None, Optional] = None
    error: Any = None

    @property
    def completed(self) -> Message:
        """The message of a choice that has none, neither whole nor in pieces."""
        return Message(content=[Part(type="text", text=self.text)])


class Groq(BaseModel):
    """What Groq adds to the last chunk."""

    usage: Annotated[Reported | None, Optional] = None


class Completion(BaseModel):
    """A whole answer, or one chunk."""

    choices: Annotated[list[Choice] | None, Objects] = None
    model: Word = ""
    usage: Annotated[Reported | None, Optional] = None
    x_groq: Annotated[Groq | None, Optional] = None
    object: Word = ""
    error: Any = None
