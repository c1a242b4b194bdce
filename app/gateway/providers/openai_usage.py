"""Usage as servers of OpenAI's protocol report it. Pure.

OpenAI counts reasoning in ``completion_tokens``. xAI and Gemini count it beside them: only the total has it, and it is billed as
output. So output is what the total holds beyond the prompt, where that is more. Gemini behind OpenRouter writes a prefix to the
cache and reads it in one request, and bills both: then the shares overlap, and are more than the prompt together.

Some servers give the counts the names that the Responses API has (mlx-vlm): they are read where the protocol's own say nothing.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, model_validator

from app.domain.calls import Usage
from app.gateway.providers.reported import UNUSABLE, Count, Optional

# Our names, by those of the Responses API.
_OTHER_NAMES = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}


class _InputDetails(BaseModel):
    cached_tokens: Count = None
    cache_write_tokens: Count = None


class _OutputDetails(BaseModel):
    reasoning_tokens: Count = None


class Reported(BaseModel):
    """One report. The prompt's cached part is ``prompt_cache_hit_tokens`` to DeepSeek, ``cached_tokens`` to Moonshot."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_cache_hit_tokens: Count = None
    cached_tokens: Count = None
    prompt_tokens_details: Annotated[_InputDetails | None, Optional] = None
    completion_tokens_details: Annotated[_OutputDetails | None, Optional] = None

    @model_validator(mode="before")
    @classmethod
    def _with_other_names(cls, value: Any) -> Any:  # noqa: ANN401 - any JSON
        if not isinstance(value, Mapping) or value.get("prompt_tokens") or value.get("completion_tokens"):
            return value
        other = {own: value[name] for name, own in _OTHER_NAMES.items() if value.get(name)}
        return {**value, **other} if other else value

    @property
    def output(self) -> int | None:
        """The output's tokens; None where they are not reported."""
        prompt, output, total = self.prompt_tokens, self.completion_tokens, self.total_tokens
        if output == UNUSABLE or not prompt or not total or UNUSABLE in (prompt, total) or total <= prompt:
            return output
        return max(output or 0, total - prompt)

    def usage(self, *, final: bool) -> Usage:
        """What it says. Zero: not known. ``final``: the output's figure is no growing one."""
        inputs, outputs = self.prompt_tokens_details or _InputDetails(), self.completion_tokens_details or _OutputDetails()
        prompt, written = self.prompt_tokens or 0, inputs.cache_write_tokens or 0
        cached = inputs.cached_tokens or self.prompt_cache_hit_tokens or self.cached_tokens or 0
        output = self.output
        if UNUSABLE in (prompt, cached, written) or max(cached, written) > prompt:
            prompt = cached = written = 0  # a share that is more than the whole says that neither can be believed
            output = self.completion_tokens
        fresh = prompt - (cached + written if cached + written <= prompt else max(cached, written))
        final = final and output is not None and output != UNUSABLE
        known = output or 0 if final else 0
        return Usage(
            input=fresh,
            output=known,
            cached_input=cached,
            cache_write=written,
            reasoning=min(max(0, outputs.reasoning_tokens or 0), known),
            estimated=not final,
        )


REPORTED = TypeAdapter(Reported)
